package inventorytest

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

func testReservations(t *testing.T, s Subject, q inventoryapi.Queries) {
	product := s.Stock(t, 50, 50)
	begin := time.Now().Add(-time.Hour)
	list := func(f inventoryapi.ReservationFilter) map[uuid.UUID]inventoryapi.ListedReservation {
		t.Helper()
		out := map[uuid.UUID]inventoryapi.ListedReservation{}
		last := time.Time{}
		for _, r := range collect(t, 2, func(p inventoryapi.Page) ([]inventoryapi.ListedReservation, string, error) {
			out, err := q.Reservations(t.Context(), f, p)
			return out.Items, out.NextCursor, err
		}) {
			require.NotContains(t, out, r.ReservationID, "each once")
			require.True(t, last.IsZero() || !r.ExpiresAt.After(last), "the latest deadline first")
			out[r.ReservationID], last = r, r.ExpiresAt
		}
		return out
	}
	hold := func(ttl int64, quantity int64) (inventoryapi.ReserveRequest, inventoryapi.Reservation) {
		in := NewReserve(Line(product, quantity))
		in.TTLSeconds = ttl
		out, err := s.API.Reserve(t.Context(), in)
		require.NoError(t, err)
		return in, out
	}

	_, soon := hold(600, 1)
	wideIn, wide := hold(1200, 60) // over two locations, and once in the list
	_, done := hold(1800, 1)
	_, err := s.API.Confirm(t.Context(), done.ReservationID, Resolve())
	require.NoError(t, err)

	all := list(inventoryapi.ReservationFilter{ExpiresAfter: begin})
	for _, r := range []inventoryapi.Reservation{soon, wide, done} {
		require.Contains(t, all, r.ReservationID)
	}
	got := all[wide.ReservationID]
	require.Equal(t, inventoryapi.StatusPending, got.Status)
	require.Equal(t, wideIn.OwnerID, got.OwnerID)
	require.Equal(t, wideIn.WorkflowID, got.WorkflowID)
	require.False(t, got.Overdue)
	require.True(t, got.ResolvedAt.IsZero())
	require.False(t, all[done.ReservationID].ResolvedAt.IsZero())

	pending := list(inventoryapi.ReservationFilter{Statuses: []inventoryapi.Status{inventoryapi.StatusPending}})
	require.Equal(t, got, pending[wide.ReservationID])
	require.Contains(t, pending, soon.ReservationID)
	require.NotContains(t, pending, done.ReservationID)
	ended := list(inventoryapi.ReservationFilter{
		Statuses: []inventoryapi.Status{inventoryapi.StatusConfirmed, inventoryapi.StatusReleased}, ExpiresAfter: begin,
	})
	require.Contains(t, ended, done.ReservationID)
	require.NotContains(t, ended, soon.ReservationID)

	between := inventoryapi.ReservationFilter{ExpiresAfter: soon.ExpiresAt, ExpiresBefore: wide.ExpiresAt}
	require.Contains(t, list(between), soon.ReservationID, "at this time or later")
	require.NotContains(t, list(between), wide.ReservationID, "before this time")
	between.Statuses = []inventoryapi.Status{inventoryapi.StatusPending}
	require.Contains(t, list(between), soon.ReservationID)
	require.NotContains(t, list(between), wide.ReservationID)

	of := inventoryapi.ReservationFilter{OrderID: wideIn.OwnerID}
	require.Equal(t, map[uuid.UUID]inventoryapi.ListedReservation{wide.ReservationID: got}, list(of))
	of.Statuses = []inventoryapi.Status{inventoryapi.StatusExpired}
	require.Empty(t, list(of))
	require.Empty(t, list(inventoryapi.ReservationFilter{OrderID: uuid.New()}))
}

func testLowStockBelow(t *testing.T, s Subject, q inventoryapi.Queries) {
	product := s.Stock(t, 25, 40)
	low := func(threshold int64) (found []string) {
		for _, i := range collect(t, 2, func(p inventoryapi.Page) ([]inventoryapi.LowStockItem, string, error) {
			out, err := q.LowStock(t.Context(), inventoryapi.LowStockFilter{Threshold: &threshold}, p)
			return out.Items, out.NextCursor, err
		}) {
			if i.ProductID == product {
				require.LessOrEqual(t, i.Available, threshold)
				found = append(found, i.Location)
			}
		}
		return found
	}
	require.Empty(t, low(24))
	require.Equal(t, []string{"near"}, low(25))
	require.ElementsMatch(t, []string{"near", "far"}, low(40))
	require.Empty(t, low(0))
}
