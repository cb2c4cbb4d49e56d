package inventory_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
)

// TestExpiryGivesBack: ten reservations of one second give back exactly ten units, each within two seconds of its
// deadline.
func TestExpiryGivesBack(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	p := s.Stock(t, 10)
	inventorytest.Together(10, func(int) {
		in := inventorytest.NewReserve(inventorytest.Line(p, 1))
		in.TTLSeconds = 1
		out, err := s.API.Reserve(t.Context(), in)
		if err != nil {
			t.Errorf("reserve: %v", err)
			return
		}
		for {
			_, err := s.API.Expire(t.Context(), in.ReservationID, inventorytest.Resolve())
			var early *inventoryapi.DeadlineError
			if errors.As(err, &early) && early.Code == inventoryapi.NotDue {
				select {
				case <-time.After(time.Until(early.ExpiresAt)): // as the workflow's timer does, which then tries again
				case <-t.Context().Done():
					return
				}
				continue
			}
			if late := time.Since(out.ExpiresAt); err != nil || late > 2*time.Second {
				t.Errorf("expire: %v, %s after the deadline", err, late)
			}
			return
		}
	})
	available, reserved := s.Available(t, p)
	require.Equal(t, [2]int64{10, 0}, [2]int64{available, reserved})
	inventorytest.RequireConsistent(t, s.Pool)
}
