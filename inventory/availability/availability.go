package availability

import (
	"context"

	"github.com/google/uuid"

	"holdfast/inventory/cache"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

// Cache is the part of a cache that a Reader needs; *cache.Cache implements it. No method fails: if the cache cannot be
// reached, Get reports false. Reads of availability use the cache, and changes of stock only invalidate it.
type Cache interface {
	// Get looks products up. If it reports false, the caller must read the database and must not store the result.
	Get(ctx context.Context, products []uuid.UUID) (cache.Answer, bool)
	// Set stores values that were read after Get had answered with this epoch.
	Set(ctx context.Context, epoch string, values []inventoryapi.Availability)
	// Invalidate makes values from before the changes unusable.
	Invalidate(ctx context.Context, changes []cache.Change)
	// InvalidateAll makes all values unusable.
	InvalidateAll(ctx context.Context)
}

// Store reads the stock of products from the database; *store.Store implements it.
type Store interface {
	Availabilities(ctx context.Context, products []uuid.UUID) ([]inventoryapi.Availability, error)
}

// Reader reads the stock of products. It is safe for concurrent use.
type Reader struct {
	store Store
	cache Cache // nil if there is none
	loads *loads
}

// New returns a Reader. If there is no cache, c is nil.
func New(s Store, c Cache) *Reader {
	return &Reader{store: s, cache: c, loads: newLoads(s.Availabilities)}
}

// Close ends shared reads under way, waits for them, and refuses more.
func (r *Reader) Close() { r.loads.close() }

// Read returns the stock of the given products, each once, in the order given, without products that have no stock
// record. These are not cached: they are rare, the database answers from an index, and the first receipt of such a
// product would have to invalidate them.
func (r *Reader) Read(ctx context.Context, products []uuid.UUID) ([]inventoryapi.Availability, error) {
	if r.cache == nil {
		return r.store.Availabilities(ctx, products)
	}
	products = store.Distinct(products)
	cached, ok := r.cache.Get(ctx, products)
	if !ok {
		return r.store.Availabilities(ctx, products)
	}
	if len(cached.Missing) > 0 {
		storeLoaded := func(ctx context.Context, values []inventoryapi.Availability) {
			r.cache.Set(ctx, cached.Epoch, values)
		}
		loaded, err := r.loads.load(ctx, cached.Missing, storeLoaded)
		if err != nil {
			return nil, err
		}
		for _, v := range loaded {
			cached.Values[v.ProductID] = v
		}
	}

	out := make([]inventoryapi.Availability, 0, len(products))
	for _, id := range products {
		if v, found := cached.Values[id]; found {
			out = append(out, v)
		}
	}
	return out, nil
}

// Invalidate tells the cache the items that a transaction read, with the versions that it gave them. The group commit
// calls it after the commit and before any caller has its answer, so that no caller with an answer reads older stock.
// It also names items that the transaction did not change: another process may have changed them and died before it
// could tell the cache. A transaction whose outcome is unknown counts as committed; if it was not, the cache refuses
// the product's values until it has forgotten the version.
//
// It takes a round trip to Redis, at most 100 ms if Redis hangs, and no time while Redis is known to be away. Values
// that are up to date stay. Several goroutines may call it at once, for the same items in any order. The book is nil if
// the transaction read nothing.
func (r *Reader) Invalidate(book *stock.Book) {
	if r.cache == nil || book == nil {
		return
	}
	var changes []cache.Change
	for it := range book.Items() {
		changes = append(changes, cache.Change{
			Product:  it.ProductID,
			Location: it.Location,
			Version:  it.Version,
			Deleted:  it.Deleted,
		})
	}
	r.cache.Invalidate(context.Background(), changes)
}

// InvalidateAll makes all cached values unusable.
func (r *Reader) InvalidateAll(ctx context.Context) {
	if r.cache != nil {
		r.cache.InvalidateAll(ctx)
	}
}
