package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

const (
	reserve   = orderflow.ReserveStock
	extend    = orderflow.ExtendReservation
	confirm   = orderflow.ConfirmReservation
	release   = orderflow.ReleaseStock
	expire    = orderflow.ExpireReservation
	giveBack  = orderflow.ReturnStock
	authorise = orderflow.AuthorisePayment
	capture   = orderflow.CapturePayment
	void      = orderflow.VoidPayment
	record    = orderflow.RecordOrder
)

func outcome(t *testing.T, r *reply) orderflow.PayOutcome {
	t.Helper()
	require.True(t, r.done)
	require.NoError(t, r.err)
	return r.result.(orderflow.PayResult).Outcome
}

func TestPaidOrderUndoesNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	paid := h.pay(time.Second)
	require.Equal(t, order.Confirmed, h.run(60).State)
	require.Equal(t, orderflow.PayCaptured, outcome(t, paid))
	require.Equal(t, []string{reserve, extend, authorise, confirm, capture}, h.called())
	require.Equal(t, []order.Event{
		order.EventReserved,
		order.EventPaymentStarted,
		order.EventPaid,
		order.EventConfirmed,
	}, h.events())
}

// paidAtOnce makes the order bring a payment along.
func paidAtOnce(in *orderflow.OrderInput) { in.PaymentMethod = "pm_ok" }

func TestPaidAtOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	require.Equal(t, order.Confirmed, h.run(60, paidAtOnce).State)
	require.Equal(t, []string{reserve, extend, authorise, confirm, capture}, h.called())
}

// TestPayAtTheDeadline: either the payment or the expiry wins. In the last millisecond inventory's clock
// decides; once our timer has fired, the order cannot be paid any more.
func TestPayAtTheDeadline(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		at     time.Duration
		answer error // inventory's, to the extension
		ends   order.State
	}{
		"before, and inventory still holds": {60*time.Second - time.Millisecond, nil, order.Confirmed},
		"before, and inventory says too late": {
			60*time.Second - time.Millisecond,
			refuse(orderflow.ErrReservationExpired),
			order.Expired,
		},
		"at once with the timer": {60 * time.Second, nil, order.Expired},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.script[extend] = always(c.answer)
			h.script[record] = h.until(90*time.Second, errDown)
			paid := h.pay(c.at)

			require.Equal(t, c.ends, h.run(60).State)
			if c.ends == order.Expired {
				require.NotContains(t, h.called(), authorise, "the provider gets no request")
				require.NotEqual(t, orderflow.PayCaptured, paid.result)
			}
			if c.answer != nil {
				require.Equal(t, orderflow.PayExpired, outcome(t, paid))
			}
		})
	}
}

// TestRefusedCapture: the workflow undoes the last step first: the money, then the confirmed stock.
func TestRefusedCapture(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.status = orderflow.ReservationConfirmed
	h.script[capture] = always(refuse(orderflow.ErrPaymentRefused, "authorisation_expired"))
	paid := h.pay(time.Second)
	require.Equal(t, order.Failed, h.run(60).State)
	require.Equal(t, orderflow.PayFailed, outcome(t, paid))
	require.Equal(t, []string{reserve, extend, authorise, confirm, void, release, giveBack}, h.called())
}

func TestCancelDuringPayment(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		slow   string // the step that is under way when the order is called off
		status string // the reservation's status that the release answers
		calls  []string
	}{
		"extension": {
			extend, orderflow.ReservationReleased,
			[]string{reserve, extend, release},
		},
		"authorisation": {
			authorise, orderflow.ReservationReleased,
			[]string{reserve, extend, authorise, void, release},
		},
		"confirmation": {
			confirm, orderflow.ReservationConfirmed,
			[]string{reserve, extend, authorise, confirm, void, release, giveBack},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.status = c.status
			h.script[c.slow] = h.until(10*time.Second, errDown)
			paid, cancelled := h.pay(time.Second), h.cancel(4*time.Second)

			require.Equal(t, order.Cancelled, h.run(60).State)
			require.Equal(t, orderflow.PayCancelled, outcome(t, paid))
			require.NoError(t, cancelled.err)
			require.Equal(t, c.calls, h.called())
			last := h.recorded[len(h.recorded)-1]
			require.Equal(t, []string{"alice", "changed my mind"}, []string{last.Actor, last.Reason})
		})
	}
}

// TestCancelDuringCapture: a cancellation cannot stop a capture that has begun. It refunds the money then.
func TestCancelDuringCapture(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[capture] = h.until(10*time.Second, errDown)
	paid, cancelled := h.pay(time.Second), h.cancel(4*time.Second)
	require.Equal(t, order.Cancelled, h.run(60).State)
	require.Equal(t, orderflow.PayCaptured, outcome(t, paid))
	require.NoError(t, cancelled.err)
	require.NotContains(t, h.called(), void)
	require.Len(t, h.refunds, 1)
	require.Len(t, h.returns, 1)
}

func TestTwoPaysAtOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[authorise] = h.until(10*time.Second, errDown)
	first, second := h.pay(time.Second), h.pay(time.Second)
	require.Equal(t, order.Confirmed, h.run(60).State)
	require.Equal(t, orderflow.PayCaptured, outcome(t, first))
	require.Equal(t, string(order.PaymentInProgress), second.code())
	require.Equal(t, []string{reserve, extend, authorise, confirm, capture}, h.called())
}

// TestSecondPayWhileTheFirstWaits: a payment is in progress from the moment it is accepted, also while the loop
// still carries out another command.
func TestSecondPayWhileTheFirstWaits(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[extend] = h.until(4*time.Second, errDown)
	h.extend(time.Second, 90)
	first, second := h.pay(2*time.Second), h.pay(3*time.Second)
	require.Equal(t, order.Confirmed, h.run(60).State)
	require.Equal(t, orderflow.PayCaptured, outcome(t, first))
	require.Equal(t, string(order.PaymentInProgress), second.code())
}

// TestWorkflowCancelled: an operator cancels the workflow with Temporal's own tools.
func TestWorkflowCancelled(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set   func(*harness)
		calls []string
	}{
		"pending":  {func(h *harness) { h.script[reserve] = always(errDown) }, []string{release}},
		"reserved": {func(*harness) {}, []string{reserve, release}},
		"paying": {func(h *harness) {
			h.script[authorise] = h.until(10*time.Second, errDown)
			h.pay(time.Second)
		}, []string{reserve, extend, authorise, void, release}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			c.set(h)
			h.env.RegisterDelayedCallback(h.env.CancelWorkflow, 4*time.Second)
			require.Equal(t, order.Cancelled, h.run(60).State)
			require.Equal(t, c.calls, h.called())
			require.Equal(t, orderflow.ActorTemporal, h.recorded[len(h.recorded)-1].Actor)
		})
	}
}

// TestInventoryDownAtTheDeadline: the order is expired and unpayable at once, marked for operators if the
// outage lasts, and the stock goes back when inventory answers again.
func TestInventoryDownAtTheDeadline(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[expire] = h.until(140*time.Second, errDown)
	late, cancelled := h.pay(70*time.Second), h.cancel(80*time.Second)
	marked := h.marked()

	require.Equal(t, order.Expired, h.run(60).State)
	require.Equal(t, string(order.Overdue), late.code())
	require.Equal(t, string(order.InvalidState), cancelled.code())
	require.Equal(t, []order.Event{order.EventReserved, order.EventExpired, order.EventStockReleased}, h.events())
	require.WithinDuration(t, h.recorded[0].At.Add(time.Minute), h.recorded[1].At, 3*time.Second)
	require.GreaterOrEqual(t, h.recorded[2].At.Sub(h.recorded[1].At), 75*time.Second)
	require.Equal(t, []bool{true, false}, *marked)
}

// TestOrdersDatabaseDown: an orders database that is down never delays a release.
func TestOrdersDatabaseDown(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[record] = h.until(100*time.Second, errDown)
	start := h.env.Now()
	var released time.Duration
	h.script[expire] = func(int) error { released = h.env.Now().Sub(start); return nil }

	require.Equal(t, order.Expired, h.run(60).State)
	require.InDelta(t, 60, released.Seconds(), 3)
	require.Equal(t, []order.Event{order.EventReserved, order.EventStockReleased, order.EventExpired}, h.events(),
		"all of it is recorded afterwards")
}

// TestClockAhead: if inventory's clock is behind ours, the workflow asks it a bounded number of times.
func TestClockAhead(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	start := h.env.Now()
	h.script[expire] = h.until(90*time.Second, refuse(orderflow.ErrNotDue, start.Add(60*time.Second)))
	require.Equal(t, order.Expired, h.run(60).State)
	require.LessOrEqual(t, h.counts[expire], 15)
}

// TestTooManyExtensions: a client cannot use up the updates that a workflow can have.
func TestTooManyExtensions(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var last *reply
	for i := range 201 { // most of them change nothing, but each uses up an update
		last = h.extend(time.Duration(i+1)*time.Second, 60)
	}
	paid := h.pay(300 * time.Second)

	require.Equal(t, order.Confirmed, h.run(3600).State)
	require.True(t, last.rejected)
	require.Equal(t, orderflow.ErrTooManyExtensions, last.code())
	require.Equal(t, orderflow.PayCaptured, outcome(t, paid))
}

func TestExtension(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	extended := h.extend(30*time.Second, 120)
	shorter := h.extend(40*time.Second, 5)

	require.Equal(t, order.Expired, h.run(60).State)
	require.NoError(t, extended.err)
	require.NoError(t, shorter.err)
	require.Equal(t, []order.Event{
		order.EventReserved,
		order.EventExtended,
		order.EventStockReleased,
		order.EventExpired,
	}, h.events())

	entry := h.recorded[1]
	require.Equal(t, "alice", entry.Actor)
	require.WithinDuration(t, h.recorded[0].At.Add(150*time.Second), *entry.NextDeadline, time.Second)
	require.WithinDuration(t, *entry.NextDeadline, h.recorded[3].At, 2*time.Second)
	require.Equal(t, 1, h.counts[extend], "a deadline is never shortened, so inventory gets no request")
}

func TestExtensionRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer  error // inventory's, to the extension
		ttl     int
		outcome orderflow.ExtendOutcome
		code    string
		ends    order.State
	}{
		"longer than a day": {nil, 25 * 3600, "", orderflow.ErrInvalidDuration, order.Expired},
		"expired":           {refuse(orderflow.ErrReservationExpired), 90, orderflow.ExtendTooLate, "", order.Expired},
		"released": {
			refuse(orderflow.ErrReservationClosed, "released"),
			90, orderflow.ExtendClosed, "", order.Failed,
		},
		"inventory is down": {errDown, 90, orderflow.ExtendUnavailable, "", order.Expired},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.script[extend] = always(c.answer)
			got := h.extend(30*time.Second, c.ttl)

			require.Equal(t, c.ends, h.run(60).State)
			require.Equal(t, c.code, got.code())
			if c.code == "" {
				require.Equal(t, c.outcome, got.result.(orderflow.ExtendResult).Outcome)
			}
		})
	}
}

// TestExtensionGoesAsFarAsItMay: stock is held for 24 hours in all. An extension by a day is cut to that, and a second
// extension by a day is refused, because it gains nothing.
func TestExtensionGoesAsFarAsItMay(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	day, again := h.extend(30*time.Second, 86400), h.extend(40*time.Second, 86400)
	require.Equal(t, order.Expired, h.run(60).State)
	require.NoError(t, day.err)
	require.WithinDuration(t, h.recorded[0].At.Add(24*time.Hour), *h.recorded[1].NextDeadline, time.Second)
	require.Equal(t, orderflow.ErrInvalidDuration, again.code())
}

// TestExtensionWhoseAnswerIsLost: the extension has moved the deadline although its answer was lost. At the old
// deadline inventory answers the new one.
func TestExtensionWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	start := h.env.Now()
	h.script[extend] = always(errDown)
	h.script[expire] = h.until(120*time.Second, refuse(orderflow.ErrNotDue, start.Add(120*time.Second)))
	h.extend(30*time.Second, 90)
	require.Equal(t, order.Expired, h.run(60).State)
	require.WithinDuration(t, start.Add(120*time.Second), h.recorded[len(h.recorded)-1].At, 3*time.Second)
}

// TestProviderDown: a payment whose outcome stays unknown is voided under its own key, and the order
// can be paid again. If the provider does not answer the void either, the order expires and the void goes on.
func TestProviderDown(t *testing.T) {
	t.Parallel()
	t.Run("the void is answered", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.script[authorise] = always(errDown)
		paid := h.pay(time.Second)
		require.Equal(t, order.Expired, h.run(60).State)
		require.Equal(t, orderflow.PayUnavailable, outcome(t, paid))
		require.Equal(t, []string{reserve, extend, void, expire}, h.called())
	})
	t.Run("the void is not answered either", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.script[authorise] = always(errDown)
		h.script[void] = h.until(200*time.Second, errDown)
		paid, late := h.pay(time.Second), h.pay(150*time.Second)

		require.Equal(t, order.Expired, h.run(60).State)
		require.Equal(t, orderflow.PayUnavailable, outcome(t, paid))
		require.Equal(t, string(order.Overdue), late.code())
		require.Equal(t, []string{reserve, extend, release, void}, h.called(), "the stock does not wait for the provider")
	})
}

// TestCancelWhileTheProviderIsDown: the workflow heeds a cancellation although the outcome of the payment is
// not known yet, and although the order may live for a day.
func TestCancelWhileTheProviderIsDown(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[authorise] = always(errDown)
	h.script[void] = h.until(300*time.Second, errDown)
	h.pay(time.Second)
	cancelled := h.cancel(10 * time.Second)

	require.Equal(t, order.Cancelled, h.run(24*3600).State)
	require.NoError(t, cancelled.err)
	require.Contains(t, h.called(), release)

	end := h.recorded[len(h.recorded)-1]
	for _, e := range h.recorded {
		if e.Event == order.EventCancelled {
			end = e
		}
	}
	require.Less(t, end.At.Sub(h.recorded[0].At), payWindow, "within the time that a payment is given")
}

// TestVoidRefused: the provider does not answer the authorisation and refuses the void. The order ends, and its
// timeline shows the failed undo.
func TestVoidRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[authorise] = always(errDown)
	h.script[void] = always(refuse(orderflow.ErrPaymentRefused, "captured_by_somebody_else"))
	h.pay(time.Second)
	require.Equal(t, order.Expired, h.run(60).State)
	require.Contains(t, h.events(), order.EventCompensationFailed)
	require.LessOrEqual(t, h.counts[void], 2)
}

// payWindow is how long a payment may keep an order from being called off.
const payWindow = 3 * time.Minute

// TestTooManyPayments: each payment holds the stock for longer, so their number is limited.
func TestTooManyPayments(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[authorise] = always(errDown)
	for i := range 12 {
		h.pay(time.Duration(i)*3*time.Minute + time.Second)
	}
	require.Equal(t, order.Failed, h.run(24*3600).State)
	require.Equal(t, 10, h.counts[void])
}

func TestThirdDeclineEndsTheOrder(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[authorise] = always(refuse(orderflow.ErrPaymentDeclined, "card_declined"))
	for i := range 3 {
		h.pay(time.Duration(i+1) * time.Second)
	}
	late := h.pay(10 * time.Second)
	h.script[record] = h.untilAfterTheFirst(20 * time.Second)

	require.Equal(t, order.Failed, h.run(60).State)
	require.Equal(t, string(order.InvalidState), late.code())
	require.Equal(t, 3, h.counts[authorise])
	require.NotContains(t, h.called(), void, "a declined payment needs no void")
	require.Equal(t, 1, h.counts[release])
}

// TestReservationGoneWhilePaying: an operator released the reservation in inventory. The customer is not charged.
func TestReservationGoneWhilePaying(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[confirm] = always(refuse(orderflow.ErrReservationClosed, "released"))
	paid := h.pay(time.Second)
	require.Equal(t, order.Failed, h.run(60).State)
	require.Equal(t, orderflow.PayFailed, outcome(t, paid))
	require.Equal(t, []string{reserve, extend, authorise, void, release}, h.called())
}

// TestStartedTooLate: an order waited for its workflow for longer than its customer wanted the stock to be held. It
// expires, reserves nothing and takes no money.
func TestStartedTooLate(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	startBy := h.env.Now().Add(-time.Second)
	late := func(in *orderflow.OrderInput) { in.StartBy = &startBy }
	require.Equal(t, order.Expired, h.run(60, paidAtOnce, late).State)
	require.Equal(t, []order.Event{order.EventExpired}, h.events())
	require.Zero(t, h.counts[reserve])
	require.Zero(t, h.counts[authorise])
	require.Equal(t, 1, h.counts[release], "an earlier run may have reserved")
}

// TestResetAfterItsTimeToStart: an order that an earlier run has recorded does not start too late, whenever an operator
// resets it. Inventory knows until when its stock is held.
func TestResetAfterItsTimeToStart(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.earlier = left(order.Reserved, 1, 0, 0)
	startBy := h.env.Now().Add(-time.Second)
	h.pay(time.Second)
	require.Equal(t, order.Confirmed, h.run(60, func(in *orderflow.OrderInput) { in.StartBy = &startBy }).State)
}
