package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// TestRefundWhileTheProviderIsDown: the warehouse goes on, and the order ends once the money is back.
func TestRefundWhileTheProviderIsDown(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.twoLocations()
	h.script[orderflow.RefundPayment] = h.until(3*time.Minute, errDown)
	h.pay(time.Second)
	h.cancelLines(2*time.Minute+30*time.Second, 2, 3)
	shipped := h.ship(2*time.Minute+35*time.Second, 1)
	h.deliver(2*time.Minute+40*time.Second, 1)

	require.Equal(t, order.Completed, h.run(60).State)
	require.NoError(t, shipped.err)
	require.Equal(t, []int64{1000}, h.refunded())
	require.Equal(t, order.EventPaymentRefunded, h.since()[len(h.since())-1])
}

// paidRow is the row of an order of which an earlier run has recorded that it is paid and that one of two lines is
// cancelled.
func paidRow() *orderflow.RecordedOrder {
	return &orderflow.RecordedOrder{
		RunID:           "earlier",
		Seq:             7,
		State:           order.Confirmed,
		PaymentAttempts: 1,
		CapturedAttempt: 1,
		Fulfilment: &orderflow.Fulfilment{Shipments: []orderflow.Shipment{
			{Number: 1, Location: "berlin", Status: orderflow.ShipmentPlanned, Lines: []orderflow.ShipmentLine{
				{LineNo: 1, Reservation: 1, Quantity: 2},
			}},
			{Number: 2, Location: "hamburg", Status: orderflow.ShipmentCancelled, Lines: []orderflow.ShipmentLine{
				{LineNo: 2, Reservation: 1, Cancelled: 3},
			}},
		}},
	}
}

// TestContinuedRunPaysWhatIsOwed: a run that goes on from the row pays what the earlier run had not recorded as paid,
// under the key that the earlier run used.
func TestContinuedRunPaysWhatIsOwed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		refunds  int
		refunded int64
		want     []int64
	}{
		"nothing was refunded": {0, 0, []int64{1000}},
		"a part was refunded":  {1, 333, []int64{667}},
		"all was refunded":     {1, 1000, []int64{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.twoLocations()
			h.earlier = paidRow()
			h.earlier.Refunds, h.earlier.RefundedMinor = c.refunds, c.refunded
			h.ship(time.Minute, 1)
			h.deliver(2*time.Minute, 1)

			result := h.run(60, func(in *orderflow.OrderInput) { in.Continues = true })
			require.Equal(t, order.Completed, result.State)
			require.Equal(t, c.want, h.refunded())
			require.Len(t, h.returns, 1, "inventory looks up what it has back")
			require.NotContains(t, h.called(), reserve)
			for _, r := range h.refunds {
				require.Equal(t, orderflow.PartRefundKey(r.OrderID, 1, c.refunds+1), r.RefundKey)
			}
		})
	}
}

// TestRefundOfALostRun: if an earlier run has used the key of a refund for another amount, that refund counts.
func TestRefundOfALostRun(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.twoLocations()
	h.earlier = paidRow()
	h.found = 400
	h.script[orderflow.RefundPayment] = func(n int) error {
		if n == 1 {
			return refuse(orderflow.ErrPaymentKeyUsed)
		}
		return nil
	}
	h.ship(time.Minute, 1)
	h.deliver(2*time.Minute, 1)

	require.Equal(t, order.Completed, h.run(60, func(in *orderflow.OrderInput) { in.Continues = true }).State)
	require.Equal(t, []int64{600}, h.refunded())
	require.Equal(t, 1, h.counts[orderflow.FindRefund])
}

// TestRefundThatIsRefused: the order is marked for an operator, and is not refunded again and again.
func TestRefundThatIsRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[orderflow.RefundPayment] = always(refuse(orderflow.ErrPaymentRefused, "more_than_was_captured"))
	marked := h.marked()
	h.pay(time.Second)
	h.cancel(2 * time.Minute)
	require.Equal(t, order.Cancelled, h.run(60).State)
	require.Equal(t, 1, h.counts[orderflow.RefundPayment])
	require.Contains(t, *marked, true)
	require.Contains(t, h.events(), order.EventCompensationFailed)
}

// TestRefusedRefundStaysMarked: another step that was slow, and is done, does not take the mark of a refused refund
// back.
func TestRefusedRefundStaysMarked(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[orderflow.RefundPayment] = always(refuse(orderflow.ErrPaymentRefused, "more_than_was_captured"))
	h.script[orderflow.ReturnUnits] = h.until(2*time.Minute+70*time.Second, errDown)
	marked := h.marked()
	h.pay(time.Second)
	h.cancel(2 * time.Minute)
	require.Equal(t, order.Cancelled, h.run(60).State)
	require.NotEmpty(t, h.returns, "the stock went back in the end")
	require.Greater(t, len(*marked), 1, "both steps marked the order")
	require.NotContains(t, *marked, false)
}

// TestRerouteOfALostRun: a reservation number that an earlier run has used up is passed over.
func TestRerouteOfALostRun(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[reserve] = func(n int) error {
		if n == 2 {
			return refuse(orderflow.ErrReservationClosed, orderflow.ReservationReleased)
		}
		return nil
	}
	h.pay(time.Second)
	h.shortPick(2*time.Minute, 1, orderflow.CauseDamaged, 1, 1)
	require.Equal(t, order.Fulfilling, h.run(60).State)
	require.Equal(t, 3, h.last.Fulfilment.Shipments[1].Lines[0].Reservation)
	require.Empty(t, h.refunds)
}

// TestPaidOrderCancelledInTemporal: an operator cancels the workflow of a paid order.
func TestPaidOrderCancelledInTemporal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		shipped bool
		want    order.State
		refunds []int64
	}{
		"before it has left": {false, order.Cancelled, []int64{1250}},
		"after it has left":  {true, order.Completed, []int64{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.pay(time.Second)
			if c.shipped {
				h.ship(time.Minute, 1)
			}
			h.env.RegisterDelayedCallback(h.env.CancelWorkflow, 2*time.Minute)
			h.deliver(3*time.Minute, 1)
			require.Equal(t, c.want, h.run(60).State)
			require.Equal(t, c.refunds, h.refunded())
		})
	}
}

// TestOrderPaidBeforeFulfilment: the workflow of an order of an older revision ends once it is paid, as it began.
func TestOrderPaidBeforeFulfilment(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.pay(time.Second)
	result := h.run(60, func(in *orderflow.OrderInput) { in.Revision = orderflow.RevisionLocalSteps })
	require.Equal(t, order.Confirmed, result.State)
	require.NoError(t, h.env.GetWorkflowError())
	require.Nil(t, h.last.Fulfilment)
}

// TestKeySurvivesContinueAsNew: a change that an earlier run has carried out is not carried out again under its key.
func TestKeySurvivesContinueAsNew(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.twoLocations()
	h.earlier = paidRow()
	again := h.send(time.Minute, orderflow.UpdateCancelLines, orderflow.CancelLinesInput{
		Actor: "alice", Key: "once", Lines: []orderflow.LineQuantity{{LineNo: 1, Quantity: 1}},
	})
	h.ship(2*time.Minute, 1)
	h.deliver(3*time.Minute, 1)
	result := h.run(60, func(in *orderflow.OrderInput) {
		in.Continues, in.Keys = true, []string{"cancel_lines-0-once"}
	})
	require.Equal(t, order.Completed, result.State)
	require.NoError(t, again.err)
	require.Equal(t, []int64{1000}, h.refunded(), "only what the earlier run owed")
}

// TestReroutingThatAnEarlierRunBegan: a run that finds units to be rerouted, and none anywhere, ends the order.
func TestReroutingThatAnEarlierRunBegan(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.twoLocations()
	h.earlier = paidRow()
	h.earlier.State = order.Fulfilling
	first := &h.earlier.Fulfilment.Shipments[0]
	first.Status = orderflow.ShipmentLost
	first.Lines[0].Rerouting = 2
	h.script[reserve] = always(refuse(orderflow.ErrOutOfStock, []orderflow.ShortLine{}))
	result := h.run(60, func(in *orderflow.OrderInput) { in.Continues = true })
	require.Equal(t, order.Refunded, result.State)
	require.Equal(t, []int64{1000, 2500}, h.refunded())
}
