package e2e

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"holdfast/tests/platform"
	"holdfast/workflows/orderflow"
)

// terminated: an operator terminates an order's workflow by mistake instead of cancelling it. The order stays as it
// was, its answers say that it is stopped, and a reset takes it up again, deadline included.
func terminated(t *testing.T, p *platform.Platform) {
	product := p.Product(5)
	id := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1, "ttl_seconds", 4)).Str("order_id")
	workflowID := orderflow.OrderWorkflowID(uuid.MustParse(id))
	p.WithTemporal(func(c client.Client) {
		require.NoError(t, c.TerminateWorkflow(t.Context(), workflowID, "", "a mistake"))
	})
	for _, request := range requests {
		requireStopped(t, id, p.Do("alice", http.MethodPost, "/api/orders/"+id+request.path, request.body))
	}
	p.WithTemporal(func(c client.Client) {
		described, err := c.DescribeWorkflowExecution(t.Context(), workflowID, "")
		require.NoError(t, err)
		run := described.GetWorkflowExecutionInfo().GetExecution().GetRunId()
		_, err = c.ResetWorkflowExecution(t.Context(), &workflowservice.ResetWorkflowExecutionRequest{
			Namespace:         p.Namespace(),
			WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: workflowID, RunId: run},
			Reason:            "terminated by mistake",
			RequestId:         uuid.NewString(),

			WorkflowTaskFinishEventId: lastTask(t, c, workflowID, run),
		})
		require.NoError(t, err)
	})

	p.Await("alice", id, "expired", 20*time.Second)
	available, reserved, _ := p.Available(product)
	require.Equal(t, []int64{5, 0}, []int64{available, reserved})
	require.Equal(t, []string{"reserved", "taken_up", "stock_released", "expired"}, p.Events("alice", id))
}

// requests are the requests that a client can send for an order.
var requests = []struct {
	path string
	body any
}{
	{"/pay", map[string]any{"payment_method": "pm_ok"}},
	{"/cancel", map[string]any{"reason": "changed my mind"}},
	{"/extend", map[string]any{"ttl_seconds": 3600}},
}

// requireStopped checks the answer to the customer of an order without a workflow: it says whom to ask, and does not
// mention Temporal.
func requireStopped(t *testing.T, id string, a platform.Answer) {
	t.Helper()
	require.Equal(t, http.StatusConflict, a.Status, a.Raw)
	require.Equal(t, "order_stopped", a.Str("code"), a.Raw)
	require.Equal(t, false, a.Body["retryable"], a.Raw)
	require.Equal(t, id, a.Str("order_id"))
	require.Contains(t, a.Str("detail"), "ask the shop, naming order "+id)
	require.NotRegexp(t, "(?i)workflow|reset|temporal|operator", a.Raw)
}

// deleted: an operator has deleted the workflow of an open order. No reset can bring it back, so the answer promises
// none.
func deleted(t *testing.T, p *platform.Platform) {
	id := p.Place("alice", http.StatusCreated, platform.OneLine(p.Product(5), 1)).Str("order_id")
	workflowID := orderflow.OrderWorkflowID(uuid.MustParse(id))
	deleteWorkflow(t, p, workflowID)
	for _, request := range requests {
		requireStopped(t, id, p.Do("alice", http.MethodPost, "/api/orders/"+id+request.path, request.body))
	}
}

// TestTerminatedWhileRequestsWait terminates an order's workflow while a payment, and a cancellation behind it, wait
// for the payment provider. The server answers both with a failure of its own, not with a refusal of our workflow.
func TestTerminatedWhileRequestsWait(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	id := p.Place("alice", http.StatusCreated, platform.OneLine(p.Product(5), 1)).Str("order_id")
	answers := make(chan platform.Answer, 2)
	ask := func(path string, body any) {
		a, err := p.Try("alice", http.MethodPost, "/api/orders/"+id+path, body)
		if err != nil {
			a.Raw = err.Error()
		}
		answers <- a
	}
	p.Process("payment-sandbox").Stop()
	go ask("/pay", map[string]any{"payment_method": "pm_ok"})
	p.AwaitUpdate(id, orderflow.UpdatePay)
	go ask("/cancel", map[string]any{})
	p.AwaitUpdate(id, orderflow.UpdateCancel)
	terminate(t, p, orderflow.OrderWorkflowID(uuid.MustParse(id)))
	requireStopped(t, id, <-answers)
	requireStopped(t, id, <-answers)
}

// TestTerminatedBeforeItIsRecorded terminates an order whose workflow has not run yet. The workflow will never record
// the order, so a repeat of the request cannot succeed, and the answer does not promise that it will.
func TestTerminatedBeforeItIsRecorded(t *testing.T) {
	p := platform.Start(t)
	body := platform.OneLine(p.Product(5), 1)
	key := uuid.NewString()
	id := orderflow.OrderID("holdfast", "alice", key)
	p.Process("worker").Stop()
	early := p.Do("alice", http.MethodPost, "/api/orders", body, "Idempotency-Key", key)
	require.Equal(t, http.StatusAccepted, early.Status, early.Raw)
	require.Equal(t, "pending", early.Str("status"))
	terminate(t, p, orderflow.OrderWorkflowID(id))
	p.Start("worker")

	var again platform.Answer
	require.Eventually(t, func() bool {
		again = p.Do("alice", http.MethodPost, "/api/orders", body, "Idempotency-Key", key, "Prefer", "respond-async")
		return again.Status != http.StatusAccepted
	}, 30*time.Second, 100*time.Millisecond)
	requireStopped(t, id.String(), again)
}

// terminatedReservation terminates the workflow of a reservation without an order. The customer is told to send the
// reserve again, and that gives the reservation a timer again.
func terminatedReservation(t *testing.T, p *platform.Platform) {
	product := p.Product(5)
	_, body := takenUp(t, p, product, 8, terminate)
	require.Eventually(t, func() bool {
		holds := p.Do(platform.Operator, http.MethodGet, "/api/inventory/"+product.String()+"/holds", nil)
		require.Equal(t, http.StatusOK, holds.Status, holds.Raw)
		return len(holds.Body["items"].([]any)) == 0
	}, 30*time.Second, 50*time.Millisecond, "the new run owns the timer")
	over := p.Do("alice", http.MethodPost, "/api/inventory/reserve", body)
	require.Equal(t, http.StatusGone, over.Status, over.Raw)
	require.Equal(t, "reservation_expired", over.Str("code"))
}

// deletedReservation is the same with a workflow that was deleted.
func deletedReservation(t *testing.T, p *platform.Platform) {
	product := p.Product(5)
	id, _ := takenUp(t, p, product, 600, deleteWorkflow)
	released := p.Do("alice", http.MethodDelete, "/api/inventory/reserve/"+id, nil)
	require.Equal(t, http.StatusOK, released.Status, released.Raw)
	require.EqualValues(t, 0, reservedOf(p, product))
}

// takenUp makes a reservation of two units, ends its workflow and sends the reserve again. It returns the reservation's
// id and the request.
func takenUp(
	t *testing.T,
	p *platform.Platform,
	product uuid.UUID,
	ttl int,
	end func(*testing.T, *platform.Platform, string),
) (id string, body map[string]any) {
	body = map[string]any{"order_id": uuid.NewString(), "product_id": product, "quantity": 2, "ttl_seconds": ttl}
	held := p.Do("alice", http.MethodPost, "/api/inventory/reserve", body)
	require.Equal(t, http.StatusCreated, held.Status, held.Raw)
	id = held.Str("reservation_id")

	end(t, p, orderflow.ReservationWorkflowID(uuid.MustParse(id)))

	for _, request := range []struct{ method, path string }{{http.MethodDelete, ""}, {http.MethodPost, "/extend"}} {
		path := "/api/inventory/reserve/" + id + request.path
		stopped := p.Do("alice", request.method, path, map[string]any{"ttl_seconds": 60})
		require.Equal(t, http.StatusConflict, stopped.Status, stopped.Raw)
		require.Equal(t, "reservation_stopped", stopped.Str("code"))
		require.Contains(t, stopped.Str("detail"), "first send the request that made the reservation again")
	}
	for range 2 { // at the second request the new run is running already
		again := p.Do("alice", http.MethodPost, "/api/inventory/reserve", body)
		require.Equal(t, http.StatusCreated, again.Status, again.Raw)
		require.Equal(t, id, again.Str("reservation_id"))
		require.Equal(t, held.Str("expires_at"), again.Str("expires_at"), "the deadline stays")
		require.EqualValues(t, 2, reservedOf(p, product), "it is the same reservation")
	}
	return id, body
}

func reservedOf(p *platform.Platform, product uuid.UUID) int64 {
	_, reserved, _ := p.Available(product)
	return reserved
}

func terminate(t *testing.T, p *platform.Platform, workflowID string) {
	p.WithTemporal(func(c client.Client) {
		require.NoError(t, c.TerminateWorkflow(t.Context(), workflowID, "", "a mistake"))
	})
}

// deleteWorkflow deletes a workflow and returns once the server does not know it any more.
func deleteWorkflow(t *testing.T, p *platform.Platform, workflowID string) {
	p.WithTemporal(func(c client.Client) {
		_, err := c.WorkflowService().DeleteWorkflowExecution(t.Context(), &workflowservice.DeleteWorkflowExecutionRequest{
			Namespace:         p.Namespace(),
			WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: workflowID},
		})
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			_, err := c.DescribeWorkflowExecution(t.Context(), workflowID, "")
			var gone *serviceerror.NotFound
			return errors.As(err, &gone)
		}, 20*time.Second, 20*time.Millisecond, "the workflow was not deleted")
	})
}

// lastTask is the event to which "temporal workflow reset --type LastWorkflowTask" would reset.
func lastTask(t *testing.T, c client.Client, workflowID, run string) int64 {
	var last int64
	for it := c.GetWorkflowHistory(t.Context(), workflowID, run, false, 0); it.HasNext(); {
		e, err := it.Next()
		require.NoError(t, err)
		if e.GetWorkflowTaskCompletedEventAttributes() != nil {
			last = e.GetEventId()
		}
	}
	return last
}
