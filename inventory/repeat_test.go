package inventory_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/stock"
)

// TestRepeatFindsItsReservation: a service that has seen no repeat of late does not look reservations up
// before it makes them. Whoever sends one again is still given what was made, also where there is no
// stock for a second, and where it is over.
func TestRepeatFindsItsReservation(t *testing.T) {
	t.Parallel()
	for name, stocked := range map[string]int64{"stock left": 5, "sold out": 1} {
		for _, over := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := newService(t)
				p := s.Stock(t, stocked)
				in := inventorytest.NewReserve(inventorytest.Line(p, 1))
				if over { // released before it was seen
					_, err := s.API.Release(t.Context(), in.ReservationID, inventorytest.ReleaseOf(in))
					require.NoError(t, err)
					if stocked == 1 {
						_, err = s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 1)))
						require.NoError(t, err)
					}
				} else {
					_, err := s.API.Reserve(t.Context(), in)
					require.NoError(t, err)
				}
				fresh := inventory.New(inventory.Options{Pool: s.Pool}) // remembers nothing
				defer fresh.Close()
				out, err := fresh.Reserve(t.Context(), in)
				if over {
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
}

// TestRepeatBesideAnExtension: a repeat that is decided in one batch with an extension of its
// reservation, which was read for that, is still given its first answer, lines and all.
func TestRepeatBesideAnExtension(t *testing.T) {
	t.Parallel()
	s := newService(t)
	p := s.Stock(t, 5)
	in := inventorytest.NewReserve(inventorytest.Line(p, 2))
	first, err := s.API.Reserve(t.Context(), in)
	require.NoError(t, err)
	extend, err := stock.NewExtend(in.ReservationID, inventoryapi.ExtendRequest{ExpiresAt: time.Now().Add(time.Hour), Actor: inventorytest.Actor}, "")
	require.NoError(t, err)
	fresh := inventory.New(inventory.Options{Pool: s.Pool}) // remembers nothing
	defer fresh.Close()
	answers := fresh.AnswersAtOnce(t.Context(), extend, reserveOf(t, in))
	again, ok := answers[1].(inventoryapi.Reservation)
	require.True(t, ok)
	require.True(t, again.Replayed)
	require.Equal(t, first.Lines, again.Lines)
}
