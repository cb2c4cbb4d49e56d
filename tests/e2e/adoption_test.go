package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"holdfast/tests/platform"
	"holdfast/workflows/orderflow"
)

// TestAdoption: what an operator stopped by mistake is found and brought to its end, wherever its workflow stopped.
func TestAdoption(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	product := p.Product(20)
	orderWorkflow := func(id string) string { return orderflow.OrderWorkflowID(uuid.MustParse(id)) }
	hold := func(ttl int) string {
		answer := p.Do("alice", http.MethodPost, "/api/inventory/reserve", map[string]any{
			"order_id": uuid.NewString(), "product_id": product, "quantity": 1, "ttl_seconds": ttl,
		})
		require.Equal(t, http.StatusCreated, answer.Status, answer.Raw)
		return answer.Str("reservation_id")
	}
	reservationWorkflow := func(id string) string { return orderflow.ReservationWorkflowID(uuid.MustParse(id)) }

	// Two orders and two reservations in time, of which nothing is left but their workflow's history.
	paid := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")
	terminate(t, p, orderWorkflow(paid))
	released := hold(600)
	terminate(t, p, reservationWorkflow(released))

	// Two past their deadline, of which not even the workflow's history is left.
	forgotten := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1, "ttl_seconds", 2)).Str("order_id")
	deleteWorkflow(t, p, orderWorkflow(forgotten))
	forgottenHold := hold(2)
	deleteWorkflow(t, p, reservationWorkflow(forgottenHold))

	// One that has ended and could not give its stock back.
	ended := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1, "ttl_seconds", 6)).Str("order_id")
	p.Process("inventory").Stop()
	cancelled := p.Do("alice", http.MethodPost, "/api/orders/"+ended+"/cancel", map[string]any{"reason": "no need"})
	require.Equal(t, http.StatusOK, cancelled.Status, cancelled.Raw)
	terminate(t, p, orderWorkflow(ended))
	p.Start("inventory")

	// Two that never began.
	p.Process("worker").Stop()
	begun := p.Place("alice", http.StatusAccepted, platform.OneLine(product, 1)).Str("order_id")
	terminate(t, p, orderWorkflow(begun))
	unknown := p.Place("alice", http.StatusAccepted, platform.OneLine(product, 1)).Str("order_id")
	deleteWorkflow(t, p, orderWorkflow(unknown))
	p.Start("worker")

	adopt := func() (out orderflow.AdoptionResult) {
		p.WithTemporal(func(c client.Client) {
			run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
				ID: orderflow.AdoptionSchedule + "-" + uuid.NewString(), TaskQueue: orderflow.OrdersQueue,
			}, orderflow.AdoptionWorkflow, orderflow.AdoptionInput{GraceSeconds: 1, LookBackSeconds: 600, Limit: 50})
			require.NoError(t, err)
			require.NoError(t, run.Get(t.Context(), &out))
		})
		return out
	}
	var all orderflow.AdoptionResult
	require.EventuallyWithT(t, func(c *assert.CollectT) { // Temporal's list of workflows is behind
		all.Add(adopt())
		assert.Equal(c, orderflow.AdoptionResult{TakenUp: 6, Expired: 1}, all)
	}, time.Minute, 200*time.Millisecond)
	require.Empty(t, adopt(), "everything has a workflow or an end")

	p.Await("alice", paid, "reserved", 10*time.Second)
	require.Equal(t, http.StatusOK, p.Pay("alice", paid, "pm_ok").Status)
	for _, id := range []string{begun, unknown} {
		p.Await("alice", id, "reserved", 10*time.Second)
		require.Equal(t, http.StatusOK, p.Act("alice", id, "cancel", map[string]any{"reason": "no need"}).Status)
	}
	p.Await("alice", forgotten, "expired", 10*time.Second)
	gone := p.Do("alice", http.MethodDelete, "/api/inventory/reserve/"+released, nil)
	require.Equal(t, http.StatusOK, gone.Status, gone.Raw)
	require.Eventually(t, func() bool { return reservedOf(p, product) == 0 }, 10*time.Second, 50*time.Millisecond,
		"all stock is back")
	_, _, total := p.Available(product)
	require.EqualValues(t, 19, total, "one unit is sold")
	require.Equal(t, "cancelled", p.Do("alice", http.MethodGet, "/api/orders/"+ended, nil).Str("status"))
	p.Audit()
}
