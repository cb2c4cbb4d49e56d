package inventory_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
)

// TestReplaceOnce: twelve callers replace the same reservation at three replicas, each under a number of its own. One
// wins, and the others learn that the reservation has ended.
func TestReplaceOnce(t *testing.T) {
	t.Parallel()
	services, _, s := inventorytest.NewReplicas(t)
	for range 10 {
		p := s.Stock(t, 20)
		old := inventorytest.NewReserve(inventorytest.Line(p, 5))
		_, err := s.API.Reserve(t.Context(), old)
		require.NoError(t, err)
		errs := make([]error, 12)
		inventorytest.Together(len(errs), func(i int) {
			in := inventorytest.ReplaceOf(old, inventorytest.Line(p, 7))
			in.Number = 2 + i
			in.ReservationID = inventoryapi.NewReservationID(in.OwnerKind, in.OwnerID, in.Number)
			_, errs[i] = services[i%3].Reserve(t.Context(), in)
		})

		won := 0
		for _, err := range errs {
			if err == nil {
				won++
				continue
			}
			require.ErrorIs(t, err, inventoryapi.ReservationNotPending)
		}
		require.Equal(t, 1, won)
		available, reserved := s.Available(t, p)
		require.Equal(t, [2]int64{13, 7}, [2]int64{available, reserved})
	}
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestReplaceRacesConfirm: a reservation is replaced while it is confirmed. Exactly one of the two takes
// place.
func TestReplaceRacesConfirm(t *testing.T) {
	t.Parallel()
	services, _, s := inventorytest.NewReplicas(t)
	replaced := 0
	for range 20 {
		p := s.Stock(t, 3)
		old := inventorytest.NewReserve(inventorytest.Line(p, 2))
		_, err := s.API.Reserve(t.Context(), old)
		require.NoError(t, err)
		next := inventorytest.ReplaceOf(old, inventorytest.Line(p, 3))
		var made, confirmed error
		inventorytest.Together(2, func(side int) {
			if side == 0 {
				_, made = services[1].Reserve(t.Context(), next)
				return
			}
			_, confirmed = services[2].Confirm(t.Context(), old.ReservationID, inventorytest.Resolve())
		})
		require.NotEqual(t, made == nil, confirmed == nil, "%v, %v", made, confirmed)
		if made == nil {
			replaced++
			require.ErrorIs(t, confirmed, inventoryapi.AlreadyResolved)
			_, err = s.API.Confirm(t.Context(), next.ReservationID, inventorytest.Resolve())
			require.NoError(t, err)
			continue
		}
		var status *inventoryapi.StatusError
		require.ErrorAs(t, made, &status)
		require.Equal(t, inventoryapi.StatusConfirmed, status.Status)
	}
	t.Logf("replaced %d of 20", replaced)
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestReplaceBeforeBackorders: backorders wait for the product of the reservation. Its owner keeps its units when it
// replaces the reservation, gets no more of the product, and what it gives back is granted in the same transaction.
func TestReplaceBeforeBackorders(t *testing.T) {
	t.Parallel()
	services, _, s := inventorytest.NewReplicas(t)
	p := s.Stock(t, 5)
	old := inventorytest.NewReserve(inventorytest.Line(p, 5))
	_, err := s.API.Reserve(t.Context(), old)
	require.NoError(t, err)
	waiting := placeWaiting(t, services[0], inventorytest.Line(p, 2))

	same := inventorytest.ReplaceOf(old, inventorytest.Line(p, 2), inventorytest.Line(p, 3))
	_, err = services[1].Reserve(t.Context(), same)
	require.NoError(t, err)
	_, err = services[1].Reserve(t.Context(), inventorytest.ReplaceOf(same, inventorytest.Line(p, 6)))
	require.Equal(t, &inventoryapi.InsufficientStockError{Lines: []inventoryapi.ShortLine{
		{ProductID: p, Requested: 6, Available: 5},
	}}, err)
	less := inventorytest.ReplaceOf(same, inventorytest.Line(p, 3))
	_, err = services[1].Reserve(t.Context(), less)
	require.NoError(t, err)

	now, err := s.Service.GetBackorder(t.Context(), waiting.BackorderID)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.BackorderGranted, now.Status)
	available, reserved := s.Available(t, p)
	require.Equal(t, [2]int64{0, 5}, [2]int64{available, reserved})
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestReplaceTakesOverdueStock: a replacement that would be short takes back what is due, as any reserve does.
func TestReplaceTakesOverdueStock(t *testing.T) {
	t.Parallel()
	services, _, s := inventorytest.NewReplicas(t)
	p := s.Stock(t, 4)
	old := inventorytest.NewReserve(inventorytest.Line(p, 2))
	_, err := s.API.Reserve(t.Context(), old)
	require.NoError(t, err)
	late := overdue(t, s, inventorytest.Line(p, 2))

	_, err = services[0].Reserve(t.Context(), inventorytest.ReplaceOf(old, inventorytest.Line(p, 4)))
	require.NoError(t, err)
	got, err := s.API.GetReservation(t.Context(), late.ReservationID)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.StatusExpired, got.Status)
	got, err = s.API.GetReservation(t.Context(), old.ReservationID)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.StatusReleased, got.Status)
	inventorytest.RequireConsistent(t, s.Pool)
}
