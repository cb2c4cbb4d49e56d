package groupcommit_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/inventory"
	"holdfast/inventory/groupcommit"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

// A service that has not seen a repeated reserve lately does not look reservations up before it makes them. A repeated
// reserve still gets its first answer, also if no stock is left for a second one, and if the reservation has ended.
func TestRepeatedReserveFindsItsReservation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		stock    int64
		released bool // before the reserve arrived
	}{
		{name: "stock left", stock: 5},
		{name: "stock left, released", stock: 5, released: true},
		{name: "sold out", stock: 1},
		{name: "sold out, released", stock: 1, released: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := inventorytest.NewService(t)
			product := s.Stock(t, c.stock)
			in := inventorytest.NewReserve(inventorytest.Line(product, 1))
			if c.released {
				_, err := s.API.Release(t.Context(), in.ReservationID, inventorytest.ReleaseOf(in))
				require.NoError(t, err)
				if c.stock == 1 { // another reservation takes it
					_, err = s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(product, 1)))
					require.NoError(t, err)
				}
			} else {
				_, err := s.API.Reserve(t.Context(), in)
				require.NoError(t, err)
			}

			fresh := inventory.New(inventory.Options{Pool: s.Pool}) // it has seen no repeat
			defer fresh.Close()
			out, err := fresh.Reserve(t.Context(), in)

			if c.released {
				require.ErrorIs(t, err, inventoryapi.AlreadyResolved)
			} else {
				require.NoError(t, err)
				require.True(t, out.Replayed)
				require.Len(t, out.Lines, 1)
			}
			inventorytest.RequireConsistent(t, s.Pool)
		})
	}
}

// A repeated reserve in one batch with an extension of its reservation gets its first answer with all lines, although
// the read for the extension does not include the lines.
func TestRepeatedReserveBesideAnExtension(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	product := s.Stock(t, 5)
	in := inventorytest.NewReserve(inventorytest.Line(product, 2))
	first, err := s.API.Reserve(t.Context(), in)
	require.NoError(t, err)
	extend, err := stock.NewExtend(in.ReservationID, inventoryapi.ExtendRequest{
		ExpiresAt: time.Now().Add(time.Hour),
		Actor:     inventorytest.Actor,
	}, "")
	require.NoError(t, err)
	w := groupcommit.New(groupcommit.Options{Store: store.New(s.Pool)}) // it has seen no repeat
	t.Cleanup(w.Close)

	again := groupcommit.NewTask(inventorytest.StockReserve(t, in))
	require.NoError(t, w.Submit(t.Context(), groupcommit.NewTask[inventoryapi.ExtendResult](extend), again))

	require.NoError(t, again.Answer().Err)
	require.True(t, again.Answer().Value.Replayed)
	require.Equal(t, first.Lines, again.Answer().Value.Lines)
}
