package e2e

import (
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/orderstore"
	"holdfast/tests/platform"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

// repair sends an operator's repair of an order under a key.
func repair(p *platform.Platform, subject, path, key string, body map[string]any) platform.Answer {
	return p.Do(subject, http.MethodPost, "/admin/"+path+"/repair", body, "Idempotency-Key", key)
}

func why(action string) map[string]any {
	return map[string]any{"action": action, "reason": "ticket 4711"}
}

// TestOneRunForStartsAtOnce: of twenty starts of another run of one order at the same moment, one reports that it has
// started the run with its own input.
func TestOneRunForStartsAtOnce(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	id := p.Place("alice", http.StatusCreated, platform.OneLine(p.Product(1), 1)).Str("order_id")
	require.Equal(t, http.StatusOK, p.Act("alice", id, "cancel", nil).Status)
	p.AwaitIdle(uuid.MustParse(id))
	p.Process("worker").Stop() // so that no run ends before the last start
	row, err := orderstore.New(p.Orders).Get(t.Context(), uuid.MustParse(id))
	require.NoError(t, err)

	var started atomic.Int32
	p.WithTemporal(func(c client.Client) {
		workflows := orderclient.New(c, converter.GetDefaultDataConverter())
		var starts errgroup.Group
		for range 20 {
			starts.Go(func() error {
				did, err := workflows.TakeUpSettled(t.Context(), orderstore.InputOf(row))
				if did {
					started.Add(1)
				}
				return err
			})
		}
		require.NoError(t, starts.Wait())
	})
	require.EqualValues(t, 1, started.Load())
	p.Start("worker")
	p.AwaitIdle(uuid.MustParse(id))
}

// TestRepairs: each repair of an operator acts once through the workflow, and is recorded with its outcome.
func TestRepairs(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	product := p.Product(50)
	workflow := func(id string) string { return orderflow.OrderWorkflowID(uuid.MustParse(id)) }
	hold := func() string {
		answer := p.Do("alice", http.MethodPost, "/api/inventory/reserve", map[string]any{
			"order_id": uuid.NewString(), "product_id": product, "quantity": 1, "ttl_seconds": 600,
		})
		require.Equal(t, http.StatusCreated, answer.Status, answer.Raw)
		return answer.Str("reservation_id")
	}
	trail := func(query string) []any {
		answer := p.Do(platform.Operator, http.MethodGet, "/admin/repairs?"+query, nil)
		require.Equal(t, http.StatusOK, answer.Status, answer.Raw)
		return answer.Body["items"].([]any)
	}

	// An order whose workflow an operator stopped by mistake is adopted.
	stopped := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")
	early := repair(p, platform.Operator, "orders/"+stopped, "early", why("adopt"))
	require.Equal(t, http.StatusConflict, early.Status, early.Raw)
	require.Equal(t, "repair_not_applicable", early.Str("code"))
	terminate(t, p, workflow(stopped))
	foreign := repair(p, "alice", "orders/"+stopped, "adopt", why("adopt"))
	require.Equal(t, http.StatusForbidden, foreign.Status, foreign.Raw)
	adopted := repair(p, platform.Operator, "orders/"+stopped, "adopt", why("adopt"))
	require.Equal(t, http.StatusOK, adopted.Status, adopted.Raw)
	require.Equal(t, "done", adopted.Str("outcome"))
	again := repair(p, platform.Operator, "orders/"+stopped, "adopt", why("adopt"))
	require.Equal(t, adopted.Body, again.Body, "a repeat is the same repair")
	other := repair(p, platform.Operator, "orders/"+stopped, "adopt", why("force_release"))
	require.Equal(t, "idempotency_key_reused", other.Str("code"), other.Raw)
	require.Equal(t, http.StatusOK, p.Pay("alice", stopped, "pm_ok").Status, "the order goes on")
	awaitEvent(t, p, stopped, "repaired")
	recorded := trail("order_id=" + stopped)
	require.Len(t, recorded, 2)
	require.Equal(t, adopted.Body, recorded[0])
	require.Equal(t, "refused", recorded[1].(map[string]any)["outcome"])

	// An order that was stopped is released by force.
	gone := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")
	terminate(t, p, workflow(gone))
	forced := repair(p, platform.Operator, "orders/"+gone, "force", why("force_release"))
	require.Equal(t, http.StatusOK, forced.Status, forced.Raw)
	p.Await("alice", gone, "cancelled", 10*time.Second)
	twice := repair(p, platform.Operator, "orders/"+gone, "force-2", why("force_release"))
	require.Equal(t, "repair_not_applicable", twice.Str("code"), twice.Raw)

	// Reservations without an order, of which Temporal has not even the workflow any more.
	kept, dropped := hold(), hold()
	for _, id := range []string{kept, dropped} {
		deleteWorkflow(t, p, orderflow.ReservationWorkflowID(uuid.MustParse(id)))
	}
	owned := repair(p, platform.Operator, "reservations/"+kept, "kept", why("adopt"))
	require.Equal(t, http.StatusOK, owned.Status, owned.Raw)
	released := p.Do("alice", http.MethodDelete, "/api/inventory/reserve/"+kept, nil)
	require.Equal(t, http.StatusOK, released.Status, released.Raw)
	freed := repair(p, platform.Operator, "reservations/"+dropped, "dropped", why("force_release"))
	require.Equal(t, http.StatusOK, freed.Status, freed.Raw)
	require.Len(t, trail("reservation_id="+dropped), 1)
	require.Zero(t, reservedOf(p, product))

	// A step waits in a back-off while inventory is down, and is attempted at once when it is back.
	waiting := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")
	p.Process("inventory").Stop()
	require.Equal(t, http.StatusOK, p.Act("alice", waiting, "cancel", nil).Status)
	p.WithTemporal(func(c client.Client) { awaitAttempt(t, c, workflow(waiting), 6) })
	p.Start("inventory")
	require.Eventually(t, func() bool {
		return repair(p, platform.Operator, "orders/"+waiting, uuid.NewString(), why("retry_now")).Status == http.StatusOK ||
			reservedOf(p, product) == 0
	}, 10*time.Second, 50*time.Millisecond)
	require.Eventually(t, func() bool { return reservedOf(p, product) == 0 }, 5*time.Second, 20*time.Millisecond)
	awaitEvent(t, p, waiting, "repaired")
	p.Audit()
}

// TestRefundByHand: the provider is down for good, and an operator gives the money back by hand, also for an order
// whose workflow has been stopped before the refund.
func TestRefundByHand(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	product := p.Product(10)
	byHand := map[string]any{
		"action": "skip_step", "step": orderflow.RefundPayment, "amount_minor": 1250, "reference": "SEPA-17",
		"reason": "the provider is closed",
	}
	paid := func() string {
		id := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")
		require.Equal(t, http.StatusOK, p.Pay("alice", id, "pm_ok").Status)
		return id
	}
	refunded := func(id string) int {
		return p.Count(`SELECT count(*) FROM payments
			WHERE order_id = $1 AND step = 'refund' AND provider = 'by_hand' AND provider_ref = 'SEPA-17'`, id)
	}
	running, stopped := paid(), paid()
	p.Process("payment-sandbox").Stop()
	for _, id := range []string{running, stopped} {
		require.Equal(t, http.StatusOK, p.Act("alice", id, "cancel", nil).Status)
		p.WithTemporal(func(c client.Client) {
			awaitAttempt(t, c, orderflow.OrderWorkflowID(uuid.MustParse(id)), 3)
		})
	}
	terminate(t, p, orderflow.OrderWorkflowID(uuid.MustParse(stopped)))

	wrong := repair(p, platform.Operator, "orders/"+running, "capture", map[string]any{
		"action": "skip_step", "step": orderflow.CapturePayment, "reference": "x", "reason": "x",
	})
	require.Equal(t, http.StatusUnprocessableEntity, wrong.Status, wrong.Raw)
	require.Equal(t, "step_not_skippable", wrong.Str("code"))
	for _, id := range []string{running, stopped} {
		require.Zero(t, refunded(id))
		for range 2 { // a repeat acts once
			answer := repair(p, platform.Operator, "orders/"+id, "hand-"+id, byHand)
			if answer.Status == http.StatusAccepted { // the attempt that runs has still to end
				require.Eventually(t, func() bool {
					answer = repair(p, platform.Operator, "orders/"+id, "hand-"+id, byHand)
					return answer.Status != http.StatusAccepted
				}, 20*time.Second, 100*time.Millisecond)
			}
			require.Equal(t, http.StatusOK, answer.Status, answer.Raw)
		}
		require.Eventually(t, func() bool { return refunded(id) == 1 }, 10*time.Second, 20*time.Millisecond)
		awaitEvent(t, p, id, "repaired")
		over := repair(p, platform.Operator, "orders/"+id, "over-"+id, byHand)
		require.Equal(t, 1, refunded(id), over.Raw)
	}
}

func awaitEvent(t *testing.T, p *platform.Platform, order, event string) {
	t.Helper()
	require.Eventually(t, func() bool { return slices.Contains(p.Events("alice", order), event) },
		10*time.Second, 50*time.Millisecond)
}

// awaitAttempt waits until a step of a workflow waits for at least the given attempt.
func awaitAttempt(t *testing.T, c client.Client, workflow string, attempt int32) {
	t.Helper()
	require.Eventually(t, func() bool {
		described, err := c.DescribeWorkflowExecution(t.Context(), workflow, "")
		require.NoError(t, err)
		for _, a := range described.GetPendingActivities() {
			if a.GetAttempt() >= attempt {
				return true
			}
		}
		return false
	}, time.Minute, 50*time.Millisecond)
}
