package inventorytest

import (
	"bytes"
	"encoding/base64"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
)

// QueriesConformance tests an implementation of inventoryapi.Queries against the contract. The subject's API must
// implement it. No other test may use the subject's database.
func QueriesConformance(t *testing.T, s Subject) {
	q, ok := s.API.(inventoryapi.Queries)
	require.True(t, ok, "%T does not implement inventoryapi.Queries", s.API)
	for _, c := range []struct {
		name string
		test func(*testing.T, Subject, inventoryapi.Queries)
	}{
		{"list", testList},
		{"statistics", testStatistics},
		{"low stock", testLowStock},
		{"holds", testHolds},
		{"reservations", testReservations},
		{"low stock below a threshold", testLowStockBelow},
		{"overdue", testOverdueList},
		{"ledger", testLedger},
		{"malformed queries", testMalformedQueries},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, s, q) })
	}
	RequireConsistent(t, s.Pool)
}

// collect follows a list's cursors to its end, in pages of the given size.
func collect[T any](t *testing.T, limit int, read func(inventoryapi.Page) ([]T, string, error)) []T {
	t.Helper()
	all := []T{}
	for page := (inventoryapi.Page{Limit: limit}); ; {
		items, next, err := read(page)
		require.NoError(t, err)
		require.NotNil(t, items, "an empty list is a list")
		require.LessOrEqual(t, len(items), limit)
		all = append(all, items...)
		if page.Cursor = next; next == "" {
			return all
		}
		require.Len(t, items, limit, "only the last page is short")
	}
}

func testList(t *testing.T, s Subject, q inventoryapi.Queries) {
	var mine []uuid.UUID
	for range 5 {
		mine = append(mine, s.Stock(t, 4, 3))
	}
	s.reserve(t, Line(mine[0], 2))
	all := collect(t, 2, func(p inventoryapi.Page) ([]inventoryapi.Availability, string, error) {
		out, err := q.List(t.Context(), p)
		return out.Items, out.NextCursor, err
	})
	require.True(t, slices.IsSortedFunc(all, func(x, y inventoryapi.Availability) int {
		return bytes.Compare(x.ProductID[:], y.ProductID[:])
	}))

	for i, p := range mine {
		n := 0
		for _, a := range all {
			if a.ProductID != p {
				continue
			}
			n++
			one, err := s.API.Availability(t.Context(), p, 1)
			require.NoError(t, err)
			require.Equal(t, one, a, "product %d is listed as a read of it alone returns it", i)
		}
		require.Equal(t, 1, n, "each product is listed once, with any number of locations")
	}

	first, err := q.List(t.Context(), inventoryapi.Page{})
	require.NoError(t, err)
	require.Equal(t, all[:min(len(all), inventoryapi.DefaultPage)], first.Items, "the zero page is the first")
}

func testStatistics(t *testing.T, s Subject, q inventoryapi.Queries) {
	hot, warm := s.Stock(t, 1000, 500), s.Stock(t, 900)
	s.reserve(t, Line(hot, 800), Line(hot, 1))
	in, _ := s.reserve(t, Line(warm, 700))
	_, err := s.API.Release(t.Context(), in.ReservationID, ReleaseOf(in))
	require.NoError(t, err)
	s.reserve(t, Line(warm, 600))
	empty := s.Stock(t, 700)
	s.reserve(t, Line(empty, 700))
	var changed time.Time
	require.NoError(t, s.Pool.QueryRow(t.Context(), "SELECT clock_timestamp()").Scan(&changed))

	var got inventoryapi.Statistics
	require.Eventually(t, func() bool {
		got, err = q.Statistics(t.Context())
		return err == nil && got.AsOf.After(changed)
	}, 30*time.Second, 20*time.Millisecond, "a read renews the remembered statistics")

	want := inventoryapi.Statistics{AsOf: got.AsOf}
	require.NoError(t, s.Pool.QueryRow(t.Context(), `
		SELECT count(*), count(DISTINCT product_id), sum(quantity), sum(reserved), sum(quantity - reserved),
			count(*) FILTER (WHERE quantity - reserved <= low_stock_threshold AND (quantity > 0 OR of_product = 0)),
			count(*) FILTER (WHERE quantity - reserved = 0),
			avg(quantity - reserved)::float8, sum(reserved)::float8 / sum(quantity)::float8,
			(SELECT count(*) FROM locations), (SELECT count(*) FROM reservations WHERE status = 'pending')
		FROM (SELECT *, sum(quantity) OVER (PARTITION BY product_id) AS of_product FROM items) i`).Scan(
		&want.Items, &want.Products, &want.Quantity, &want.Reserved, &want.Available,
		&want.LowStockCount, &want.OutOfStockCount,
		&want.AverageAvailable, &want.ReservationRate,
		&want.Locations, &want.PendingReservations))
	require.InDelta(t, want.AverageAvailable, got.AverageAvailable, 1e-9)
	require.InDelta(t, want.ReservationRate, got.ReservationRate, 1e-9)
	want.AverageAvailable, want.ReservationRate = got.AverageAvailable, got.ReservationRate
	require.Equal(t, want, got)
	require.GreaterOrEqual(t, got.OutOfStockCount, int64(1))
	require.GreaterOrEqual(t, got.PendingReservations, int64(3))

	most, err := q.MostReserved(t.Context(), 3)
	require.NoError(t, err)
	require.False(t, most.AsOf.Before(got.AsOf))
	require.Equal(t, []inventoryapi.ReservedProduct{
		{ProductID: hot, Quantity: 1500, Reserved: 801, Available: 699},
		{ProductID: empty, Quantity: 700, Reserved: 700, Available: 0},
		{ProductID: warm, Quantity: 900, Reserved: 600, Available: 300},
	}, most.Items)
	one, err := q.MostReserved(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, most.Items[:1], one.Items)

	some, err := q.MostReserved(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, most.Items, some.Items[:3])
	require.LessOrEqual(t, len(some.Items), inventoryapi.DefaultMostReserved)
	for _, p := range some.Items {
		require.Positive(t, p.Reserved)
	}
}

func testLowStock(t *testing.T, s Subject, q inventoryapi.Queries) {
	low := func(location string) []inventoryapi.LowStockItem {
		return collect(t, 2, func(p inventoryapi.Page) ([]inventoryapi.LowStockItem, string, error) {
			out, err := q.LowStock(t.Context(), inventoryapi.LowStockFilter{Location: location}, p)
			return out.Items, out.NextCursor, err
		})
	}
	of := func(items []inventoryapi.LowStockItem, product uuid.UUID) (found []inventoryapi.LowStockItem) {
		for _, i := range items {
			if i.ProductID == product {
				found = append(found, i)
			}
		}
		return found
	}

	both, far, none := s.Stock(t, 10, 3), s.Stock(t, 11, 0), s.Stock(t, 500, 500)
	atNear := inventoryapi.LowStockItem{
		ProductID:         both,
		Location:          "near",
		Quantity:          10,
		Available:         10,
		LowStockThreshold: 10,
	}
	atFar := inventoryapi.LowStockItem{
		ProductID:         both,
		Location:          "far",
		Quantity:          3,
		Available:         3,
		LowStockThreshold: 10,
	}
	require.ElementsMatch(t, []inventoryapi.LowStockItem{atNear, atFar}, of(low(""), both))
	require.Equal(t, []inventoryapi.LowStockItem{atNear}, of(low("near"), both))
	require.Equal(t, []inventoryapi.LowStockItem{atFar}, of(low("far"), both))
	require.Empty(t, of(low("near"), far), "eleven are more than ten")
	require.Empty(t, of(low(""), none))
	require.Len(t, low(""), len(low("near"))+len(low("far")))

	in, _ := s.reserve(t, Line(far, 2))
	require.Equal(t, []inventoryapi.LowStockItem{{
		ProductID:         far,
		Location:          "near",
		Quantity:          11,
		Reserved:          2,
		Available:         9,
		LowStockThreshold: 10,
	}}, of(low("near"), far))
	_, err := s.API.Release(t.Context(), in.ReservationID, ReleaseOf(in))
	require.NoError(t, err)
	require.Empty(t, of(low("near"), far), "the released stock is available again")

	// A cursor is valid only for the list that returned it.
	first, err := q.LowStock(t.Context(), inventoryapi.LowStockFilter{}, inventoryapi.Page{Limit: 1})
	require.NoError(t, err)
	require.NotEmpty(t, first.NextCursor)
	_, err = q.LowStock(t.Context(), inventoryapi.LowStockFilter{Location: "far"},
		inventoryapi.Page{Cursor: first.NextCursor})
	require.ErrorIs(t, err, inventoryapi.InvalidInput)
	_, err = q.LowStock(t.Context(), inventoryapi.LowStockFilter{}, inventoryapi.Page{Cursor: first.NextCursor, Limit: 7})
	require.NoError(t, err)

	entries, err := q.Ledger(t.Context(), both, "", inventoryapi.Page{Limit: 1})
	require.NoError(t, err)
	for _, c := range []struct {
		list string
		read func(uuid.UUID, string) error
	}{
		{"of another product", func(_ uuid.UUID, cursor string) error {
			_, err := q.Ledger(t.Context(), far, "", inventoryapi.Page{Cursor: cursor})
			return err
		}},
		{"at one of its locations", func(p uuid.UUID, cursor string) error {
			_, err := q.Ledger(t.Context(), p, "near", inventoryapi.Page{Cursor: cursor})
			return err
		}},
		{"of another kind", func(p uuid.UUID, cursor string) error {
			_, err := q.Holds(t.Context(), p, inventoryapi.Page{Cursor: cursor})
			return err
		}},
	} {
		require.ErrorIs(t, c.read(both, entries.NextCursor), inventoryapi.InvalidInput, c.list)
	}
}

func testHolds(t *testing.T, s Subject, q inventoryapi.Queries) {
	p, other := s.Stock(t, 5, 50), s.Stock(t, 50)
	holds := func(product uuid.UUID) []inventoryapi.Hold {
		return collect(t, 2, func(page inventoryapi.Page) ([]inventoryapi.Hold, string, error) {
			out, err := q.Holds(t.Context(), product, page)
			return out.Items, out.NextCursor, err
		})
	}
	require.Empty(t, holds(p))
	_, err := q.Holds(t.Context(), uuid.New(), inventoryapi.Page{})
	require.ErrorIs(t, err, inventoryapi.ProductNotFound)

	want := []inventoryapi.Hold{}
	hold := func(ttl int64, ended bool, lines ...inventoryapi.ReserveLine) uuid.UUID {
		in := NewReserve(lines...)
		in.TTLSeconds = ttl
		out, err := s.API.Reserve(t.Context(), in)
		require.NoError(t, err)
		if ended {
			_, err = s.API.Confirm(t.Context(), in.ReservationID, Resolve())
			require.NoError(t, err)
			return in.ReservationID
		}
		for _, l := range out.Lines {
			if l.ProductID == p {
				want = append(want, inventoryapi.Hold{
					ReservationID: in.ReservationID,
					OwnerKind:     in.OwnerKind,
					OwnerID:       in.OwnerID,
					Number:        1,
					WorkflowID:    in.WorkflowID,
					LineNo:        l.LineNo,
					Location:      l.Location,
					Quantity:      l.Quantity,
					CreatedAt:     out.CreatedAt,
					ExpiresAt:     out.ExpiresAt,
				})
			}
		}
		return in.ReservationID
	}

	hold(300, false, Line(p, 1), Line(other, 2), Line(p, 3)) // twice on one reservation
	hold(900, false, Line(p, 45))
	hold(60, true, Line(p, 1)) // confirmed: holds nothing any more
	hold(600, false, Line(p, 4), Line(other, 1))
	late := hold(1200, false, Line(p, 1))

	byDeadline := func(x, y inventoryapi.Hold) int { return x.ExpiresAt.Compare(y.ExpiresAt) }
	slices.SortStableFunc(want, byDeadline)
	require.Len(t, want, 5)
	require.Equal(t, want, holds(p))
	require.Len(t, holds(other), 2)

	s.Age(t, late)
	got := holds(p)
	require.Equal(t, late, got[0].ReservationID, "its deadline is the earliest now")
	require.True(t, got[0].Overdue)
	require.False(t, got[1].Overdue)

	_, err = s.API.Expire(t.Context(), late, Resolve())
	require.NoError(t, err)
	require.Equal(t, want[:len(want)-1], holds(p))
}

func testLedger(t *testing.T, s Subject, q inventoryapi.Queries) {
	entries := func(product uuid.UUID, location string) []inventoryapi.LedgerEntry {
		return collect(t, 2, func(p inventoryapi.Page) ([]inventoryapi.LedgerEntry, string, error) {
			out, err := q.Ledger(t.Context(), product, location, p)
			return out.Items, out.NextCursor, err
		})
	}
	_, err := q.Ledger(t.Context(), uuid.New(), "", inventoryapi.Page{})
	require.ErrorIs(t, err, inventoryapi.ProductNotFound)

	before := time.Now().Add(-time.Minute)
	p, other := s.Stock(t, 3, 5), s.Stock(t, 7)
	in, _ := s.reserve(t, Line(p, 7), Line(other, 1))
	done := Resolve()
	_, err = s.API.Confirm(t.Context(), in.ReservationID, done)
	require.NoError(t, err)
	_, err = s.Service.Receive(t.Context(), stock.Receive{
		OperationID: uuid.New(),
		ProductID:   p,
		Location:    "far",
		Quantity:    2,
		Actor:       Actor,
	})
	require.NoError(t, err)

	all := entries(p, "")
	require.Len(t, all, 7)
	require.True(t, slices.IsSortedFunc(all, func(x, y inventoryapi.LedgerEntry) int {
		return int(y.LedgerID - x.LedgerID)
	}), "newest first, across locations")
	require.Equal(t, "received", all[0].Kind)
	require.Equal(t, uuid.Nil, all[0].ReservationID)
	near, far := entries(p, "near"), entries(p, "far")
	require.Len(t, near, 3)
	require.Len(t, far, 4)
	require.ElementsMatch(t, all, append(slices.Clone(near), far...))

	got := near[0]
	require.Positive(t, got.LedgerID)
	require.True(t, got.CreatedAt.After(before))
	got.LedgerID, got.CreatedAt = 0, time.Time{}
	require.Equal(t, inventoryapi.LedgerEntry{
		OperationID:   done.OperationID,
		Kind:          "confirmed",
		Location:      "near",
		Line:          1,
		QuantityDelta: -3,
		ReservedDelta: -3,
		VersionAfter:  3,
		ReservationID: in.ReservationID,
		Actor:         Actor,
		Reason:        "test",
	}, got)
	require.Empty(t, entries(other, "far"), "the product exists, but was never at far")
}

func testOverdueList(t *testing.T, s Subject, q inventoryapi.Queries) {
	p, other := s.Stock(t, 5, 50), s.Stock(t, 50)
	overdue := func() map[uuid.UUID]inventoryapi.OverdueReservation {
		out := map[uuid.UUID]inventoryapi.OverdueReservation{}
		last := time.Time{}
		for _, r := range collect(t, 2, func(page inventoryapi.Page) ([]inventoryapi.OverdueReservation, string, error) {
			out, err := q.Overdue(t.Context(), page)
			return out.Items, out.NextCursor, err
		}) {
			require.NotContains(t, out, r.ReservationID, "each once")
			require.False(t, r.ExpiresAt.Before(last), "by deadline")
			out[r.ReservationID], last = r, r.ExpiresAt
		}
		return out
	}
	hold := func(ttl int64, lines ...inventoryapi.ReserveLine) inventoryapi.ReserveRequest {
		in := NewReserve(lines...)
		in.TTLSeconds = ttl
		_, err := s.API.Reserve(t.Context(), in)
		require.NoError(t, err)
		return in
	}

	// One reservation with lines at two locations and of two products, two others, one that has ended, one in time.
	wide := hold(1, Line(p, 8), Line(other, 1))
	second, third := hold(1, Line(other, 1)), hold(1, Line(p, 1))
	ended, inTime := hold(1, Line(p, 1)), hold(600, Line(p, 1))
	_, err := s.API.Confirm(t.Context(), ended.ReservationID, Resolve())
	require.NoError(t, err)

	require.EventuallyWithT(t, func(c *assert.CollectT) {
		found := overdue()
		for _, in := range []inventoryapi.ReserveRequest{wide, second, third} {
			assert.Contains(c, found, in.ReservationID)
		}
	}, 10*time.Second, 50*time.Millisecond)
	found := overdue()
	require.NotContains(t, found, ended.ReservationID)
	require.NotContains(t, found, inTime.ReservationID)
	got := found[wide.ReservationID]
	require.Equal(t, wide.OwnerID, got.OwnerID)
	require.Equal(t, wide.OwnerKind, got.OwnerKind)
	require.Equal(t, wide.WorkflowID, got.WorkflowID)
	require.Equal(t, 1, got.Number)

	_, err = s.API.Expire(t.Context(), wide.ReservationID, Resolve())
	require.NoError(t, err)
	require.NotContains(t, overdue(), wide.ReservationID)
}

func testMalformedQueries(t *testing.T, s Subject, q inventoryapi.Queries) {
	product := s.Stock(t, 1)
	refused := func(err error, field string) {
		t.Helper()
		var e *inventoryapi.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, inventoryapi.InvalidInput, e.Code)
		require.Equal(t, field, e.Field)
	}
	lists := map[string]func(location string, p inventoryapi.Page) error{
		"list": func(_ string, p inventoryapi.Page) error { _, err := q.List(t.Context(), p); return err },
		"low stock": func(l string, p inventoryapi.Page) error {
			_, err := q.LowStock(t.Context(), inventoryapi.LowStockFilter{Location: l}, p)
			return err
		},
		"reservations": func(_ string, p inventoryapi.Page) error {
			_, err := q.Reservations(t.Context(), inventoryapi.ReservationFilter{}, p)
			return err
		},
		"holds":   func(_ string, p inventoryapi.Page) error { _, err := q.Holds(t.Context(), product, p); return err },
		"overdue": func(_ string, p inventoryapi.Page) error { _, err := q.Overdue(t.Context(), p); return err },
		"reorder": func(_ string, p inventoryapi.Page) error {
			_, err := q.ReorderProposals(t.Context(), inventoryapi.ReorderOpen, p)
			return err
		},
		"ledger": func(l string, p inventoryapi.Page) error { _, err := q.Ledger(t.Context(), product, l, p); return err },
	}

	encode := func(json string) string { return base64.RawURLEncoding.EncodeToString([]byte(json)) }
	cursors := []string{
		"x", "%00", "{}", "\x00", "ü",
		encode(`{"another":"list"}`), encode("{}"), encode("null"),
	}
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		list := lists[name]
		require.NoError(t, list("", inventoryapi.Page{Limit: inventoryapi.MaxPage}), name)
		for _, limit := range []int{-1, inventoryapi.MaxPage + 1, 1 << 40} {
			refused(list("", inventoryapi.Page{Limit: limit}), "limit")
		}
		for _, cursor := range cursors {
			refused(list("", inventoryapi.Page{Cursor: cursor}), "cursor")
		}
	}

	tooLong := string(bytes.Repeat([]byte("a"), 65))
	for _, location := range []string{"nowhere", "Near", "-", "a b", "near'", "\x00", "\xff", tooLong} {
		refused(lists["low stock"](location, inventoryapi.Page{}), "location")
		refused(lists["ledger"](location, inventoryapi.Page{}), "location")
	}

	for _, limit := range []int{-1, inventoryapi.MaxMostReserved + 1} {
		_, err := q.MostReserved(t.Context(), limit)
		refused(err, "limit")
	}
	_, err := q.MostReserved(t.Context(), inventoryapi.MaxMostReserved)
	require.NoError(t, err)
}
