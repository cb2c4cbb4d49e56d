package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/tests/broker"
	"holdfast/tests/platform"
)

// TestBackorderedOrders: orders that wait for stock get it first come, first served, by the event of inventory, and are
// paid then; a wait ends by its deadline or a cancellation. The events process runs, because it wakes the orders.
func TestBackorderedOrders(t *testing.T) {
	t.Parallel()
	server := broker.Start(t)
	p := platform.Start(t)
	p.StartEvents(server.URL())
	product := p.Product(1)
	waits := func(quantity, seconds int, more ...any) map[string]any {
		return platform.OneLine(product, quantity, append(more, "wait_for_stock_seconds", seconds)...)
	}

	first := p.Place("alice", http.StatusCreated, waits(2, 3600))
	require.Equal(t, "backordered", first.Str("status"), first.Raw)
	second := p.Place("bob", http.StatusCreated, waits(1, 3600, "payment_method", "pm_ok"))
	require.Equal(t, "backordered", second.Str("status"), "stock that waits for alice is promised to her: %s", second.Raw)
	impatient := p.Place("carol", http.StatusCreated, platform.OneLine(p.Product(1), 2, "wait_for_stock_seconds", 1))
	p.Place("dora", http.StatusConflict, platform.OneLine(product, 1))

	seen := p.Do("bob", http.MethodGet, "/api/orders/"+second.Str("order_id"), nil)
	require.EqualValues(t, 2, seen.Body["backorder"].(map[string]any)["position"], seen.Raw)
	early := p.Pay("alice", first.Str("order_id"), "pm_ok")
	require.Equal(t, "order_backordered", early.Str("code"), early.Raw)
	p.Await("carol", impatient.Str("order_id"), "expired", 20*time.Second)

	p.Receive(product, 1)
	p.Await("alice", first.Str("order_id"), "reserved", 20*time.Second)
	require.Equal(t, http.StatusOK, p.Pay("alice", first.Str("order_id"), "pm_ok").Status)
	p.Receive(product, 1)
	p.Await("bob", second.Str("order_id"), "confirmed", 20*time.Second)

	last := p.Place("erin", http.StatusCreated, waits(3, 3600))
	require.Equal(t, http.StatusOK, p.Act("erin", last.Str("order_id"), "cancel", nil).Status)
	p.Receive(product, 3)
	available, reserved, _ := p.Available(product)
	require.Equal(t, []int64{3, 0}, []int64{available, reserved}, "nobody waits any more")
	p.Audit()
}
