package workflows_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// skip says that a step was done by hand: a refund of the given amount, or a void of the first attempt.
func (h *harness) skip(after time.Duration, step string, minor int64) *reply {
	return h.send(after, orderflow.UpdateSkipStep, orderflow.SkipStepInput{
		Step: step, AmountMinor: minor, Attempt: 1, Reference: "bank-17", Actor: "olga",
	})
}

func (h *harness) lastPayment() orderflow.PaymentRecord { return h.payments[len(h.payments)-1] }

// TestRefundByHand: the provider is down for good, an operator gives the money back by hand, and the order ends.
func TestRefundByHand(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[orderflow.RefundPayment] = always(errDown)
	marked := h.marked()
	h.pay(time.Second)
	h.cancel(2 * time.Minute)
	other := h.skip(2*time.Minute+10*time.Second, orderflow.VoidPayment, 0)
	wrong := h.skip(3*time.Minute, orderflow.RefundPayment, 1000)
	skipped := h.skip(3*time.Minute+10*time.Second, orderflow.RefundPayment, 1250)

	require.Equal(t, order.Cancelled, h.run(60).State)
	require.ErrorContains(t, wrong.err, "which is not what was done by hand; nothing is recorded")
	require.ErrorContains(t, other.err, "does not wait for VoidPayment")
	require.NoError(t, skipped.err)
	require.Equal(t, orderflow.PaymentRefunded, h.lastPayment().State)
	require.Equal(t, orderflow.ByHand, h.lastPayment().Provider)
	require.Equal(t, "bank-17", h.lastPayment().ProviderRef)
	require.Contains(t, h.events(), order.EventPaymentRefunded)
	require.Contains(t, h.events(), order.EventRepaired)
	require.Equal(t, []bool{true, false}, *marked, "the order needs an operator until then")
}

// TestRefusedRefundByHand: the provider refuses a refund for good while the order goes on; an operator makes it.
func TestRefusedRefundByHand(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.twoLocations()
	h.script[orderflow.RefundPayment] = always(refuse(orderflow.ErrPaymentRefused, "too_old"))
	marked := h.marked()
	h.pay(time.Second)
	h.cancelLines(time.Minute, 2, 3)
	early := h.skip(30*time.Second, orderflow.RefundPayment, 1000)
	wrong := h.skip(90*time.Second, orderflow.RefundPayment, 999)
	skipped := h.skip(2*time.Minute, orderflow.RefundPayment, 1000)
	again := h.skip(3*time.Minute, orderflow.RefundPayment, 1000)
	h.ship(4*time.Minute, 1)
	h.deliver(5*time.Minute, 1)

	require.Equal(t, order.Completed, h.run(60).State)
	require.ErrorContains(t, early.err, "does not wait for RefundPayment")
	require.ErrorContains(t, wrong.err, "which is not what was given back; nothing is recorded")
	require.NoError(t, skipped.err)
	require.ErrorContains(t, again.err, "does not wait for RefundPayment")
	require.Equal(t, 1, h.counts[orderflow.RefundPayment])
	require.Equal(t, orderflow.ByHand, h.lastPayment().Provider)
	require.EqualValues(t, 1000, h.lastPayment().Amount.Minor)
	require.Equal(t, []bool{true, false}, *marked)
}

// TestRefundByHandThatTheProviderMade: the answers to a refund were lost. The books have the provider's refund, and the
// skip is refused.
func TestRefundByHandThatTheProviderMade(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[orderflow.RefundPayment] = always(errDown)
	h.found = 1250
	h.pay(time.Second)
	h.cancel(2 * time.Minute)
	skipped := h.skip(3*time.Minute, orderflow.RefundPayment, 1250)

	require.Equal(t, order.Cancelled, h.run(60).State)
	require.ErrorContains(t, skipped.err, "the provider has carried out RefundPayment by itself")
	require.Equal(t, "test", h.lastPayment().Provider)
	require.NotContains(t, h.events(), order.EventRepaired)
}

// TestRefusedRefundThatTheProviderMade: the provider has made a refund whose answer was lost, and refused a later
// attempt. The books have the provider's refund, each skip is refused, and the order needs no operator any more.
func TestRefusedRefundThatTheProviderMade(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.twoLocations()
	h.script[orderflow.RefundPayment] = always(refuse(orderflow.ErrPaymentRefused, "already_refunded"))
	h.found = 1000
	marked := h.marked()
	h.pay(time.Second)
	h.cancelLines(time.Minute, 2, 3)
	skipped := h.skip(2*time.Minute, orderflow.RefundPayment, 1000)
	h.ship(4*time.Minute, 1)
	h.deliver(5*time.Minute, 1)

	require.Equal(t, order.Completed, h.run(60).State)
	require.ErrorContains(t, skipped.err, "the provider has carried out RefundPayment by itself")
	require.Equal(t, 1, h.counts[orderflow.RefundPayment])
	require.Equal(t, orderflow.PaymentRefunded, h.lastPayment().State)
	require.Equal(t, "test", h.lastPayment().Provider)
	require.EqualValues(t, 1000, h.lastPayment().Amount.Minor)
	require.NotContains(t, h.events(), order.EventRepaired)
	require.Equal(t, []bool{true, false}, *marked)
}

// TestRefusedRefundIsMadeByHandOnce: of two skips at the same moment, one is accepted.
func TestRefusedRefundIsMadeByHandOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.twoLocations()
	h.script[orderflow.RefundPayment] = always(refuse(orderflow.ErrPaymentRefused, "too_old"))
	h.pay(time.Second)
	h.cancelLines(time.Minute, 2, 3)
	first := h.skip(2*time.Minute, orderflow.RefundPayment, 1000)
	second := h.skip(2*time.Minute, orderflow.RefundPayment, 1000)
	h.ship(4*time.Minute, 1)
	h.deliver(5*time.Minute, 1)

	require.Equal(t, order.Completed, h.run(60).State)
	require.NotEqual(t, first.err == nil, second.err == nil, "%v, %v", first.err, second.err)
	refunds := 0
	for _, p := range h.payments {
		if p.State == orderflow.PaymentRefunded {
			refunds++
		}
	}
	require.Equal(t, 1, refunds)
}

// TestRefundByHandOfAStoppedOrderThatTheProviderMade: a run that was started to book a refund by hand asks the provider
// first.
func TestRefundByHandOfAStoppedOrderThatTheProviderMade(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.twoLocations()
	h.earlier = paidRow()
	h.found = 1000
	h.ship(time.Minute, 1)
	h.deliver(2*time.Minute, 1)
	result := h.run(60, continues, func(in *orderflow.OrderInput) {
		in.RefundByHand = &orderflow.RefundByHand{Number: 1, AmountMinor: 1000, Reference: "bank-17", Actor: "olga"}
	})
	require.Equal(t, order.Completed, result.State)
	require.Zero(t, h.counts[orderflow.RefundPayment])
	require.Len(t, h.payments, 1)
	require.Equal(t, "test", h.lastPayment().Provider)
	require.NotContains(t, h.events(), order.EventRepaired)
}

// TestRefusedRefundOutlivesTheRun: a run whose refund was refused does not continue as new, so an operator can still
// make the refund after a day.
func TestRefusedRefundOutlivesTheRun(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.twoLocations()
	h.script[orderflow.RefundPayment] = always(refuse(orderflow.ErrPaymentRefused, "too_old"))
	h.pay(time.Second)
	h.cancelLines(time.Minute, 2, 3)
	skipped := h.skip(25*time.Hour, orderflow.RefundPayment, 1000)
	h.run(60)
	require.NoError(t, skipped.err)
	require.Equal(t, 1, h.counts[orderflow.RefundPayment])
	require.Equal(t, orderflow.ByHand, h.lastPayment().Provider)
}

// TestRefundByHandWhileTheOrderEnds: a refund that could not be recorded any more is refused.
func TestRefundByHandWhileTheOrderEnds(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[orderflow.RefundPayment] = always(refuse(orderflow.ErrPaymentRefused, "too_old"))
	down := h.until(2*time.Minute+30*time.Second, errDown)
	h.script[orderflow.RecordOrder] = func(n int) error {
		if h.counts[orderflow.RefundPayment] == 0 {
			return nil
		}
		return down(n)
	}
	h.pay(time.Second)
	h.cancel(2 * time.Minute)
	skipped := h.skip(2*time.Minute+10*time.Second, orderflow.RefundPayment, 1250)
	require.Equal(t, order.Cancelled, h.run(60).State)
	require.ErrorContains(t, skipped.err, "ends at this moment")
	require.NotContains(t, h.events(), order.EventRepaired)
}

// TestRepeatedRefundByHandOfAStoppedOrder: a run that was started to book a refund by hand answers a repeat of that
// request, before and after it has booked the refund. A request for another refund is refused.
func TestRepeatedRefundByHandOfAStoppedOrder(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.twoLocations()
	h.earlier = paidRow()
	h.script[orderflow.FindOrder] = h.until(2*time.Second, errDown)
	early := h.skip(time.Second, orderflow.RefundPayment, 1000)
	late := h.skip(30*time.Second, orderflow.RefundPayment, 1000)
	other := h.skip(30*time.Second, orderflow.RefundPayment, 999)
	h.ship(time.Minute, 1)
	h.deliver(2*time.Minute, 1)
	result := h.run(60, continues, func(in *orderflow.OrderInput) {
		in.RefundByHand = &orderflow.RefundByHand{Number: 1, AmountMinor: 1000, Reference: "bank-17", Actor: "olga"}
	})
	require.Equal(t, order.Completed, result.State)
	require.NoError(t, early.err)
	require.NoError(t, late.err)
	require.ErrorContains(t, other.err, "does not wait for RefundPayment")
	require.Zero(t, h.counts[orderflow.RefundPayment])
	require.Len(t, h.payments, 1)
	require.Equal(t, orderflow.ByHand, h.lastPayment().Provider)
}

// TestEqualRefundsUnderOneReference: the order of a run that books a refund by hand comes to owe the same amount again.
// The operator gives it back under the same reference, in another repair. Both refunds are booked.
func TestEqualRefundsUnderOneReference(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.twoLocations()
	two := h.order
	h.order = func(in *orderflow.OrderInput) {
		two(in)
		in.Lines[1].Total.Minor, in.Total.Minor = 1250, 3750
	}
	h.earlier = paidRow()
	h.script[orderflow.RefundPayment] = always(refuse(orderflow.ErrPaymentRefused, "too_old"))
	cut := h.cancelLines(time.Minute, 1, 1)
	second := h.send(2*time.Minute, orderflow.UpdateSkipStep, orderflow.SkipStepInput{
		Step: orderflow.RefundPayment, AmountMinor: 1250, Reference: "bank-17", Actor: "olga", Repair: "second",
	})
	h.ship(4*time.Minute, 1)
	h.deliver(5*time.Minute, 1)
	h.run(60, continues, func(in *orderflow.OrderInput) {
		in.RefundByHand = &orderflow.RefundByHand{
			Number: 1, AmountMinor: 1250, Reference: "bank-17", Actor: "olga", Repair: "first",
		}
	})
	require.NoError(t, cut.err)
	require.NoError(t, second.err)
	require.Len(t, h.payments, 2)
	for i, p := range h.payments {
		require.Equal(t, orderflow.ByHand, p.Provider)
		require.EqualValues(t, 1250, p.Amount.Minor)
		require.Equal(t, i+1, p.Number)
	}
}

// endedWithMoney is the row of an order that has ended while its first payment was open.
func endedWithMoney(h *harness) {
	h.earlier = left(order.Cancelled, 4, 1, 0)
	h.earlier.Unended = []int{1}
	h.script[reserve] = always(refuse(orderflow.ErrReservationClosed, orderflow.ReservationReleased))
}

// TestEndedOrderGivesItsMoneyBack: the workflow was stopped between the record of the order's end and the void. Another
// run voids the payment and records that.
func TestEndedOrderGivesItsMoneyBack(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	endedWithMoney(h)
	require.Equal(t, order.Cancelled, h.run(60).State)
	require.Len(t, h.payments, 1)
	require.Equal(t, orderflow.PaymentVoided, h.lastPayment().State)
	require.Equal(t, []order.Event{order.EventPaymentVoided}, h.events())
}

// TestRepairOfAnEndedOrderIsInItsTimeline: the run that a repair has started records it first, and a later run with the
// same input does not record it again.
func TestRepairOfAnEndedOrderIsInItsTimeline(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]int64{"this run": 4, "an earlier run has recorded it": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			endedWithMoney(h)
			h.run(60, func(in *orderflow.OrderInput) {
				in.Repair = &orderflow.RunRepair{Actor: "olga", Action: orderflow.RepairAdopt, After: after}
			})
			want := []order.Event{order.EventRepaired, order.EventPaymentVoided}
			if after < 4 {
				want = want[1:]
			}
			require.Equal(t, want, h.events())
		})
	}
}

// TestVoidByHandOfAnEndedOrder: the provider does not answer the run that an operator has started for an order that had
// ended, and the operator voids the payment by hand.
func TestVoidByHandOfAnEndedOrder(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	endedWithMoney(h)
	h.script[void] = h.until(30*time.Second, errDown)
	skipped := h.skip(20*time.Second, orderflow.VoidPayment, 0)
	require.Equal(t, order.Cancelled, h.run(60).State)
	require.NoError(t, skipped.err)
	require.Equal(t, orderflow.PaymentVoided, h.lastPayment().State)
	require.Equal(t, orderflow.ByHand, h.lastPayment().Provider)
	require.Contains(t, h.events(), order.EventRepaired)
}

// TestRefundByHandOfAnOrderThatWasNotCarriedOut: the provider has captured the payment and refuses the refund. Another
// run records the refund that an operator has made, unless the provider has made it after all.
func TestRefundByHandOfAnOrderThatWasNotCarriedOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		found    int64
		provider string
	}{
		"made by hand":         {0, orderflow.ByHand},
		"made by the provider": {1250, "test"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			endedWithMoney(h)
			h.found = c.found
			h.script[void] = captured(1)
			require.Equal(t, order.Cancelled, h.run(60, func(in *orderflow.OrderInput) {
				in.RefundByHand = &orderflow.RefundByHand{Number: 1, AmountMinor: 1250, Reference: "bank-17", Actor: "olga"}
			}).State)
			require.Zero(t, h.counts[refund], "the provider must not give the money back a second time")
			require.Len(t, h.payments, 2)
			require.Equal(t, orderflow.PaymentCaptured, h.payments[0].State)
			require.Equal(t, orderflow.PaymentRefunded, h.payments[1].State)
			require.Equal(t, c.provider, h.payments[1].Provider)
		})
	}
}

// TestPaymentEndedByHandStaysEnded: a later run does not ask the provider to give back what an operator has given back.
func TestPaymentEndedByHandStaysEnded(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	endedWithMoney(h)
	h.earlier.Unended, h.earlier.ByHand = nil, []int{1}
	h.run(60)
	require.Equal(t, 1, h.counts[void], "only of the payment that the earlier run may have begun besides")
}

// TestVoidByHand: an expired order whose payment the provider does not void waits until an operator has done it.
func TestVoidByHand(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[orderflow.AuthorisePayment] = always(errDown)
	h.script[orderflow.VoidPayment] = always(errDown)
	h.pay(time.Second)
	skipped := h.skip(2*time.Minute+30*time.Second, orderflow.VoidPayment, 0)
	require.Equal(t, order.Expired, h.run(60).State)
	require.NoError(t, skipped.err)
	require.Equal(t, orderflow.PaymentVoided, h.lastPayment().State)
	require.Equal(t, orderflow.ByHand, h.lastPayment().Provider)
}

// TestStepsThatMayNotBeSkipped: a step that decides about stock or money is refused with what to do instead.
func TestStepsThatMayNotBeSkipped(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[orderflow.CapturePayment] = h.until(90*time.Second, errDown)
	h.pay(time.Second)
	capture := h.skip(time.Minute, orderflow.CapturePayment, 0)
	unknown := h.skip(time.Minute, "Capture", 0)
	noted := h.send(time.Minute, orderflow.UpdateNoteRepair, orderflow.NoteRepairInput{
		Actor: "olga", Action: orderflow.RepairRetryNow,
	})
	require.Equal(t, order.Confirmed, h.run(60).State)
	require.ErrorContains(t, capture.err, "the goods would leave without the money")
	require.ErrorContains(t, unknown.err, `no step "Capture"`)
	require.NoError(t, noted.err)
	require.Contains(t, h.events(), order.EventRepaired)
}

// TestAdoptedReservation: a run that adopts a reservation does not reserve, and gives the stock back at the deadline
// that inventory knows.
func TestAdoptedReservation(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	until := h.env.Now().Add(time.Minute)
	later := until.Add(time.Hour)
	h.script[orderflow.ExpireReservation] = func(n int) error {
		if n == 1 {
			return refuse(orderflow.ErrNotDue, later)
		}
		return nil
	}
	id := uuid.New()
	h.start(orderflow.ReservationWorkflowID(id), orderflow.ReservationWorkflow, orderflow.ReservationStart{
		ReservationID: id, OwnerID: uuid.New(), Actor: "alice", HeldUntil: &until,
	})
	var out orderflow.ReservationView
	require.NoError(t, h.env.GetWorkflowResult(&out))
	require.Equal(t, orderflow.ReservationExpired, out.Status)
	require.Zero(t, h.counts[orderflow.ReserveStock])
	require.False(t, h.env.Now().Before(later))
}

// TestEveryStepHasARule: each activity of an order has one rule, and only steps of the payment are skippable.
func TestEveryStepHasARule(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{orderflow.VoidPayment, orderflow.RefundPayment}, orderflow.SkippableSteps())
	file, err := parser.ParseFile(token.NewFileSet(), "orderflow/names.go", nil, 0)
	require.NoError(t, err)
	steps := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		text, ok := spec.Values[0].(*ast.BasicLit)
		if ok && text.Value == `"`+spec.Names[0].Name+`"` { // an activity has the name of its constant
			rule, found := orderflow.RuleOfStep(spec.Names[0].Name)
			require.True(t, found, spec.Names[0].Name)
			require.NotEmpty(t, rule.Why, rule.Step)
			steps++
		}
		return true
	})
	require.Equal(t, 18, steps)
}

// TestRefusedRefundAfterTakingUp: a later run takes up a paid order, and the provider refuses a refund for good. An
// operator can still record that refund as made by hand, and the order is delivered.
func TestRefusedRefundAfterTakingUp(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.twoLocations()
	h.earlier = paidRow()
	h.held = orderflow.ReservationConfirmed
	h.script[orderflow.RefundPayment] = always(refuse(orderflow.ErrPaymentRefused, "too_old"))
	skipped := h.skip(2*time.Minute, orderflow.RefundPayment, 1000)
	h.ship(4*time.Minute, 1)
	h.deliver(5*time.Minute, 1)

	require.Equal(t, order.Completed, h.run(60).State)
	require.NoError(t, skipped.err)
}
