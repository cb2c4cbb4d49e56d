package workflows_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// reach brings an order into a state: the order is in it at the given moment and stays for a while. The
// orders database is down until later, so that an order that has ended still answers requests.
var reach = map[order.State]struct {
	at     time.Duration
	ends   order.State // when nothing more happens
	follow time.Duration
	set    func(h *harness)
}{
	order.Pending: {at: 3 * time.Second, ends: order.Expired, set: func(h *harness) {
		h.script[orderflow.ReserveStock] = h.until(20*time.Second, errDown)
	}},
	order.Reserved: {at: 3 * time.Second, ends: order.Expired, set: func(*harness) {}},
	order.Paying: {at: 3 * time.Second, ends: order.Confirmed, set: func(h *harness) {
		h.script[orderflow.AuthorisePayment] = h.until(20*time.Second, errDown)
		h.pay(time.Second)
	}},
	order.Fulfilling: {at: 20 * time.Second, ends: order.Fulfilling, set: func(h *harness) {
		h.twoLocations()
		h.lastShipment = 2
		h.script[orderflow.RecordOrder] = nil // the loop of a paid order begins once the payment is recorded
		h.pay(time.Second)
		h.ship(10*time.Second, 1)
	}},
	order.Completed: {at: 20 * time.Second, ends: order.Completed, set: func(h *harness) {
		h.script[orderflow.RecordOrder] = h.between(9500*time.Millisecond, 100*time.Second, errDown)
		h.pay(time.Second)
		h.ship(9*time.Second, 1)
		h.deliver(10*time.Second, 1)
	}},
	order.Refunded: {at: 20 * time.Second, ends: order.Refunded, set: func(h *harness) {
		h.script[orderflow.RecordOrder] = h.between(9500*time.Millisecond, 100*time.Second, errDown)
		h.pay(time.Second)
		h.ship(9*time.Second, 1)
		h.lose(10*time.Second, 1, orderflow.RemedyRefund)
	}},
	order.Backordered: {at: 3 * time.Second, ends: order.Expired, set: func(h *harness) {
		h.waitsFor(time.Minute, never)
		h.expiry = orderflow.ReservationWaiting
	}},
	order.InReview: {at: 3 * time.Second, ends: order.Expired, set: func(h *harness) {
		h.order = func(in *orderflow.OrderInput) {
			in.Review = &orderflow.Review{Reasons: []string{"amount"}, Seconds: 60}
		}
	}},
	order.Confirmed: {at: 20 * time.Second, ends: order.Confirmed, set: func(h *harness) { h.pay(time.Second) }},
	order.Rejected: {at: 20 * time.Second, ends: order.Rejected, set: func(h *harness) {
		h.script[orderflow.RecordOrder] = h.until(100*time.Second, errDown)
		h.script[orderflow.ReserveStock] = always(refuse(orderflow.ErrOutOfStock, []orderflow.ShortLine{}))
	}},
	order.Expired:   {at: 80 * time.Second, ends: order.Expired, set: func(*harness) {}},
	order.Cancelled: {at: 20 * time.Second, ends: order.Cancelled, set: func(h *harness) { h.cancel(time.Second) }},
	order.Failed: {at: 20 * time.Second, ends: order.Failed, set: func(h *harness) {
		h.script[orderflow.CapturePayment] = always(refuse(orderflow.ErrPaymentRefused, "gone"))
		h.pay(time.Second)
	}},
}

// TestEveryRequestInEveryState sends each request to an order in each of its states, and compares the
// workflow with the table.
func TestEveryRequestInEveryState(t *testing.T) {
	t.Parallel()
	for _, to := range order.Transitions() {
		if _, ok := reach[to.To]; !ok {
			require.Fail(t, "no way to reach", "%s", to.To)
		}
	}
	for state, way := range reach {
		for _, input := range slices.DeleteFunc(order.Inputs(), func(i order.Input) bool { return !i.IsRequest() }) {
			t.Run(fmt.Sprintf("%s/%s", state, input), func(t *testing.T) {
				t.Parallel()
				h := newHarness(t)
				h.script[orderflow.RecordOrder] = h.untilAfterTheFirst(100 * time.Second)
				way.set(h)
				var before orderflow.View
				h.env.RegisterDelayedCallback(func() {
					value, err := h.env.QueryWorkflow(orderflow.QueryState)
					require.NoError(t, err)
					require.NoError(t, value.Get(&before))
				}, way.at)

				got := h.request(way.at, input)
				result := h.run(60)

				require.Equal(t, state, before.State, "the order is in the state that the test wants")
				require.True(t, got.done)
				rule := order.Decide(state, input)
				if state == order.Fulfilling && input == order.Cancel { // a shipment has left
					rule = order.Rule{Refusal: order.AlreadyShipped}
				}
				if state == order.Completed && input == order.Carry { // the report that has ended the order, again
					rule = order.Rule{Repeated: true}
				}
				switch {
				case rule.Refusal != "":
					require.True(t, got.rejected, "the validator refuses it, so the history has no event of it")
					require.Equal(t, string(rule.Refusal), got.code())
					require.Equal(t, way.ends, result.State, "a refused request changes nothing")
				case rule.Repeated:
					require.NoError(t, got.err)
					require.Equal(t, way.ends, result.State)
				default:
					require.NoError(t, got.err)
					require.Contains(t, h.events(), cmp.Or(rule.Event, map[order.Input]order.Event{
						order.Pick:   order.EventPacked,
						order.Carry:  order.EventDelivered,
						order.Return: order.EventReturnRequested,
					}[input]))
				}
			})
		}
	}
}

// request sends a request of a kind.
func (h *harness) request(after time.Duration, input order.Input) *reply {
	h.t.Helper()
	switch input {
	case order.Pay:
		return h.pay(after)
	case order.Cancel:
		return h.cancel(after)
	case order.Extend:
		return h.extend(after, 90)
	case order.Edit:
		return h.edit(after, 3)
	case order.Approve:
		return h.approve(after)
	case order.CancelLines:
		return h.cancelLines(after, h.lastShipment, 1)
	case order.Hold:
		return h.stop(after)
	case order.Unhold:
		h.stop(after - 500*time.Millisecond) // where the order can be held
		return h.send(after, orderflow.UpdateUnhold, orderflow.UnholdInput{Actor: "olga"})
	case order.Pick:
		return h.pack(after, h.lastShipment)
	case order.Carry:
		return h.deliver(after, 1)
	case order.Return:
		h.deliver(after-500*time.Millisecond, 1) // where it is under way
		return h.requestReturn(after, 1, 1)
	default:
		require.Fail(h.t, "not a request", "%s", input)
		return nil
	}
}

// TestRequestsBeforeAnythingIsDecided sends requests together with the start.
func TestRequestsBeforeAnythingIsDecided(t *testing.T) {
	t.Parallel()
	for _, input := range []order.Input{order.Pay, order.Cancel, order.Extend, order.Edit} {
		t.Run(string(input), func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			answered := make(chan struct{})
			h.script[orderflow.ReserveStock] = func(int) error { <-answered; return nil }

			var got *reply
			switch input {
			case order.Pay:
				got = h.pay(0)
			case order.Cancel:
				got = h.cancel(0)
			case order.Extend:
				got = h.extend(0, 90)
			case order.Edit:
				got = h.edit(0, 1)
			default:
				require.Fail(t, "not a command of a client", input)
			}
			h.env.RegisterDelayedCallback(func() { close(answered) }, 0)
			result := h.run(60)

			require.True(t, got.done)
			if input == order.Cancel {
				require.NoError(t, got.err)
				require.Equal(t, order.Cancelled, result.State)
				require.Contains(t, h.called(), orderflow.ReleaseStock,
					"a reserve that was under way may have held something")
				return
			}
			require.Equal(t, string(order.NotReady), got.code())
			require.Equal(t, order.Expired, result.State)
		})
	}
}
