package inventory

import (
	"context"
	"fmt"
	"hash/crc32"
	"math"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"holdfast/internal/cursor"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/statistics"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

var _ inventoryapi.Queries = (*Service)(nil)

// List implements inventoryapi.Queries.
func (s *Service) List(ctx context.Context, page inventoryapi.Page) (inventoryapi.AvailabilityList, error) {
	type position struct {
		ProductID uuid.UUID `json:"p"`
	}
	at, err := positionOf("stock", page, "", position{}, func(p position) bool { return p.ProductID != uuid.Nil })
	if err != nil {
		return inventoryapi.AvailabilityList{}, err
	}
	ids, err := s.store.Products(ctx, at.after.ProductID, at.limit+1)
	if err != nil {
		return inventoryapi.AvailabilityList{}, unavailable(err)
	}
	out := inventoryapi.AvailabilityList{Items: []inventoryapi.Availability{}}
	ids, out.NextCursor = cursor.Cut(at.list, ids, at.limit, func(id uuid.UUID) position { return position{id} })
	if len(ids) > 0 {
		if out.Items, err = s.availability.Read(ctx, ids); err != nil {
			return inventoryapi.AvailabilityList{}, unavailable(err)
		}
		for i := range out.Items {
			out.Items[i] = forQuantity(out.Items[i], 1)
		}
	}
	return out, nil
}

// LowStock implements inventoryapi.Queries.
func (s *Service) LowStock(
	ctx context.Context, filter inventoryapi.LowStockFilter, page inventoryapi.Page,
) (out inventoryapi.LowStockList, err error) {
	first := store.ItemPosition{LocationID: math.MinInt32, ItemID: math.MinInt64}
	filters := filter.Location
	if filter.Threshold != nil {
		if *filter.Threshold < 0 || *filter.Threshold > inventoryapi.MaxThreshold {
			return out, inventoryapi.Errorf(inventoryapi.InvalidInput, "threshold",
				"threshold is %d; it lies between 0 and %d", *filter.Threshold, int64(inventoryapi.MaxThreshold))
		}
		filters = fmt.Sprintf("%s %d", filter.Location, *filter.Threshold)
	}
	position, err := positionOf("low", page, filters, first, func(p store.ItemPosition) bool {
		return p.LocationID != 0 && p.ItemID != 0
	})
	if err != nil {
		return out, err
	}
	at, err := s.locations(ctx, filter.Location)
	if err != nil {
		return out, err
	}
	rows, err := s.store.LowStock(ctx, at, filter.Threshold, position.after, position.limit+1)
	if err != nil {
		return out, unavailable(err)
	}
	out.Items, out.NextCursor = cut(rows, position)
	return out, nil
}

// Holds implements inventoryapi.Queries.
func (s *Service) Holds(
	ctx context.Context, productID uuid.UUID, page inventoryapi.Page,
) (out inventoryapi.HoldList, err error) {
	first := store.HoldPosition{}
	position, err := positionOf("holds", page, productID.String(), first, func(p store.HoldPosition) bool {
		return !p.ExpiresAt.IsZero() && p.ReservationID != uuid.Nil && p.LineNo != 0 && p.ItemID != 0
	})
	if err != nil {
		return out, err
	}
	rows, err := s.store.Holds(ctx, productID, position.after, position.limit+1)
	if err != nil {
		return out, unavailable(err)
	}
	if len(rows) == 0 {
		if err := s.requireProduct(ctx, productID); err != nil {
			return out, err
		}
	}
	out.Items, out.NextCursor = cut(rows, position)
	return out, nil
}

// Reservations implements inventoryapi.Queries.
func (s *Service) Reservations(
	ctx context.Context, filter inventoryapi.ReservationFilter, page inventoryapi.Page,
) (out inventoryapi.ReservationList, err error) {
	for i, status := range filter.Statuses {
		if !status.Valid() || slices.Contains(filter.Statuses[:i], status) {
			return out, inventoryapi.Errorf(inventoryapi.InvalidInput, "status",
				"status is %q; use pending, confirmed, released or expired, each once", status)
		}
	}
	first := store.DeadlinePosition{ExpiresAt: filter.ExpiresBefore}
	if first.ExpiresAt.IsZero() {
		first = store.DeadlinePosition{ExpiresAt: farthest, ReservationID: uuid.Max}
	}
	filters := fmt.Sprint(
		filter.Statuses, filter.OrderID, filter.ExpiresAfter.UnixMicro(), filter.ExpiresBefore.UnixMicro())
	position, err := positionOf("reservations", page, filters, first, func(p store.DeadlinePosition) bool {
		return !p.ExpiresAt.IsZero() && p.ReservationID != uuid.Nil
	})
	if err != nil {
		return out, err
	}
	rows, stopped, err := s.store.Reservations(ctx, filter, position.after, position.limit+1)
	if err != nil {
		return out, unavailable(err)
	}
	out.Items, out.NextCursor = cut(rows, position)
	if out.NextCursor == "" && stopped != nil {
		out.NextCursor = cursor.Encode(position.list, *stopped)
	}
	return out, nil
}

// farthest is later than every deadline.
var farthest = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// Overdue implements inventoryapi.Queries.
func (s *Service) Overdue(ctx context.Context, page inventoryapi.Page) (out inventoryapi.OverdueList, err error) {
	first := store.OverduePosition{}
	position, err := positionOf("overdue", page, "", first, func(p store.OverduePosition) bool {
		return !p.ExpiresAt.IsZero() && p.ReservationID != uuid.Nil
	})
	if err != nil {
		return out, err
	}
	rows, err := s.store.Overdue(ctx, position.after, position.limit+1)
	if err != nil {
		return out, unavailable(err)
	}
	out.Items, out.NextCursor = cut(rows, position)
	return out, nil
}

// Ledger implements inventoryapi.Queries.
func (s *Service) Ledger(
	ctx context.Context, productID uuid.UUID, location string, page inventoryapi.Page,
) (out inventoryapi.Ledger, err error) {
	filters := productID.String() + location
	first := store.EntryPosition{LedgerID: math.MaxInt64}
	position, err := positionOf("ledger", page, filters, first, func(p store.EntryPosition) bool {
		return p.LedgerID > 0
	})
	if err != nil {
		return out, err
	}
	at, err := s.locations(ctx, location)
	if err != nil {
		return out, err
	}
	rows, err := s.store.Ledger(ctx, productID, at, position.after, position.limit+1)
	if err != nil {
		return out, unavailable(err)
	}
	if len(rows) == 0 {
		if err := s.requireProduct(ctx, productID); err != nil {
			return out, err
		}
	}
	out.Items, out.NextCursor = cut(rows, position)
	if out.ArchivedEntries, err = s.store.ArchivedEntries(ctx, productID, at); err != nil {
		return out, unavailable(err)
	}
	return out, nil
}

// Statistics implements inventoryapi.Queries.
func (s *Service) Statistics(ctx context.Context) (inventoryapi.Statistics, error) {
	found, err := s.statistics.Latest(ctx)
	if err != nil {
		return inventoryapi.Statistics{}, unavailable(err)
	}
	return found.Totals, nil
}

// MostReserved implements inventoryapi.Queries.
func (s *Service) MostReserved(ctx context.Context, limit int) (inventoryapi.MostReserved, error) {
	limit, err := limitOf(limit, inventoryapi.DefaultMostReserved, inventoryapi.MaxMostReserved)
	if err != nil {
		return inventoryapi.MostReserved{}, err
	}
	found, err := s.statistics.Latest(ctx)
	if err != nil {
		return inventoryapi.MostReserved{}, unavailable(err)
	}
	out := found.Most
	n := min(limit, len(out.Items))
	out.Items = out.Items[:n:n] // shared with other callers: an append must not write into it
	return out, nil
}

// computeStatistics reads one snapshot from the database.
func (s *Service) computeStatistics(ctx context.Context) (statistics.Snapshot, error) {
	totals, most, err := s.store.Statistics(ctx, inventoryapi.MaxMostReserved, statistics.ComputeLimit)
	return statistics.Snapshot{Totals: totals, Most: most}, err
}

// pagePosition is the position of a page in a list.
type pagePosition[P any] struct {
	list  string // the list's name with a checksum of its filters
	after P      // the position of the last row before the page
	limit int    // the number of rows on the page
}

// positionOf returns the position of a page in the named list with the given filters. It refuses a cursor of another
// list, which would lead to an arbitrary page or to an empty page. Queries ask for one row more than the page has,
// which shows whether there is another page.
func positionOf[P any](
	name string, page inventoryapi.Page, filters string, first P, valid func(P) bool,
) (pagePosition[P], error) {
	checksum := crc32.ChecksumIEEE([]byte(filters))
	at := pagePosition[P]{list: name + ":" + strconv.FormatUint(uint64(checksum), 36), after: first}
	var err error
	at.limit, err = limitOf(page.Limit, inventoryapi.DefaultPage, inventoryapi.MaxPage)
	if err != nil || page.Cursor == "" {
		return at, err
	}
	from, err := cursor.Decode[P](at.list, page.Cursor)
	if err != nil || !valid(from) {
		return at, inventoryapi.Errorf(inventoryapi.InvalidInput, "cursor",
			"send the next_cursor of the previous page of the same list")
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

// cut removes the row after the page, if there is one, and returns the cursor of the next page.
func cut[T, P any](rows []store.Row[T, P], at pagePosition[P]) ([]T, string) {
	rows, next := cursor.Cut(at.list, rows, at.limit, func(r store.Row[T, P]) P { return r.Position })
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = r.Value
	}
	return out, next
}

// locationCode is the pattern of location codes, as in the database.
var locationCode = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// locations returns the location with a code, or all locations if the code is empty. An unknown code is an error: after
// a typing error, an empty list would look as if all was well at that location.
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

// requireProduct returns an error if the product has no stock record, so that an empty list means an empty list.
func (s *Service) requireProduct(ctx context.Context, productID uuid.UUID) error {
	found, err := s.store.HasProduct(ctx, productID)
	switch {
	case err != nil:
		return unavailable(err)
	case !found:
		return stock.ProductNotFound(productID)
	}
	return nil
}
