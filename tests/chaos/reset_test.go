package chaos

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"holdfast/internal/order"
	"holdfast/tests/platform"
	"holdfast/workflows/orderflow"
)

// TestResetAtEveryPoint runs an order of each kind once and then resets its workflow to every point of its history,
// with and without the requests that came after that point. Each time the new run ends as the first run did, and the
// order's row, its timeline, stock and money stay as they are.
func TestResetAtEveryPoint(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	t.Run("lives", func(t *testing.T) { resetLives(t, p) })
	p.Audit()
}

func resetLives(t *testing.T, p *platform.Platform) {
	for _, life := range []struct {
		name string
		ends order.State
		more []any
		live func(id string)
	}{
		{"edited and paid", order.Confirmed, []any{"ttl_seconds", 600}, func(id string) {
			product := p.Product(5)
			for _, quantity := range []int{3, 2} {
				require.NoError(t, edit(quantity, product)(&orderRun{id: id}, p, time.Now().Add(time.Minute)))
			}
			require.Equal(t, http.StatusOK, p.Pay("alice", id, "pm_ok").Status)
		}},
		{"edited and expired", order.Expired, []any{"ttl_seconds", 3}, func(id string) {
			require.NoError(t, edit(3, p.Product(5))(&orderRun{id: id}, p, time.Now().Add(time.Minute)))
		}},
		{"paid", order.Confirmed, []any{"ttl_seconds", 600}, func(id string) {
			require.Equal(t, http.StatusOK, p.Pay("alice", id, "pm_ok").Status)
		}},
		{"paid at once", order.Confirmed, []any{"ttl_seconds", 2, "payment_method", "pm_ok"}, func(string) {}},
		{"declined and paid", order.Confirmed, []any{"ttl_seconds", 3}, func(id string) {
			require.Equal(t, http.StatusPaymentRequired, p.Pay("alice", id, "pm_declined").Status)
			require.Equal(t, http.StatusOK, p.Pay("alice", id, "pm_ok").Status)
		}},
		{"declined thrice", order.Failed, []any{"ttl_seconds", 3}, func(id string) {
			for range 3 {
				require.Equal(t, http.StatusPaymentRequired, p.Pay("alice", id, "pm_declined").Status)
			}
		}},
		{"cancelled", order.Cancelled, []any{"ttl_seconds", 2}, func(id string) {
			cancelled := p.Act("alice", id, "cancel", map[string]string{"reason": "changed my mind"})
			require.Equal(t, http.StatusOK, cancelled.Status)
		}},
		{"expired", order.Expired, []any{"ttl_seconds", 1}, func(string) {}},
		{"extended and expired", order.Expired, []any{"ttl_seconds", 1}, func(id string) {
			p.Act("alice", id, "extend", map[string]int{"ttl_seconds": 2})
		}},
	} {
		t.Run(life.name, func(t *testing.T) {
			t.Parallel()
			p := p.For(t)
			product := p.Product(5)
			id := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1, life.more...)).Str("order_id")
			life.live(id)
			p.Await("alice", id, string(life.ends), 20*time.Second)

			workflowID := orderflow.OrderWorkflowID(uuid.MustParse(id))
			p.WithTemporal(func(c client.Client) {
				require.Equal(t, life.ends, p.AwaitIdle(uuid.MustParse(id)))
				run, _ := p.CurrentRun(c, workflowID)
				before, timeline := p.Do("alice", http.MethodGet, "/api/orders/"+id, nil), p.Timeline("alice", id)
				available, reserved, _ := p.Available(product)
				points := p.ResetPoints(c, workflowID, run)
				require.NotEmpty(t, points)
				for _, point := range points {
					for _, reapply := range []bool{true, false} {
						where := fmt.Sprintf("order %s reset to event %d, reapply %t", id, point, reapply)
						require.NoError(t, p.Reset(c, workflowID, run, point, reapply), where)
						require.Equal(t, life.ends, ending(p, id), where)
						require.Equal(t, before.Raw, p.Do("alice", http.MethodGet, "/api/orders/"+id, nil).Raw, where)
						require.Equal(t, timeline, p.Timeline("alice", id), where)
						a, r, _ := p.Available(product)
						require.Equal(t, []int64{available, reserved}, []int64{a, r}, where)
					}
				}
			})
		})
	}
}

// TestResetBetweenEdits changes the lines of an order, resets its workflow to a point of its history, with and without
// the change, and then changes the lines again and pays. The order is paid for the lines that it has, and no stock of
// other lines stays held.
func TestResetBetweenEdits(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	product := p.Product(1000)
	deadline := time.Now().Add(3 * time.Minute)
	points := 1
	for point := 0; point < points; point++ {
		for _, reapply := range []bool{true, false} {
			id := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")
			require.NoError(t, edit(4, product)(&orderRun{id: id}, p, deadline))
			workflowID := orderflow.OrderWorkflowID(uuid.MustParse(id))
			where := ""
			p.WithTemporal(func(c client.Client) {
				run, _ := p.CurrentRun(c, workflowID)
				all := p.ResetPoints(c, workflowID, run)
				points = len(all)
				where = fmt.Sprintf("order %s reset to event %d, reapply %t", id, all[min(point, points-1)], reapply)
				require.NoError(t, p.Reset(c, workflowID, run, all[min(point, points-1)], reapply), where)
			})

			require.NoError(t, edit(2, product)(&orderRun{id: id}, p, deadline), where)
			require.NoError(t, pay("pm_ok")(&orderRun{id: id}, p, deadline), where)
			last := p.Await("alice", id, "confirmed", 20*time.Second)
			require.EqualValues(t, 2*1250, last.Body["total"].(map[string]any)["amount_minor"], where)
		}
	}
	require.Greater(t, points, 3)
	p.Audit()
}

// ending waits until an order's latest run comes to rest. A run that was reset to a point at which the order was
// reserved waits for its customer or its deadline. If the deadline is far, ending sends it a cancellation, and the run
// finds how the earlier run has ended. A cancellation that came later, after the run has found that the order is paid,
// would cancel the paid order.
func ending(p *platform.Platform, id string) order.State {
	p.T.Helper()
	state, resting := p.AwaitTurn(uuid.MustParse(id))
	if resting {
		return state
	}
	asked := p.Act("alice", id, "cancel", nil)
	require.Contains(p.T, []int{http.StatusOK, http.StatusAccepted, http.StatusConflict}, asked.Status, asked.Raw)
	return p.AwaitIdle(uuid.MustParse(id))
}
