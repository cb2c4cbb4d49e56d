package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// waitsFor lets the order wait for stock for the given time. Inventory grants it after the second time.
func (h *harness) waitsFor(wait, granted time.Duration) {
	h.order = func(in *orderflow.OrderInput) { in.WaitSeconds = int(wait.Seconds()) }
	h.waiting = func(passed time.Duration) string {
		if passed < granted {
			return orderflow.ReservationWaiting
		}
		return orderflow.ReservationPending
	}
}

func (h *harness) granted(after time.Duration) *reply {
	return h.send(after, orderflow.UpdateStockGranted, orderflow.StockGrantedInput{})
}

const never = 1000 * time.Hour

// TestBackorderIsGranted: an order that waits for stock goes on as soon as inventory has reserved it, and is paid.
func TestBackorderIsGranted(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.waitsFor(10*time.Hour, 2*time.Hour)
	tooEarly := h.pay(time.Hour)
	noNews := h.granted(90 * time.Minute)
	told := h.granted(2 * time.Hour)
	paid := h.pay(2*time.Hour + time.Second)

	require.Equal(t, order.Confirmed, h.run(60).State)
	require.Equal(t, "order_backordered", tooEarly.code())
	require.NoError(t, noNews.err)
	require.NoError(t, told.err)
	require.NoError(t, paid.err)
	require.Equal(t, []order.Event{order.EventBackordered, order.EventReserved}, h.events()[:2])
	require.NotContains(t, h.called(), reserve)
}

// TestBackorderIsPaidWhenGranted: a payment that came with the order is made once there is stock, and not before.
func TestBackorderIsPaidWhenGranted(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.waitsFor(10*time.Hour, 2*time.Hour)
	h.granted(2 * time.Hour)
	require.Equal(t, order.Confirmed, h.run(60, func(in *orderflow.OrderInput) { in.PaymentMethod = "pm_ok" }).State)
	require.Equal(t, []string{
		orderflow.ReserveOrWait, orderflow.ReserveOrWait, extend, authorise, confirm, capture,
	}, h.called())
}

// TestBackorderExpires: a wait without stock ends at its deadline, by inventory's clock.
func TestBackorderExpires(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.waitsFor(10*time.Hour, never)
	h.expiry = orderflow.ReservationWaiting // the wait is over
	require.Equal(t, order.Expired, h.run(60).State)
	require.Equal(t, []order.Event{order.EventBackordered, order.EventExpired}, h.events(), "nothing was held")
}

// TestBackorderIsCancelled: the customer can end the wait.
func TestBackorderIsCancelled(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.waitsFor(10*time.Hour, never)
	h.status = orderflow.ReservationWaiting
	h.cancel(time.Hour)
	require.Equal(t, order.Cancelled, h.run(60).State)
	require.Equal(t, []order.Event{order.EventBackordered, order.EventCancelled}, h.events())
	require.Contains(t, h.called(), orderflow.ReleaseStock)
}

// TestBackorderWaitsForDays: a run ends after a day, and the next one goes on from the row. If the stock was granted in
// between, it finds that.
func TestBackorderWaitsForDays(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.waitsFor(100*time.Hour, never)
	h.run(60)
	require.ErrorContains(t, h.env.GetWorkflowError(), "continue as new")
	require.Equal(t, order.Backordered, h.last.State)

	for name, granted := range map[string]time.Duration{"granted meanwhile": 0, "granted later": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			again := newHarness(t)
			again.waitsFor(100*time.Hour, granted)
			end := again.env.Now().Add(76 * time.Hour)
			again.earlier = &orderflow.RecordedOrder{RunID: "earlier", Seq: 1, State: order.Backordered, ExpiresAt: &end}
			again.granted(time.Hour)
			again.pay(time.Hour + time.Second)
			require.Equal(t, order.Confirmed, again.run(7200, continues).State)
			require.Equal(t, order.EventReserved, again.events()[0])
		})
	}
}

// TestBackorderEndedAtInventory: if the wait has ended without the order, the order expires when it looks.
func TestBackorderEndedAtInventory(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.waitsFor(100*time.Hour, never)
	h.waiting = func(passed time.Duration) string {
		if passed < time.Hour {
			return orderflow.ReservationWaiting
		}
		return "cancelled"
	}
	h.granted(2 * time.Hour)
	require.Equal(t, order.Expired, h.run(60).State)
}

// TestResetOfABackorder: a run that an operator has reset finds the order on the waiting list, and waits on.
func TestResetOfABackorder(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.waitsFor(10*time.Hour, 2*time.Hour)
	end := h.env.Now().Add(10 * time.Hour)
	h.earlier = &orderflow.RecordedOrder{RunID: "earlier", Seq: 1, State: order.Backordered, ExpiresAt: &end}
	h.granted(2 * time.Hour)
	h.cancel(2*time.Hour + 30*time.Second)
	require.Equal(t, order.Cancelled, h.run(60).State)
	require.Equal(t, order.EventReserved, h.events()[0], "the wait was in the timeline already")
}

// TestReviewOfABackorder: an operator looks at the order once there is stock.
func TestReviewOfABackorder(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.waitsFor(10*time.Hour, 2*time.Hour)
	h.granted(2 * time.Hour)
	h.approve(2*time.Hour + 10*time.Second)
	h.pay(2*time.Hour + 20*time.Second)
	require.Equal(t, order.Confirmed, h.run(60, func(in *orderflow.OrderInput) {
		in.Review = &orderflow.Review{Reasons: []string{"amount"}, Seconds: 3600}
	}).State)
	require.Equal(t, []order.Event{order.EventBackordered, order.EventInReview, order.EventApproved}, h.events()[:3])
}
