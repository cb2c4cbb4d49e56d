package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// completedRow is the row of the order of twoLocations, of which everything was delivered.
func completedRow() *orderflow.RecordedOrder {
	row := paidRow()
	row.State = order.Completed
	row.Fulfilment.Shipments[0].Status = orderflow.ShipmentDelivered
	row.Fulfilment.Shipments[1].Status = orderflow.ShipmentDelivered
	for i := range row.Fulfilment.Shipments {
		for j := range row.Fulfilment.Shipments[i].Lines {
			l := &row.Fulfilment.Shipments[i].Lines[j]
			l.Quantity, l.Cancelled = l.Quantity+l.Cancelled, 0
		}
	}
	return row
}

func continues(in *orderflow.OrderInput) { in.Continues = true }

func (h *harness) requestReturn(after time.Duration, line int, quantity int64) *reply {
	return h.send(after, orderflow.UpdateRequestReturn, orderflow.ReturnInput{
		Reason: orderflow.ReturnUnwanted,
		Key:    "k",
		Lines:  []orderflow.LineQuantity{{LineNo: line, Quantity: quantity}},
		Actor:  "alice",
	})
}

func (h *harness) approveReturn(after time.Duration, within time.Duration) *reply {
	by := h.env.Now().Add(within)
	return h.send(after, orderflow.UpdateApproveReturn, orderflow.ReturnInput{Return: 1, ReceiveBy: &by, Actor: "olga"})
}

func (h *harness) receiveReturn(after time.Duration, arrived ...orderflow.Arrival) *reply {
	return h.send(after, orderflow.UpdateReceiveReturn, orderflow.ReturnInput{Return: 1, Arrived: arrived, Actor: "olga"})
}

// TestReturned: what comes back is refunded once it has arrived; what can be sold again goes back on the shelf from
// which it was sent, and what is damaged does not.
func TestReturned(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.twoLocations()
	h.earlier = completedRow()
	h.requestReturn(0, 2, 3)
	h.approveReturn(time.Minute, time.Hour)
	received := h.receiveReturn(2*time.Minute, orderflow.Arrival{LineNo: 2, Restocked: 1, Damaged: 1})

	require.Equal(t, order.Completed, h.run(60, continues).State)
	require.NoError(t, received.err)
	require.Equal(t, []order.Event{
		order.EventReturnRequested,
		order.EventReturnApproved,
		order.EventReturnReceived,
		order.EventPaymentRefunded,
		order.EventStockReleased,
	}, h.events())
	require.Equal(t, []int64{667}, h.refunded(), "two of three units for 10.00 EUR")
	require.Len(t, h.returns, 1)
	require.Equal(t, []orderflow.ReturnUpTo{{LineNo: 2, Location: "hamburg", UpTo: 1}}, h.returns[0].Lines)
	require.Equal(t, orderflow.ReturnReceived, h.last.Fulfilment.Returns[0].Status)
}

// TestEverythingReturned: an order of which everything comes back is refunded.
func TestEverythingReturned(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.earlier = nil
	h.pay(time.Second)
	h.ship(2*time.Minute, 1)
	h.deliver(3*time.Minute, 1)
	require.Equal(t, order.Completed, h.run(60).State)

	again := newHarness(t)
	row := orderflow.RecordedOrder{
		Seq:             9,
		State:           order.Completed,
		CapturedAttempt: 1,
		PaymentAttempts: 1,
		Fulfilment:      h.last.Fulfilment,
	}
	again.earlier = &row
	again.requestReturn(0, 1, 1)
	again.approveReturn(time.Minute, time.Hour)
	again.receiveReturn(2*time.Minute, orderflow.Arrival{LineNo: 1, Restocked: 1})
	require.Equal(t, order.Refunded, again.run(60, continues).State)
	require.Equal(t, []int64{1250}, again.refunded())
	require.Contains(t, again.events(), order.EventAllReturned)
}

// TestReturnWhileTheRestIsUnderWay: units of a delivered shipment can come back before the last shipment is delivered.
func TestReturnWhileTheRestIsUnderWay(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.twoLocations()
	h.pay(time.Second)
	h.ship(2*time.Minute, 1)
	tooEarly := h.requestReturn(3*time.Minute, 1, 1)
	h.deliver(4*time.Minute, 1)
	h.requestReturn(5*time.Minute, 1, 2)
	h.approveReturn(6*time.Minute, time.Hour)
	h.receiveReturn(7*time.Minute, orderflow.Arrival{LineNo: 1, Restocked: 2})
	h.ship(8*time.Minute, 2)
	h.deliver(9*time.Minute, 2)

	require.Equal(t, order.Completed, h.run(60).State)
	require.Equal(t, orderflow.ErrNotReturnable, tooEarly.code())
	require.Equal(t, []int64{2500}, h.refunded())
}

// TestReturnLapses: an approved return of which nothing arrives ends by a timer, and what arrives later is still
// refunded.
func TestReturnLapses(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.twoLocations()
	h.earlier = completedRow()
	h.requestReturn(0, 2, 3)
	h.approveReturn(time.Minute, time.Hour)
	require.Equal(t, order.Completed, h.run(60, continues).State)
	require.Equal(t, []order.Event{
		order.EventReturnRequested, order.EventReturnApproved, order.EventReturnLapsed,
	}, h.events())
	require.Empty(t, h.refunds)

	late := newHarness(t)
	late.twoLocations()
	late.earlier = completedRow()
	late.earlier.Fulfilment = h.last.Fulfilment
	received := late.receiveReturn(0, orderflow.Arrival{LineNo: 2, Restocked: 3})
	require.Equal(t, order.Completed, late.run(60, continues).State)
	require.NoError(t, received.err)
	require.Equal(t, []int64{1000}, late.refunded())
}

// TestReturnWaitsForDays: a run ends after a day while a return is open, and the next run goes on from the row.
func TestReturnWaitsForDays(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.twoLocations()
	h.earlier = completedRow()
	h.requestReturn(0, 2, 3)
	h.run(60, continues)
	require.ErrorContains(t, h.env.GetWorkflowError(), "continue as new")
}

// TestPartialRefund: the report of an arrival can refund less than the price, and never more.
func TestPartialRefund(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.twoLocations()
	h.earlier = completedRow()
	h.requestReturn(0, 2, 3)
	h.approveReturn(time.Minute, time.Hour)
	tooMuch, less := int64(1001), int64(400)
	refused := h.receiveReturn(2*time.Minute, orderflow.Arrival{LineNo: 2, Damaged: 3, RefundMinor: &tooMuch})
	h.receiveReturn(3*time.Minute, orderflow.Arrival{LineNo: 2, Damaged: 3, RefundMinor: &less})

	require.Equal(t, order.Completed, h.run(60, continues).State)
	require.Equal(t, orderflow.ErrInvalidInput, refused.code())
	require.Equal(t, []int64{400}, h.refunded())
	require.Empty(t, h.returns, "what is damaged goes on no shelf")
}

// TestReturnRefused: the steps of a return come in their order, and each is idempotent.
func TestReturnRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.twoLocations()
	h.earlier = completedRow()
	step := func(after time.Duration, name string, number int) *reply {
		return h.send(after, name, orderflow.ReturnInput{Return: number, Note: "the seal is broken", Actor: "olga"})
	}
	replies := map[*reply]string{
		h.requestReturn(0, 2, 1):                                             "",
		h.requestReturn(time.Second, 2, 1):                                   "", // the same key
		step(time.Minute, orderflow.UpdateReceiveReturn, 1):                  orderflow.ErrReturnState,
		step(2*time.Minute, orderflow.UpdateApproveReturn, 2):                orderflow.ErrReturnNotFound,
		h.requestReturn(2*time.Minute, 2, 3):                                 orderflow.ErrKeyReused,
		step(3*time.Minute, orderflow.UpdateRejectReturn, 1):                 "",
		h.send(3*time.Minute, orderflow.UpdateRequestReturn, overReturned()): orderflow.ErrNotReturnable,
	}
	require.Equal(t, order.Completed, h.run(60, continues).State)
	for r, code := range replies {
		require.Equal(t, code, r.code())
	}
	require.Equal(t, []order.Event{order.EventReturnRequested, order.EventReturnRejected}, h.events())
	require.Empty(t, h.refunds)
}

func overReturned() orderflow.ReturnInput {
	return orderflow.ReturnInput{
		Reason: orderflow.ReturnOther,
		Lines:  []orderflow.LineQuantity{{LineNo: 2, Quantity: 4}},
		Actor:  "alice",
	}
}
