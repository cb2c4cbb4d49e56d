package availability

import (
	"context"
	"time"

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
	Set(ctx context.Context, epoch string, values []stock.Availability)
	// Invalidate makes values from before the changes unusable.
	Invalidate(ctx context.Context, changes []cache.Change)
	// InvalidateAll makes all values unusable.
	InvalidateAll(ctx context.Context)
}

// Store reads the stock of products from the database; *store.Store implements it.
type Store interface {
	Availabilities(ctx context.Context, products []uuid.UUID) ([]stock.Availability, error)
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

// Close cancels the shared reads under way, waits until they have ended, and refuses new ones.
func (r *Reader) Close() { r.loads.close() }

// Read returns the stock of the given products in the given order, each product once. It leaves out products that have
// no stock record. The cache does not store that a product has none: such requests are rare, the database answers them
// from an index, and the first receipt of the product would have to invalidate the entry.
func (r *Reader) Read(ctx context.Context, products []uuid.UUID) ([]inventoryapi.Availability, error) {
	if r.cache == nil {
		return r.readStore(ctx, products)
	}

	products = store.Distinct(products)
	cached, ok := r.cache.Get(ctx, products)
	if !ok {
		return r.readStore(ctx, products)
	}

	if len(cached.Missing) > 0 {
		began := time.Now()
		fillCache := func(ctx context.Context, values []stock.Availability) {
			r.cache.Set(ctx, cached.Epoch, aged(values, time.Since(began)))
		}
		loaded, err := r.loads.load(ctx, cached.Missing, fillCache)
		if err != nil {
			return nil, err
		}
		for _, v := range loaded {
			cached.Values[v.ProductID] = v.Availability
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

// readStore reads products from the database.
func (r *Reader) readStore(ctx context.Context, products []uuid.UUID) ([]inventoryapi.Availability, error) {
	found, err := r.store.Availabilities(ctx, products)
	if err != nil {
		return nil, err
	}
	out := make([]inventoryapi.Availability, len(found))
	for i, v := range found {
		out[i] = v.Availability
	}
	return out, nil
}

// aged returns the values that are still right some time after they were read, with the time that they have left. The
// others do not count a reservation that has become overdue meanwhile.
func aged(values []stock.Availability, age time.Duration) []stock.Availability {
	fresh := make([]stock.Availability, 0, len(values))
	for _, v := range values {
		if v.FreshFor > 0 {
			if v.FreshFor -= age; v.FreshFor <= 0 {
				continue
			}
		}
		fresh = append(fresh, v)
	}
	return fresh
}

// Invalidate tells the cache the version after the commit of each item that a transaction read. The cache then drops
// the values that are older. The group commit calls Invalidate after the commit and before it answers any caller, so
// that a caller with an answer never reads older stock.
//
// The items include those that the transaction read but did not change. Another process may have changed such an item
// and died before it could invalidate the value.
//
// If the outcome of a transaction is unknown, the group commit also calls Invalidate. If the transaction was in fact
// not committed, the versions are too high, and the cache refuses values of these products until the versions expire.
//
// A call takes one round trip to Redis: at most 100 ms if Redis hangs, and none if Redis is known to be down. Several
// goroutines may call it at once, for the same items in any order. The book is nil if the transaction read nothing.
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
