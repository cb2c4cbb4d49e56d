package inventory

import (
	"context"
	"hash/crc32"
	"math"
	"regexp"
	"strconv"

	"github.com/google/uuid"

	"holdfast/internal/cursor"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/store"
)

var _ inventoryapi.Queries = (*Service)(nil)

// List implements inventoryapi.Queries.
func (s *Service) List(ctx context.Context, page inventoryapi.Page) (inventoryapi.AvailabilityList, error) {
	type position struct {
		ProductID uuid.UUID `json:"p"`
	}
	at, err := pageOf("stock", page, "", position{}, func(p position) bool { return p.ProductID != uuid.Nil })
	if err != nil {
		return inventoryapi.AvailabilityList{}, err
	}
	ids, err := s.store.Products(ctx, at.after.ProductID, at.limit+1)
	if err != nil {
		return inventoryapi.AvailabilityList{}, unavailable(err)
	}
	out := inventoryapi.AvailabilityList{Items: []inventoryapi.Availability{}}
	if len(ids) > at.limit {
		ids = ids[:at.limit]
		out.NextCursor = at.next(position{ids[at.limit-1]})
	}
	if len(ids) > 0 {
		if out.Items, err = s.availability.of(ctx, ids); err != nil {
			return inventoryapi.AvailabilityList{}, unavailable(err)
		}
		for i := range out.Items {
			out.Items[i] = wanting(out.Items[i], 1)
		}
	}
	return out, nil
}

// LowStock implements inventoryapi.Queries.
func (s *Service) LowStock(ctx context.Context, location string, page inventoryapi.Page) (out inventoryapi.LowStockList, err error) {
	place, err := pageOf("low", page, location, store.ItemPosition{LocationID: math.MinInt32, ItemID: math.MinInt64},
		func(p store.ItemPosition) bool { return p.LocationID != 0 && p.ItemID != 0 })
	if err != nil {
		return out, err
	}
	at, err := s.locations(ctx, location)
	if err != nil {
		return out, err
	}
	rows, err := s.store.LowStock(ctx, at, place.after, place.limit+1)
	if err != nil {
		return out, unavailable(err)
	}
	out.Items, out.NextCursor = cut(rows, place)
	return out, nil
}

// Holds implements inventoryapi.Queries.
func (s *Service) Holds(ctx context.Context, productID uuid.UUID, page inventoryapi.Page) (out inventoryapi.HoldList, err error) {
	place, err := pageOf("holds", page, productID.String(), store.HoldPosition{}, func(p store.HoldPosition) bool {
		return !p.ExpiresAt.IsZero() && p.ReservationID != uuid.Nil && p.LineNo != 0 && p.ItemID != 0
	})
	if err != nil {
		return out, err
	}
	rows, err := s.store.Holds(ctx, productID, place.after, place.limit+1)
	if err != nil {
		return out, unavailable(err)
	}
	if len(rows) == 0 {
		if err := s.mustKnow(ctx, productID); err != nil {
			return out, err
		}
	}
	out.Items, out.NextCursor = cut(rows, place)
	return out, nil
}

// Ledger implements inventoryapi.Queries.
func (s *Service) Ledger(ctx context.Context, productID uuid.UUID, location string, page inventoryapi.Page) (out inventoryapi.Ledger, err error) {
	place, err := pageOf("ledger", page, productID.String()+location, store.EntryPosition{LedgerID: math.MaxInt64}, func(p store.EntryPosition) bool { return p.LedgerID > 0 })
	if err != nil {
		return out, err
	}
	at, err := s.locations(ctx, location)
	if err != nil {
		return out, err
	}
	rows, err := s.store.Ledger(ctx, productID, at, place.after, place.limit+1)
	if err != nil {
		return out, unavailable(err)
	}
	if len(rows) == 0 {
		if err := s.mustKnow(ctx, productID); err != nil {
			return out, err
		}
	}
	out.Items, out.NextCursor = cut(rows, place)
	if out.ArchivedEntries, err = s.store.ArchivedEntries(ctx, productID, at); err != nil {
		return out, unavailable(err)
	}
	return out, nil
}

// place is where a page of a list is.
type place[P any] struct {
	list  string // which list, with its filters in short
	after P      // the position that it follows
	limit int    // how many rows it has
}

func (p place[P]) next(last P) string { return cursor.Encode(p.list, last) }

// pageOf returns where a page is of the named list with the given filters. A cursor of another list is refused: the page
// that it led to there would be empty or begin anywhere, and an empty one tells that there is nothing. Lists are asked for one row more than
// the page, which tells whether there is another.
func pageOf[P any](name string, page inventoryapi.Page, filters string, first P, valid func(P) bool) (place[P], error) {
	at := place[P]{list: name + ":" + strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(filters))), 36), after: first}
	var err error
	if at.limit, err = limitOf(page.Limit, inventoryapi.DefaultPage, inventoryapi.MaxPage); err != nil || page.Cursor == "" {
		return at, err
	}
	from, err := cursor.Decode[P](at.list, page.Cursor)
	if err != nil || !valid(from) {
		return at, inventoryapi.Errorf(inventoryapi.InvalidInput, "cursor", "use the next_cursor of the page before, of the same list")
	}
	at.after = from
	return at, nil
}

func limitOf(limit, byDefault, most int) (int, error) {
	if limit == 0 {
		return byDefault, nil
	}
	if limit < 1 || limit > most {
		return 0, inventoryapi.Errorf(inventoryapi.InvalidInput, "limit", "limit lies between 1 and %d", most)
	}
	return limit, nil
}

// cut takes the row too many away and makes the cursor that leads to it.
func cut[T, P any](rows []store.Row[T, P], at place[P]) ([]T, string) {
	next := ""
	if len(rows) > at.limit {
		rows = rows[:at.limit]
		next = at.next(rows[at.limit-1].Position)
	}
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = r.Value
	}
	return out, next
}

// locationCode is what the database accepts as the code of a location.
var locationCode = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// locations is the location of that code, or all of them where it is empty. An unknown one is an
// error: an empty list would tell whoever mistyped it that all is well there.
func (s *Service) locations(ctx context.Context, code string) (store.Locations, error) {
	if code == "" {
		return store.AllLocations, nil
	}
	if !locationCode.MatchString(code) {
		return store.Locations{}, inventoryapi.Errorf(inventoryapi.InvalidInput, "location",
			"a location's code has 1 to 64 of the characters a-z, 0-9 and -, and does not begin with -")
	}
	at, found, err := s.store.FindLocation(ctx, code)
	switch {
	case err != nil:
		return at, unavailable(err)
	case !found:
		return at, inventoryapi.Errorf(inventoryapi.InvalidInput, "location", "there is no location %s", code)
	}
	return at, nil
}

// mustKnow tells an empty list from a product that there is none of.
func (s *Service) mustKnow(ctx context.Context, productID uuid.UUID) error {
	found, err := s.store.HasProduct(ctx, productID)
	switch {
	case err != nil:
		return unavailable(err)
	case !found:
		return inventoryapi.Errorf(inventoryapi.ProductNotFound, "product_id", "there is no stock-keeping of product %s", productID)
	}
	return nil
}
