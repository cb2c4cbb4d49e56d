package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/temporal"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// details reads the current details of the workflow at a time after its start.
func (h *harness) details(after time.Duration) *string {
	var text string
	h.env.RegisterDelayedCallback(func() {
		answer, err := h.env.QueryWorkflow("__temporal_workflow_metadata")
		require.NoError(h.t, err)
		var metadata sdk.WorkflowMetadata
		require.NoError(h.t, answer.Get(&metadata))
		text = metadata.CurrentDetails
	}, after)
	return &text
}

// numbered gives the order the fields that an operator reads.
func numbered(in *orderflow.OrderInput) {
	in.Number = "HF-104233"
	in.Revision = orderflow.CurrentRevision
}

// TestCurrentDetails: an operator reads how the order stands, why a payment was refused, and what may be done next.
func TestCurrentDetails(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[authorise] = func(n int) error {
		if n == 1 {
			return refuse(orderflow.ErrPaymentDeclined, "insufficient_funds")
		}
		return nil
	}
	h.pay(time.Second)
	h.pay(3 * time.Second)
	declined, paid := h.details(2*time.Second), h.details(4*time.Second)
	h.cancel(5 * time.Second)
	require.Equal(t, order.Cancelled, h.run(60, numbered).State)

	for _, words := range []string{
		"| Number | `HF-104233` |", "| Status | **reserved** |", "| Deadline | ", "| Reservation | `",
		"1 tried, 1 declined; the last refusal: insufficient\\_funds; last payment `",
		"POST …/cancel", "POST …/extend",
	} {
		require.Contains(t, *declined, words)
	}
	require.NotContains(t, *declined, "shipments")

	require.Contains(t, *paid, "| Status | **confirmed** |")
	require.Contains(t, *paid, "2 tried, 1 declined; the last refusal: insufficient\\_funds; captured payment `")
	require.Contains(t, *paid, "| Shipment 1 | planned from `main`")
	require.Contains(t, *paid, "POST …/shipments/{number}/pack")
	require.NotContains(t, *paid, "Deadline")
	require.NotContains(t, *paid, "POST …/extend")
}

// TestDetailsNameWhatIsShort: the details of a refused order say of which product there was too little.
func TestDetailsNameWhatIsShort(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var in orderflow.OrderInput
	h.script[reserve] = func(int) error {
		return refuse(orderflow.ErrOutOfStock, []orderflow.ShortLine{
			{ProductID: in.Lines[0].ProductID, Requested: 2, Available: 1},
		})
	}
	require.Equal(t, order.Rejected, h.run(60, numbered, func(o *orderflow.OrderInput) { in = *o }).State)
	answer, err := h.env.QueryWorkflow("__temporal_workflow_metadata")
	require.NoError(t, err)
	var metadata sdk.WorkflowMetadata
	require.NoError(t, answer.Get(&metadata))
	require.Contains(t, metadata.CurrentDetails, "| Short | `"+in.Lines[0].SKU+"`: 2 wanted, 1 available |")
	require.NotContains(t, metadata.CurrentDetails, "An operator may")
}

// TestConfirmedOrderHasNoDeadline: an order that is paid shows no deadline in its state query.
func TestConfirmedOrderHasNoDeadline(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var reserved, confirmed orderflow.View
	ask := func(after time.Duration, into *orderflow.View) {
		h.env.RegisterDelayedCallback(func() {
			answer, err := h.env.QueryWorkflow(orderflow.QueryState)
			require.NoError(t, err)
			require.NoError(t, answer.Get(into))
		}, after)
	}
	ask(time.Second, &reserved)
	h.pay(2 * time.Second)
	ask(3*time.Second, &confirmed)
	h.cancel(4 * time.Second)
	h.run(60, numbered)
	require.NotNil(t, reserved.ExpiresAt)
	require.Equal(t, order.Confirmed, confirmed.State)
	require.Nil(t, confirmed.ExpiresAt)
	require.Equal(t, "HF-104233", confirmed.Number)
}

// TestUpdateByHandNamesItsActor: an update without an actor was sent with Temporal's tools, and the timeline says so.
func TestUpdateByHandNamesItsActor(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.send(time.Second, orderflow.UpdateExtend, orderflow.ExtendInput{TTLSeconds: 600})
	h.send(2*time.Second, orderflow.UpdateCancel, orderflow.CancelInput{})
	require.Equal(t, order.Cancelled, h.run(60, numbered).State)
	for _, e := range h.recorded {
		if e.Event == order.EventCancelled || e.Event == order.EventExtended {
			require.Equal(t, orderflow.ActorTemporal, e.Actor, e.Event)
		}
	}
}

// TestReservationShowsItsStatus: the search attribute of a reservation without an order follows its status.
func TestReservationShowsItsStatus(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer error
		want   []string
	}{
		"released": {nil, []string{orderflow.ReservationPending, orderflow.ReservationReleased}},
		"refused":  {refuse(orderflow.ErrOutOfStock), []string{orderflow.ReservationRefused}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			var shown []string
			h.env.OnUpsertTypedSearchAttributes(mock.MatchedBy(func(attributes temporal.SearchAttributes) bool {
				if status, ok := attributes.GetKeyword(orderflow.AttrReservationStatus); ok {
					shown = append(shown, status)
				}
				return true
			})).Return(nil)
			if c.answer != nil {
				h.script[reserve] = func(int) error { return c.answer }
			} else {
				h.resolve(time.Second, orderflow.UpdateRelease)
			}
			h.hold(60)
			require.Equal(t, c.want, shown)
		})
	}
}
