package workflows

import (
	"slices"

	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// manualStep is a step under way that an operator may do by hand.
type manualStep struct {
	activity string
	in       orderflow.PaymentInput
	stop     workflow.CancelFunc
	hand     *orderflow.SkipStepInput // nil until an operator says that the step was done
	skipped  bool                     // the step ended as done by hand
	ended    bool
}

// unlessByHand runs a step of a payment. If an operator says meanwhile that the step was done by hand, it cancels the
// step and waits until no attempt runs any more. An attempt that succeeds at the last moment counts, and so does an
// answer of the provider that leaves something to do.
func (o *orderRun) unlessByHand(
	ctx workflow.Context, activity string, in orderflow.PaymentInput,
	run func(workflow.Context) (orderflow.PaymentResult, error),
) (orderflow.PaymentResult, error) {
	stepCtx, stop := workflow.WithCancel(ctx)
	defer stop()
	s := &manualStep{activity: activity, in: in, stop: stop}
	o.manual = append(o.manual, s)

	res, err := run(stepCtx)
	mayBeByHand := err != nil && (refusal(err) == "" || refusal(err) == orderflow.ErrPaymentRefused)
	if s.hand != nil && mayBeByHand {
		if found, made := madeRefund(ctx, activity, in); made {
			res, err = found, nil
		} else {
			res, err = doneByHand(*s.hand), nil
			s.skipped = true
			o.noteSkipped(ctx, *s.hand) // before the order goes on, because it may end its timeline next
		}
	}
	s.ended = true
	o.manual = slices.DeleteFunc(o.manual, func(other *manualStep) bool { return other == s })
	return res, err
}

// madeRefund asks the provider whether it has made a refund although no attempt got its answer.
func madeRefund(
	ctx workflow.Context, activity string, in orderflow.PaymentInput,
) (found orderflow.PaymentResult, made bool) {
	if activity != orderflow.RefundPayment {
		return found, false
	}
	found, err := findRefundNow(ctx, in)
	return found, err == nil && found.RefundedMinor == in.Amount.Minor
}

func (o *orderRun) noteSkipped(ctx workflow.Context, in orderflow.SkipStepInput) {
	o.note(ctx, order.EventRepaired, in.Actor, orderflow.RepairSkipStep+" "+in.Step)
}

func doneByHand(in orderflow.SkipStepInput) orderflow.PaymentResult {
	return orderflow.PaymentResult{Provider: orderflow.ByHand, ProviderRef: in.Reference, Repair: in.Repair}
}

// voidByProvider is voidPayment, unless an operator does it by hand.
func (o *orderRun) voidByProvider(
	ctx workflow.Context, in orderflow.PaymentInput,
) (orderflow.PaymentResult, error) {
	return o.unlessByHand(ctx, orderflow.VoidPayment, in, func(ctx workflow.Context) (orderflow.PaymentResult, error) {
		return voidPayment(ctx, in, 0)
	})
}

// refundByProvider is refundPayment, unless an operator does it by hand.
func (o *orderRun) refundByProvider(
	ctx workflow.Context, in orderflow.PaymentInput,
) (orderflow.PaymentResult, error) {
	return o.unlessByHand(ctx, orderflow.RefundPayment, in, func(ctx workflow.Context) (orderflow.PaymentResult, error) {
		return refundPayment(ctx, in)
	})
}

// handleRepairs registers the repairs of an operator.
func (o *orderRun) handleRepairs(ctx workflow.Context) error {
	if err := workflow.SetUpdateHandlerWithOptions(ctx, orderflow.UpdateSkipStep, o.onSkipStep,
		workflow.UpdateHandlerOptions{
			Validator: o.maySkip,
			Description: internal + "An operator did a step of the payment by hand; POST /admin/orders/{order_id}/repair " +
				"keeps a record of it.",
		}); err != nil {
		return err
	}
	return workflow.SetUpdateHandlerWithOptions(ctx, orderflow.UpdateNoteRepair, o.onNoteRepair,
		workflow.UpdateHandlerOptions{
			Validator:   func(orderflow.NoteRepairInput) error { return o.refuseUnrecorded() },
			Description: internal + "Puts an operator's repair into the timeline.",
		})
}

// refuseUnrecorded refuses what would not be recorded, because the order's processing ends.
func (o *orderRun) refuseUnrecorded() error {
	if o.recorder.stopped || o.unrecordable {
		return refuse(string(order.InvalidState), "the order is %s and its processing ends", o.state)
	}
	return nil
}

// refusedRefund reports whether the provider refuses for good what the order still owes its customer, and the order can
// still record a refund. Once the recorder drains, a refund is recorded by a later run (takeRefundByHand).
func (o *orderRun) refusedRefund() bool {
	return o.debts.refused && !o.debts.closing && !o.recorder.closing
}

func (o *orderRun) maySkip(in orderflow.SkipStepInput) error {
	rule, found := orderflow.RuleOfStep(in.Step)
	switch {
	case !found:
		return refuse(orderflow.ErrInvalidInput, "an order has no step %q", in.Step)
	case in.Reference == "":
		return refuse(orderflow.ErrInvalidInput, "name what was done by hand in reference")
	case !rule.Skippable:
		return refuse(orderflow.ErrStepNotSkippable, "%s may not be skipped: %s", in.Step, rule.Why)
	}
	if o.isOfInput(in) {
		return nil
	}
	if o.findManual(in) == nil || o.recorder.stopped {
		if err := o.refuseUnrecorded(); err != nil {
			return err
		}
	}
	if in.Step == orderflow.RefundPayment && o.debts.refused && o.recorder.closing {
		return refuse(orderflow.ErrStepNotUnderWay,
			"the order's processing ends at this moment; repeat the repair with a new Idempotency-Key once it has ended")
	}
	if o.findManual(in) != nil {
		return nil
	}
	if in.Step == orderflow.RefundPayment && o.refusedRefund() {
		if in.AmountMinor == o.debts.unpaid.Amount.Minor {
			return nil
		}
		return refuse(orderflow.ErrStepNotUnderWay,
			"the order owes %s, which is not what was given back; nothing is recorded",
			o.debts.unpaid.Amount)
	}
	for _, s := range o.manual {
		if s.activity == in.Step && s.hand == nil {
			return refuse(orderflow.ErrStepNotUnderWay, "the order waits for %s of %s with attempt %d, which is not what was "+
				"done by hand; nothing is recorded", in.Step, s.in.Amount, s.in.Attempt)
		}
	}
	return refuse(orderflow.ErrStepNotUnderWay, "the order does not wait for %s", in.Step)
}

// findManual returns the step under way that an operator did by hand, or nil.
func (o *orderRun) findManual(in orderflow.SkipStepInput) *manualStep {
	for _, s := range o.manual {
		same := s.in.Attempt == in.Attempt
		if in.Step == orderflow.RefundPayment {
			same = s.in.Amount.Minor == in.AmountMinor
		}
		if s.activity == in.Step && s.hand == nil && same {
			return s
		}
	}
	return nil
}

// onSkipStep ends a step as done by hand. The step's own entry in the timeline, for example payment_refunded, follows.
func (o *orderRun) onSkipStep(
	ctx workflow.Context, in orderflow.SkipStepInput,
) (orderflow.SkipStepResult, error) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	if err := o.maySkip(in); err != nil { // another update may have been accepted since the validator
		return orderflow.SkipStepResult{}, err
	}

	if o.isOfInput(in) {
		return o.awaitInputRefund(ctx)
	}
	in.Actor = orOperator(in.Actor)
	if s := o.findManual(in); s != nil {
		s.hand = &in
		s.stop()
		if err := workflow.Await(ctx, func() bool { return s.ended }); err != nil {
			return orderflow.SkipStepResult{}, err
		}
		if !s.skipped {
			return orderflow.SkipStepResult{}, refusedAsMade(in.Step)
		}
		return orderflow.SkipStepResult{View: o.view()}, nil
	}
	return o.skipRefused(ctx, in)
}

// skipRefused books a refund as made by hand that the provider refuses for good. It asks the provider first whether
// it has made the refund after all: an attempt whose answer was lost may have succeeded before another one was refused.
func (o *orderRun) skipRefused(ctx workflow.Context, in orderflow.SkipStepInput) (orderflow.SkipStepResult, error) {
	refund := o.debts.unpaid
	found, made := madeRefund(ctx, orderflow.RefundPayment, refund)
	if !o.refusedRefund() || o.debts.unpaid.RefundKey != refund.RefundKey { // another update, or the end, came first
		if err := o.maySkip(in); err != nil {
			return orderflow.SkipStepResult{}, err
		}
		return orderflow.SkipStepResult{}, refuse(orderflow.ErrStepNotUnderWay,
			"the order now waits for another refund; nothing is recorded")
	}

	o.debts.refused = false
	markNeedsOperator(ctx, false)
	if made {
		o.debts.made = &found
		return orderflow.SkipStepResult{}, refusedAsMade(in.Step)
	}
	byHand := doneByHand(in)
	o.debts.made = &byHand
	o.noteSkipped(ctx, in)
	return orderflow.SkipStepResult{View: o.view()}, nil
}

func refusedAsMade(step string) error {
	return refuse(orderflow.ErrStepNotUnderWay,
		"the provider has carried out %s by itself; look at the order, and undo what you did by hand if it was done twice",
		step)
}

// onNoteRepair waits for the first entry of the timeline, because a run that was just started has to learn first what
// an earlier run has recorded. It does not wait for its own record: the repair may be of the orders database.
func (o *orderRun) onNoteRepair(
	ctx workflow.Context, in orderflow.NoteRepairInput,
) (orderflow.NoteRepairResult, error) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	if err := workflow.Await(ctx, func() bool { return o.placedView != nil || o.recorder.stopped }); err != nil {
		return orderflow.NoteRepairResult{}, err
	}
	if err := o.refuseUnrecorded(); err != nil {
		return orderflow.NoteRepairResult{}, err
	}
	o.note(ctx, order.EventRepaired, orOperator(in.Actor), in.Action)
	return orderflow.NoteRepairResult{}, nil
}

// noteOwnRepair puts the repair into the timeline that has started this run, unless an earlier run has done so.
func (o *orderRun) noteOwnRepair(ctx workflow.Context, row orderflow.RecordedOrder) {
	if r := o.in.Repair; r != nil && r.After == row.Seq {
		o.note(ctx, order.EventRepaired, orOperator(r.Actor), r.Action)
	}
}

// isOfInput reports whether a skip is a repeat of the request that has started this run to book a refund. An operator
// may give the same amount back twice under one reference, so only the id of the repair tells a repeat.
func (o *orderRun) isOfInput(in orderflow.SkipStepInput) bool {
	hand := o.in.RefundByHand
	return hand != nil && o.debts.fromInput != notOwed && in.Step == orderflow.RefundPayment &&
		in.Repair == hand.Repair && in.Reference == hand.Reference && in.AmountMinor == hand.AmountMinor
}

// awaitInputRefund waits until the refund by hand of the input is recorded, or is not owed.
func (o *orderRun) awaitInputRefund(ctx workflow.Context) (orderflow.SkipStepResult, error) {
	booked := func() bool { return o.debts.fromInput == taken && o.debts.made == nil && o.recorder.idle() }
	if err := workflow.Await(ctx, func() bool {
		return booked() || o.debts.fromInput == notOwed || o.recorder.stopped || o.unrecordable
	}); err != nil {
		return orderflow.SkipStepResult{}, err
	}
	if o.debts.fromInput != taken || o.unrecordable {
		return orderflow.SkipStepResult{}, refuse(orderflow.ErrStepNotUnderWay,
			"the order does not owe its customer what was given back; nothing is recorded")
	}
	return orderflow.SkipStepResult{View: o.view()}, nil
}

// refundOfInput returns the refund of a payment of an order that was not carried out, if this run was started because
// an operator has made it. The provider is asked first whether it has made the refund after all.
func (o *orderRun) refundOfInput(
	ctx workflow.Context, payment orderflow.PaymentInput,
) (res orderflow.PaymentResult, made bool) {
	hand := o.in.RefundByHand
	if hand == nil || o.in.Continues || o.debts.fromInput != notSeen || hand.AmountMinor != payment.Amount.Minor {
		return res, false
	}
	if found, made := madeRefund(ctx, orderflow.RefundPayment, payment); made {
		o.debts.fromInput = notOwed
		return found, true
	}
	o.debts.fromInput = taken
	skip := hand.Skip()
	o.noteSkipped(ctx, skip)
	return doneByHand(skip), true
}

// takeRefundByHand books the refund that an operator has made for an order that had ended, unless the provider says
// that it has made the refund after all. Then that refund is booked.
func (o *orderRun) takeRefundByHand(ctx workflow.Context) {
	hand := o.in.RefundByHand
	defer func() {
		if o.debts.fromInput != taken {
			o.debts.fromInput = notOwed
		}
	}()
	if hand == nil || hand.Number != o.debts.refunds+1 || !o.owesMoney() {
		return
	}
	due := refundDue(o.fulfilment, o.in) - o.debts.refunded
	if due != hand.AmountMinor {
		return
	}
	refund := o.payment(o.capturedAttempt)
	refund.RefundKey = orderflow.PartRefundKey(o.in.OrderID, refund.Attempt, hand.Number)
	refund.Amount.Minor = due
	o.debts.unpaid = refund
	if found, made := madeRefund(ctx, orderflow.RefundPayment, refund); made {
		o.debts.made = &found
		return
	}
	o.debts.fromInput = taken
	skip := hand.Skip()
	byHand := doneByHand(skip)
	o.debts.made = &byHand
	o.noteSkipped(ctx, skip)
}
