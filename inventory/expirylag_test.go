package inventory_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"holdfast/inventory"
	"holdfast/inventory/inventorytest"
)

// TestExpiryLag: an expiry by the owner and one by a buyer who needs the stock are both measured from the deadline. A
// release is not, and a repeated expire counts once.
func TestExpiryLag(t *testing.T) {
	t.Parallel()
	_, pool := inventorytest.NewDatabase(t)
	reg := prometheus.NewRegistry()
	s := inventorytest.NewSubject(t, inventory.New(inventory.Options{Pool: pool, Registry: reg}), pool)
	first, second := s.Stock(t, 1), s.Stock(t, 1)

	byOwner := overdue(t, s, inventorytest.Line(first, 1))
	for range 2 {
		_, err := s.API.Expire(t.Context(), byOwner.ReservationID, inventorytest.Resolve())
		require.NoError(t, err)
	}
	overdue(t, s, inventorytest.Line(second, 1))
	buyer := inventorytest.NewReserve(inventorytest.Line(second, 1))
	_, err := s.API.Reserve(t.Context(), buyer)
	require.NoError(t, err)
	_, err = s.API.Release(t.Context(), buyer.ReservationID, inventorytest.ReleaseOf(buyer))
	require.NoError(t, err)

	found, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range found {
		if f.GetName() == "inventory_expiry_lag_seconds" {
			h := f.GetMetric()[0].GetHistogram()
			require.EqualValues(t, 2, h.GetSampleCount())
			require.Positive(t, h.GetSampleSum())
			return
		}
	}
	require.Fail(t, "the histogram is missing")
}
