package inventory

import (
	"context"

	"github.com/google/uuid"

	"holdfast/inventory/cache"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

// AvailabilityCache is what the service needs of a cache; *cache.Cache is one. No method fails: a cache
// that cannot be reached says that it cannot tell. It is asked by reads of availability only, never by
// whatever changes stock.
type AvailabilityCache interface {
	// Get looks products up; false means that the database has to be read and the cache left alone.
	Get(ctx context.Context, products []uuid.UUID) (cache.Answer, bool)
	// Set stores what was read after Get had answered with this epoch.
	Set(ctx context.Context, epoch string, values []inventoryapi.Availability)
	// Invalidate drops what committed changes made stale, or sees to it that it is not used.
	Invalidate(ctx context.Context, changes []cache.Change)
	// InvalidateAll is Invalidate for all there is.
	InvalidateAll(ctx context.Context)
}

// availability reads the stock of products, from the cache where there is one and it can tell.
type availability struct {
	store   *store.Store
	cache   AvailabilityCache // may be nil
	flights *flights
}

func newAvailability(s *store.Store, c AvailabilityCache) *availability {
	return &availability{store: s, cache: c, flights: newFlights(s.Availabilities)}
}

// close ends shared reads under way and waits for them.
func (a *availability) close() { a.flights.close() }

// of returns the stock of the known ones of the given products, each once, in the order given.
//
// Unknown products are not cached: they are a mistake of the caller and rare, the database answers from
// an index, and nobody would have to remember to invalidate them when they come to be.
func (a *availability) of(ctx context.Context, products []uuid.UUID) ([]inventoryapi.Availability, error) {
	if a.cache == nil {
		return a.store.Availabilities(ctx, products)
	}
	products = store.Distinct(products)
	known, ok := a.cache.Get(ctx, products)
	if !ok {
		// Without the cache nobody can tell whether a read that is under way saw the last commit of another
		// replica, so nothing is shared.
		return a.store.Availabilities(ctx, products)
	}
	if len(known.Missing) > 0 {
		wanted := make([]missing, 0, len(known.Missing))
		for id, seen := range known.Missing {
			wanted = append(wanted, missing{id, seen})
		}
		read, err := a.flights.get(ctx, wanted, func(ctx context.Context, values []inventoryapi.Availability) {
			a.cache.Set(ctx, known.Epoch, values)
		})
		if err != nil {
			return nil, err
		}
		for _, v := range read {
			known.Values[v.ProductID] = v
		}
	}
	out := make([]inventoryapi.Availability, 0, len(products))
	for _, id := range products {
		if v, found := known.Values[id]; found {
			out = append(out, v)
		}
	}
	return out, nil
}

// Availability implements inventoryapi.API.
func (s *Service) Availability(ctx context.Context, productID uuid.UUID, quantity int64) (inventoryapi.Availability, error) {
	if err := stock.CheckWanted(quantity); err != nil {
		return inventoryapi.Availability{}, err
	}
	found, err := s.availability.of(ctx, []uuid.UUID{productID})
	switch {
	case err != nil:
		return inventoryapi.Availability{}, unavailable(err)
	case len(found) == 0:
		return inventoryapi.Availability{}, inventoryapi.Errorf(inventoryapi.ProductNotFound, "product_id", "there is no stock-keeping of product %s", productID)
	}
	return wanting(found[0], quantity), nil
}

// Availabilities implements inventoryapi.API.
func (s *Service) Availabilities(ctx context.Context, productIDs []uuid.UUID) ([]inventoryapi.Availability, error) {
	if n := len(productIDs); n == 0 || n > inventoryapi.MaxProducts {
		return nil, inventoryapi.Errorf(inventoryapi.InvalidInput, "product_ids", "name between 1 and %d products", inventoryapi.MaxProducts)
	}
	found, err := s.availability.of(ctx, productIDs)
	if err != nil {
		return nil, unavailable(err)
	}
	for i := range found {
		found[i] = wanting(found[i], 1)
	}
	return found, nil
}

func wanting(a inventoryapi.Availability, quantity int64) inventoryapi.Availability {
	a.RequestedQuantity = quantity
	a.IsAvailable = a.Sellable && a.AvailableQuantity >= quantity
	return a
}

// seen tells the cache what a transaction read of items and made of them: as they are now, the version
// included. It is called after the commit and before anybody has its answer, so that whoever has it reads
// nothing older. That holds for a refusal and for a repeated request too, which change nothing: they tell
// of what another replica committed, and that one may not have told the cache yet, or have died before it
// could. A transaction whose outcome is unknown counts as committed; where it was not, the cache refuses
// the product's values until it has forgotten the version.
//
// It takes a round trip to Redis, 100 ms when that hangs, and nothing while it is known to be away; a
// value that is up to date stays. It may be called from several goroutines at once, for the same items in
// any order. The book is nil when nothing was read.
func (s *Service) seen(book *stock.Book) {
	if s.availability.cache == nil || book == nil {
		return
	}
	var changes []cache.Change
	for it := range book.Items() {
		changes = append(changes, cache.Change{Product: it.ProductID, Location: it.Location, Version: it.Version, Deleted: it.Deleted})
	}
	s.availability.cache.Invalidate(context.Background(), changes)
}
