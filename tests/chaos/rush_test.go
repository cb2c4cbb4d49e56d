package chaos

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/order"
	"holdfast/tests/platform"
)

// TestRush sends 2,000 orders at once, from 400 clients, for 500 units of stock. In the middle the api and the worker
// are killed, and Temporal and the orders database are down for a while. Every order is accepted, at the latest when
// its client sends it again, and every accepted order is decided: 500 are paid, and the others are refused.
//
// It does not run beside other tests, because it takes all that the machine has.
func TestRush(t *testing.T) {
	const orders, units = 2000, 500
	p := platform.StartWithFaults(t)
	product := p.Product(units)
	deadline := time.Now().Add(4 * time.Minute)

	placed := make([]string, orders)
	var clients errgroup.Group
	clients.SetLimit(400)
	var all sync.WaitGroup
	all.Go(func() {
		for i := range orders {
			clients.Go(func() error {
				a, err := place(p, deadline, platform.OneLine(product, 1, "payment_method", "pm_ok"))
				placed[i] = a.Str("order_id")
				return err
			})
		}
	})

	for _, outage := range []func(){
		func() { p.Process("api").Kill(); p.Start("api") },
		func() { p.Process("worker").Kill(); p.Start("worker") },
		func() { p.Faults.Temporal.Down(); pause(t.Context(), 2*time.Second); p.Faults.Temporal.Up() },
		func() { p.Faults.OrdersDB.Down(); pause(t.Context(), 2*time.Second); p.Faults.OrdersDB.Up() },
	} {
		pause(t.Context(), time.Second)
		outage()
	}
	all.Wait()
	require.NoError(t, clients.Wait())
	accepted := time.Now()

	const open = "/api/orders?status=pending,reserved,paying&limit=1"
	require.Eventually(t, func() bool {
		return len(p.Do("alice", http.MethodGet, open, nil).Body["items"].([]any)) == 0
	}, 3*time.Minute, 100*time.Millisecond, "every order is decided")
	t.Logf("the last of %d orders was decided %s after the last was accepted", orders, time.Since(accepted))

	once := map[string]bool{}
	for _, id := range placed {
		once[id] = true
	}
	require.Len(t, once, orders, "every client has an order of its own")
	require.Equal(t, map[order.State]int{order.Confirmed: units, order.Rejected: orders - units}, p.Audit())
}
