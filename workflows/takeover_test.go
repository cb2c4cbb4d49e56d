package workflows_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

const (
	find   = orderflow.FindOrder
	refund = orderflow.RefundPayment
)

// left is an order as an earlier run has recorded it.
func left(state order.State, seq int64, attempts, declines int) *orderflow.RecordedOrder {
	reservation := uuid.Max
	return &orderflow.RecordedOrder{
		RunID:           "an earlier run",
		Seq:             seq,
		State:           state,
		ReservationID:   &reservation,
		PaymentAttempts: attempts,
		Declines:        declines,
	}
}

// TestRunAdoptsTheEndOfAnEarlierRun begins every settled order again from its first task, with every request that a
// reset sends again. The new run records nothing, and moves no stock or money that the earlier run has settled.
func TestRunAdoptsTheEndOfAnEarlierRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		state  order.State
		held   string // the reservation's status that the reserve answers
		closed string // the reservation's status if the reserve is refused
	}{
		{state: order.Confirmed, held: orderflow.ReservationConfirmed},
		{state: order.Cancelled, closed: orderflow.ReservationReleased},
		{state: order.Expired, closed: orderflow.ReservationExpired},
		{state: order.Failed, closed: orderflow.ReservationReleased},
		// The earlier run was interrupted before it gave the stock back.
		{state: order.Failed, held: orderflow.ReservationConfirmed},
		// There is stock now.
		{state: order.Rejected, held: orderflow.ReservationPending},
	} {
		for _, atOnce := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%s%s/%t", c.state, c.held, c.closed, atOnce), func(t *testing.T) {
				t.Parallel()
				h := newHarness(t)
				h.earlier = left(c.state, 4, 1, 0)
				h.held = c.held
				h.status = c.closed
				if c.closed != "" {
					h.script[reserve] = always(refuse(orderflow.ErrReservationClosed, c.closed))
				}
				if c.held == orderflow.ReservationConfirmed {
					h.status = orderflow.ReservationConfirmed
				}
				if c.state == order.Confirmed {
					h.earlier.CapturedAttempt = 1
					h.earlier.Fulfilment = &orderflow.Fulfilment{Shipments: []orderflow.Shipment{{
						Number:   1,
						Location: "main",
						Status:   orderflow.ShipmentPlanned,
						Lines:    []orderflow.ShipmentLine{{LineNo: 1, Reservation: 1, Quantity: 1}},
					}}}
				}
				again := []*reply{h.pay(0)}
				if c.state != order.Confirmed { // a paid order can be cancelled
					again = append(again, h.cancel(0))
				}

				result := h.run(60, func(in *orderflow.OrderInput) {
					if atOnce {
						in.PaymentMethod = "pm_ok"
					}
				})

				require.Equal(t, c.state, result.State)
				require.Empty(t, h.recorded, "the timeline stays as it is")
				for _, r := range again {
					require.True(t, r.done)
				}
				for _, step := range []string{authorise, confirm, capture, refund} {
					require.Zero(t, h.counts[step], step)
				}
				wantReturned := 0
				if c.state == order.Failed && c.held == orderflow.ReservationConfirmed {
					wantReturned = 1
				}
				require.Equal(t, wantReturned, h.counts[giveBack])
			})
		}
	}
}

// captured answers a void of the given attempt as a provider that has captured the payment.
func captured(attempt int) func(int) error {
	return func(n int) error {
		if n == attempt {
			return refuse(orderflow.ErrPaymentCaptured)
		}
		return nil
	}
}

// TestMoneyOfAnOrderThatEndedIsRefunded: an earlier run had captured the money of an order whose row says that it was
// not carried out.
func TestMoneyOfAnOrderThatEndedIsRefunded(t *testing.T) {
	t.Parallel()
	for _, state := range []order.State{order.Cancelled, order.Expired, order.Failed} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.earlier = left(state, 4, 1, 0)
			h.script[reserve] = always(refuse(orderflow.ErrReservationClosed, orderflow.ReservationReleased))
			h.script[void] = captured(1)

			require.Equal(t, state, h.run(60).State)
			require.Equal(t, 1, h.counts[refund])
			require.Equal(t, []order.Event{order.EventPaymentRefunded}, h.events())
			require.Equal(t, orderflow.PaymentCaptured, h.payments[0].State, "the books have what was taken, too")
			require.Equal(t, orderflow.PaymentRefunded, h.payments[1].State)
		})
	}
}

// TestRunGoesOnFromTheRowOfAnEarlierRun: the order is still open, and nothing has taken its stock.
func TestRunGoesOnFromTheRowOfAnEarlierRun(t *testing.T) {
	t.Parallel()
	for _, state := range []order.State{order.Pending, order.Reserved, order.Paying} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.earlier = left(state, 6, 2, 2)
			paid := h.pay(time.Second)

			require.Equal(t, order.Confirmed, h.run(60).State)
			require.Equal(t, orderflow.PayCaptured, outcome(t, paid))
			require.Equal(t, []order.Event{
				order.EventTakenUp,
				order.EventPaymentStarted,
				order.EventPaid,
				order.EventConfirmed,
			}, h.events())
			require.Equal(t, 3, h.payments[0].Attempt, "every payment has its own key")
			require.Equal(t, orderflow.PaymentKey(h.last.OrderID, 3), h.payments[0].ProviderRef)
		})
	}
	t.Run("paid at once", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.earlier = left(order.Paying, 2, 1, 0)
		require.Equal(t, order.Confirmed, h.run(60, paidAtOnce).State)
		require.Equal(t, 2, h.payments[0].Attempt)
	})
	t.Run("declined at once", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.earlier = left(order.Reserved, 3, 1, 1)
		require.Equal(t, order.Expired, h.run(60, paidAtOnce).State)
		require.Zero(t, h.counts[authorise], "the customer has not asked to try again")
	})
	t.Run("third decline", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.earlier = left(order.Reserved, 6, 2, 2)
		h.script[authorise] = always(refuse(orderflow.ErrPaymentDeclined, "card_declined"))
		h.pay(time.Second)
		require.Equal(t, order.Failed, h.run(60).State)
		require.Equal(t, 1, h.counts[authorise])
	})
	t.Run("left alone", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.earlier = left(order.Paying, 2, 1, 0)
		require.Equal(t, order.Expired, h.run(60).State)
		require.Equal(t, 2, h.counts[void],
			"the recorded payment, and one more that the earlier run may have begun without recording it")
	})
	t.Run("cancelled before anything is known", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.earlier = left(order.Reserved, 3, 1, 1)
		h.cancel(0)
		require.Equal(t, order.Cancelled, h.run(60).State)
		require.Equal(t, order.EventCancelled, h.recorded[len(h.recorded)-1].Event)
	})
}

// TestKeyOfAnEarlierRunIsNotUsedAgain: an earlier run had begun a payment that it could not record.
func TestKeyOfAnEarlierRunIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[authorise] = func(n int) error {
		if n <= 2 {
			return refuse(orderflow.ErrPaymentKeyUsed)
		}
		return nil
	}
	paid := h.pay(time.Second)

	require.Equal(t, order.Confirmed, h.run(60).State)
	require.Equal(t, orderflow.PayCaptured, outcome(t, paid))
	require.Equal(t, 3, h.payments[len(h.payments)-1].Attempt)
	require.Equal(t, 2, h.counts[void], "the payments of the earlier run are set free before another one is made")
}

// TestStockTakenByAnEarlierRun: the earlier run was interrupted between taking the stock and recording the order as
// paid. The provider decides. The new run can learn it in three ways, and the test tries each.
func TestStockTakenByAnEarlierRun(t *testing.T) {
	t.Parallel()
	for _, found := range []string{"by the reserve", "by the extension", "by the expiry"} {
		for _, paid := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/captured %t", found, paid), func(t *testing.T) {
				t.Parallel()
				h := newHarness(t)
				h.earlier = left(order.Paying, 2, 1, 0)
				h.status = orderflow.ReservationConfirmed
				switch found {
				case "by the reserve":
					h.held = orderflow.ReservationConfirmed
				case "by the extension":
					h.script[extend] = always(refuse(orderflow.ErrReservationClosed, orderflow.ReservationConfirmed))
					h.pay(time.Second)
				case "by the expiry":
					h.expiry = orderflow.ReservationConfirmed
				}
				h.script[void] = func(int) error {
					if paid {
						return refuse(orderflow.ErrPaymentCaptured)
					}
					return nil
				}

				result := h.run(60)

				require.Zero(t, h.counts[authorise])
				if paid {
					require.Equal(t, order.Confirmed, result.State)
					require.Zero(t, h.counts[giveBack])
					require.Equal(t, 1, h.counts[confirm], "confirming again finds that the stock is taken")
					return
				}
				require.Equal(t, order.Failed, result.State)
				require.Equal(t, 1, h.counts[giveBack])
				require.Zero(t, h.counts[capture])
			})
		}
	}
}

// TestCancellationThatComesAfterTheCapture: a run that is reset to a point between the authorisation and the capture
// takes a cancellation that the earlier run refused. The provider says that the money is taken: the order is paid.
func TestCancellationThatComesAfterTheCapture(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[authorise] = h.until(10*time.Second, errDown)
	h.script[void] = always(refuse(orderflow.ErrPaymentCaptured))
	paid, cancelled := h.pay(time.Second), h.cancel(4*time.Second)
	require.Equal(t, order.Cancelled, h.run(60).State)
	require.Equal(t, orderflow.PayCaptured, outcome(t, paid))
	require.NoError(t, cancelled.err)
	require.Zero(t, h.counts[release])
	require.Len(t, h.refunds, 1, "the order was paid, so the cancellation refunds it")
}

// TestCopyUnderAnotherIDIsRefused: a copy of a workflow under another id is refused before it does anything.
func TestCopyUnderAnotherIDIsRefused(t *testing.T) {
	t.Parallel()
	for name, input := range map[string]any{
		orderflow.OrderWorkflow:       orderflow.OrderInput{OrderID: uuid.New(), PaymentMethod: "pm_ok"},
		orderflow.ReservationWorkflow: orderflow.ReservationStart{ReservationID: uuid.New()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.start("a copy", name, input)

			var refused *temporal.ApplicationError
			require.ErrorAs(t, h.env.GetWorkflowError(), &refused)
			require.Equal(t, orderflow.ErrNotThisOrder, refused.Type())
			require.True(t, refused.NonRetryable())
			require.Empty(t, h.counts)
		})
	}
}

// TestOrderThatCannotBeRecorded: the database refuses a record for good. The order is undone and marked, and the
// customer is not charged.
func TestOrderThatCannotBeRecorded(t *testing.T) {
	t.Parallel()
	impossible := refuse(orderflow.ErrRecordImpossible)
	t.Run("from the first record", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.script[record] = always(impossible)
		marked := h.marked()
		require.Equal(t, order.Failed, h.runUnrecorded(paidAtOnce))
		require.Zero(t, h.counts[authorise])
		require.Equal(t, 1, h.counts[release])
		require.Equal(t, []bool{true}, *marked)
	})
	t.Run("from the first record, but its failure can be recorded", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.script[record] = func(n int) error {
			if n == 1 {
				return impossible
			}
			return nil
		}
		require.Equal(t, order.Failed, h.runUnrecorded())
		require.Equal(t, []order.Event{order.EventFailed}, h.events())
	})
	t.Run("once it is paid", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.status = orderflow.ReservationConfirmed
		h.script[record] = func(n int) error {
			if n >= 2 { // paid and confirmed
				return impossible
			}
			return nil
		}
		h.script[void] = always(refuse(orderflow.ErrPaymentCaptured))
		marked := h.marked()
		h.pay(time.Second)

		require.Equal(t, order.Failed, h.runUnrecorded())
		require.Equal(t, 1, h.counts[capture])
		require.Equal(t, 1, h.counts[refund])
		require.Equal(t, 1, h.counts[giveBack])
		require.Equal(t, []bool{true}, *marked)
	})
	t.Run("but its failure can be recorded", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.script[find] = func(int) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.earlier = left(order.Reserved, 1, 0, 0)
			return nil
		}
		h.script[record] = func(n int) error {
			if n == 2 {
				return impossible
			}
			return nil
		}
		h.cancel(time.Second)

		require.Equal(t, order.Failed, h.runUnrecorded())
		require.Equal(t, []order.Event{order.EventReserved, order.EventFailed}, h.events())
	})
}

// TestPaymentWaitsForTheRow: while the database is down no payment is authorised, and the deadline holds.
func TestPaymentWaitsForTheRow(t *testing.T) {
	t.Parallel()
	t.Run("until the row is there", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.script[record] = h.until(20*time.Second, errDown)
		var recordedFirst bool
		h.script[authorise] = func(int) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			recordedFirst = len(h.recorded) > 0
			return nil
		}

		require.Equal(t, order.Confirmed, h.run(60, paidAtOnce).State)
		require.True(t, recordedFirst)
	})
	t.Run("until the deadline", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.script[record] = h.until(108*time.Second, errDown)
		require.Equal(t, order.Expired, h.run(60, paidAtOnce).State)
		require.Zero(t, h.counts[authorise])
		require.Equal(t, 1, h.counts[release])
	})
}

// runUnrecorded runs an order whose timeline does not show its end.
func (h *harness) runUnrecorded(change ...func(*orderflow.OrderInput)) order.State {
	h.t.Helper()
	h.partial = true
	return h.run(60, change...).State
}

// TestInputThatIsNotTheOrders: an operator has started the order by hand with an input of their own. The run ends with
// an error and touches nothing that the order in the row owns.
func TestInputThatIsNotTheOrders(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.partial = true
	h.script[record] = always(refuse(orderflow.ErrRecordConflict))
	h.earlier = left(order.Reserved, 1, 0, 0)
	in := orderflow.OrderInput{OrderID: uuid.New(), PaymentMethod: "pm_ok", TTLSeconds: 60, PlacedAt: h.env.Now()}

	h.start(orderflow.OrderWorkflowID(in.OrderID), orderflow.OrderWorkflow, in)

	var refused *temporal.ApplicationError
	require.ErrorAs(t, h.env.GetWorkflowError(), &refused)
	require.Equal(t, orderflow.ErrRecordConflict, refused.Type())
	for _, step := range []string{authorise, release, giveBack, void} {
		require.Zero(t, h.counts[step], step)
	}
}
