package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

const (
	// maxDeclines is the number of declined payments that ends an order.
	maxDeclines = 3
	// maxAttempts is the number of payments, declined or without an answer, that ends an order: each holds
	// the stock for payingTime more.
	maxAttempts = 10
	// payingTime is the least time that the stock stays held once a payment has begun.
	payingTime = 2 * time.Minute
	// actionTime is how long the customer has to confirm a payment at the bank.
	actionTime = 10 * time.Minute
	// confirmMargin is kept free of payingTime to confirm the stock after the authorisation.
	confirmMargin = 15 * time.Second
	// minAuthorise is the least time a provider gets to answer.
	minAuthorise = 10 * time.Second
	// minResolve is the least time a provider gets to void a payment whose authorisation it did not answer.
	minResolve = 5 * time.Second
)

// pay extends the reservation, sets the money aside, takes the stock and then the money. Stock comes before
// money, so that the customer is never charged for stock that is not there. Later failures undo the steps,
// last first. Until the capture begins, the order heeds a cancellation as soon as the outcome of the step
// under way is known.
//
// pay authorises nothing before the order's row is known to exist: the customer must not pay for an order that the
// database refuses for good.
//
// A payment that came with the order (atOnce) and was declined is not made again by a later run of the workflow: the
// customer decides whether to try another card.
func (o *orderRun) pay(ctx workflow.Context, in orderflow.PayInput, atOnce bool) orderflow.PayResult {
	o.attempts++
	o.recorder.slowPayment = false
	o.apply(ctx, order.Pay, in.Actor, "")
	if err := o.extendForPayment(ctx); err != nil && !o.confirmedByLostTask(ctx, err) {
		return o.lostStock(ctx, err)
	}
	if o.awaitRow(ctx); o.state != order.Paying {
		return o.endedOtherwise()
	}
	if o.cancellation() != nil {
		return o.cancelPayment(ctx)
	}
	if atOnce && o.declines > 0 {
		o.attempts--
		o.apply(ctx, order.PaymentAbandoned, orderflow.ActorSystem, "the payment was declined before the workflow was reset")
		return o.endedOtherwise()
	}

	var payment orderflow.PaymentInput
	o.undo.add("void the payment", func(ctx workflow.Context, brief bool) error {
		within := time.Duration(0)
		if brief {
			within = briefBudget
		}
		return o.void(ctx, payment, within)
	})
	auth, err := o.authorise(ctx, in, &payment)
	if err == nil && auth.ActionURL != "" {
		auth, err = o.awaitAction(ctx, payment, auth)
	}
	switch {
	case err != nil && o.cancellation() != nil && o.state == order.Paying && refusal(err) == "":
		return o.cancelPayment(ctx)
	case o.state != order.Paying:
		return o.endedOtherwise()
	case refusal(err) == orderflow.ErrPaymentDeclined,
		refusal(err) == orderflow.ErrPaymentRefused,
		refusal(err) == orderflow.ErrPaymentKeyUsed:
		o.undo.forget() // nothing was set aside
		return o.declined(ctx, payment, in.Actor, declineReason(err))
	case err != nil:
		return o.abandon(ctx, payment)
	}
	o.recordPaymentStep(ctx, payment, orderflow.StepAuthorise, orderflow.PaymentAuthorised, auth, "")
	if o.cancellation() != nil {
		return o.cancelPayment(ctx)
	}

	confirmed, err := confirmReservation(ctx, o.reservationInput("paid"), o.recorder.paymentIsSlow)
	if err != nil {
		return o.lostStock(ctx, err)
	}
	o.stockConfirmed, o.taken = true, confirmed.Lines
	if o.cancellation() != nil {
		return o.cancelPayment(ctx)
	}

	captured, err := capturePayment(ctx, payment, o.localSteps(), o.recorder.paymentIsSlow)
	if err != nil {
		o.recordPaymentStep(ctx, payment, orderflow.StepCapture, orderflow.PaymentFailed, auth, err.Error())
		o.end(ctx, order.GaveUp, orderflow.ActorSystem, "the payment could not be captured: "+declineReason(err))
		return o.endedOtherwise()
	}
	o.complete(ctx, payment, captured, in.Actor)
	return orderflow.PayResult{Outcome: orderflow.PayCaptured}
}

// errUnresolved: the workflow asked the provider to void an earlier payment under the same key, and the provider did
// not answer.
var errUnresolved = errors.New("an earlier payment under the key is not resolved")

// authorise sets the money aside under the first key that no other payment has used. It writes each payment that it
// tries into payment, so that the undo voids the last. If an earlier payment turns out to be captured, the order is
// paid by it, and its state is no longer paying.
func (o *orderRun) authorise(
	ctx workflow.Context, in orderflow.PayInput, payment *orderflow.PaymentInput,
) (orderflow.PaymentResult, error) {
	for {
		*payment = o.payment(o.attempts)
		payment.Method, payment.CorrelationID = in.Method, in.CorrelationID
		payment.MayAct = o.fulfils()
		o.lastAsked = o.attempts
		within := max(min(o.expiresAt.Sub(workflow.Now(ctx)), payingTime)-confirmMargin, minAuthorise)
		auth, err := authorisePayment(ctx, *payment, within, o.localSteps(), o.recorder.paymentIsSlow)
		if refusal(err) != orderflow.ErrPaymentKeyUsed || o.attempts >= maxAttempts {
			return auth, err
		}

		// An earlier run of the workflow, or a lost task of this one, has used this key.
		if o.localSteps() {
			if err := o.void(ctx, *payment, within); err != nil {
				return auth, errUnresolved
			}
			if o.state != order.Paying {
				return auth, nil
			}
		} else {
			// When the order ends, the workflow asks the provider what it captured under it.
			o.unresolved = append(o.unresolved, o.attempts)
		}
		o.attempts++
	}
}

// errNoAction says that the customer did not confirm the payment in time, or that the order was cancelled first.
var errNoAction = errors.New("the customer did not confirm the payment")

// awaitAction waits until the customer has confirmed the payment at the bank, or has refused it. The provider tells by
// a webhook that there is news, and awaitAction looks the payment up. It looks also at the deadline, because a webhook
// may be lost. The stock stays reserved for actionTime.
func (o *orderRun) awaitAction(
	ctx workflow.Context, payment orderflow.PaymentInput, auth orderflow.PaymentResult,
) (orderflow.PaymentResult, error) {
	o.extendUntil(ctx, workflow.Now(ctx).Add(actionTime))
	o.actionURL = auth.ActionURL
	o.note(ctx, order.EventActionRequired, orderflow.ActorSystem, "")
	defer func() { o.actionURL = "" }()

	timerCtx, stop := workflow.WithCancel(ctx)
	defer stop()
	left := max(o.expiresAt.Sub(workflow.Now(ctx))-confirmMargin, minAuthorise)
	timer := workflow.NewTimerWithOptions(timerCtx, left, workflow.TimerOptions{
		Summary: timerName("too late to confirm the payment", workflow.Now(ctx).Add(left)),
	})
	for seen := o.news; ; {
		_ = workflow.Await(ctx, func() bool { return o.news > seen || o.cancellation() != nil || timer.IsReady() })
		seen = o.news // before the look-up, so that news which come during it lead to another one
		if o.cancellation() != nil {
			return auth, errNoAction
		}
		last := timer.IsReady()
		found, err := findPayment(ctx, payment)
		if err != nil && refusal(err) != "" || err == nil && found.ActionURL == "" {
			return found, err
		}
		if last {
			return auth, errNoAction
		}
	}
}

// extendUntil keeps the stock reserved until a time, if inventory still can. Confirming the stock finds out.
func (o *orderRun) extendUntil(ctx workflow.Context, until time.Time) {
	if !until.After(o.expiresAt) {
		return
	}
	in := o.reservationInput("a payment waits for the customer")
	in.ExpiresAt = &until
	held, err := extendReservation(ctx, in, max(o.expiresAt.Sub(workflow.Now(ctx)), time.Second), nil)
	if err == nil {
		o.expiresAt, o.earlyExpiries = held.ExpiresAt, 0
	}
}

// localSteps reports whether the steps of a payment are local activities first, so that a payment costs one workflow
// task. Such a task may be lost after money has moved, and its successor may decide otherwise. What protects the
// customer is in takeover.go.
func (o *orderRun) localSteps() bool { return o.in.Revision >= orderflow.RevisionLocalSteps }

// payment names one attempt to pay the order.
func (o *orderRun) payment(attempt int) orderflow.PaymentInput {
	return orderflow.PaymentInput{
		OrderID:       o.in.OrderID,
		PaymentKey:    orderflow.PaymentKey(o.in.OrderID, attempt),
		Attempt:       attempt,
		Amount:        o.in.Total,
		CorrelationID: o.in.CorrelationID,
	}
}

// complete confirms an order whose stock and money are taken, and drops all undos.
func (o *orderRun) complete(
	ctx workflow.Context,
	payment orderflow.PaymentInput,
	captured orderflow.PaymentResult,
	actor string,
) {
	o.undo.reset()
	o.capturedAttempt = payment.Attempt
	o.plan(o.taken)
	o.recordPaymentStep(ctx, payment, orderflow.StepCapture, orderflow.PaymentCaptured, captured, "")
	o.note(ctx, order.EventPaid, actor, "")
	o.apply(ctx, order.PaymentCaptured, orderflow.ActorSystem, "")
}

// awaitRow waits until the order's row is known to exist, or a cancellation comes. If the database does not answer
// until the payment would come too late, the order expires.
func (o *orderRun) awaitRow(ctx workflow.Context) {
	known := func() bool { return o.recorder.hasRow() || o.recorder.blocked() || o.cancellation() != nil }
	_ = workflow.Await(ctx, func() bool { return known() || o.recorder.slow })
	if !known() {
		timerCtx, stop := workflow.WithCancel(ctx)
		defer stop()
		left := o.expiresAt.Sub(workflow.Now(ctx)) - confirmMargin
		timer := workflow.NewTimerWithOptions(timerCtx, left, workflow.TimerOptions{
			Summary: timerName("too late to pay", workflow.Now(ctx).Add(left)),
		})
		_ = workflow.Await(ctx, func() bool { return known() || timer.IsReady() })
	}
	switch {
	case o.recorder.blocked():
		o.handleBlockedRecorder(ctx)
	case !known():
		o.end(ctx, order.DeadlinePassed, orderflow.ActorSystem,
			"the order could not be recorded before its deadline, so nothing was charged")
	}
}

// endedOtherwise is the result of a payment that pay did not carry out to its end, by the order's state.
func (o *orderRun) endedOtherwise() orderflow.PayResult {
	out := orderflow.PayResult{Outcome: orderflow.PayFailed, Reason: o.reason}
	switch o.state {
	case order.Confirmed:
		out.Outcome = orderflow.PayCaptured
	case order.Expired:
		out.Outcome = orderflow.PayExpired
	case order.Cancelled:
		out.Outcome = orderflow.PayCancelled
	default: // the payment itself failed
	}
	return out
}

// extendForPayment makes sure that the stock stays held while the payment is under way. It fails when
// inventory says that the deadline has passed, or does not answer before the deadline. Then pay authorises
// nothing.
func (o *orderRun) extendForPayment(ctx workflow.Context) error {
	if o.localSteps() && !o.tookOver && o.expiresAt.Sub(workflow.Now(ctx)) >= payingTime {
		return nil // confirming the stock finds out whether it is still held
	}
	in := o.reservationInput("a payment has begun")
	until := workflow.Now(ctx).Add(payingTime)
	in.ExpiresAt = &until
	held, err := extendReservation(ctx, in, max(o.expiresAt.Sub(workflow.Now(ctx)), time.Second), o.recorder.paymentIsSlow)
	if err == nil {
		o.expiresAt, o.earlyExpiries = held.ExpiresAt, 0
	}
	return err
}

// lostStock ends an order that is being paid and whose stock inventory does not hold any more.
func (o *orderRun) lostStock(ctx workflow.Context, err error) orderflow.PayResult {
	why := refusal(err)
	switch {
	case why == orderflow.ErrReservationClosed && details[string](err) == orderflow.ReservationConfirmed:
		o.handleEarlierConfirm(ctx)
	case o.cancellation() != nil:
		o.cancel(ctx)
	case why != "" && why != orderflow.ErrReservationExpired:
		o.end(ctx, order.GaveUp, orderflow.ActorSystem, "the reservation is gone: "+reservationEnd(err))
	default:
		o.end(ctx, order.DeadlinePassed, orderflow.ActorSystem, "the deadline passed before the payment")
	}
	return o.endedOtherwise()
}

// cancelPayment ends an order that was called off while it was being paid.
func (o *orderRun) cancelPayment(ctx workflow.Context) orderflow.PayResult {
	o.cancel(ctx)
	return o.endedOtherwise()
}

// declined leaves the order reserved until its deadline, so that the customer can try another card;
// the last allowed decline ends it.
func (o *orderRun) declined(
	ctx workflow.Context,
	payment orderflow.PaymentInput,
	actor, reason string,
) orderflow.PayResult {
	o.declines++
	noResult := orderflow.PaymentResult{}
	o.recordPaymentStep(ctx, payment, orderflow.StepAuthorise, orderflow.PaymentDeclined, noResult, reason)
	if o.declines >= maxDeclines {
		o.note(ctx, order.EventPaymentDeclined, actor, reason)
		o.end(ctx, order.GaveUp, orderflow.ActorSystem, "the payment was declined too often")
	} else {
		o.apply(ctx, order.PaymentDeclined, actor, reason)
	}
	return orderflow.PayResult{Outcome: orderflow.PayDeclined, Reason: reason}
}

// abandon gives up a payment whose outcome is not known: it voids the payment under the same key, after which
// the provider can no longer authorise it, and the order waits for another try. If the provider does not
// answer the void before the deadline either, the order expires, and finish voids the payment later. While it
// waits, abandon heeds a cancellation.
func (o *orderRun) abandon(ctx workflow.Context, payment orderflow.PaymentInput) orderflow.PayResult {
	const reason = "the payment provider did not answer in time"
	var voided orderflow.PaymentResult
	var err error
	answered := false
	payment.Reason = "the order was not carried out"

	voidCtx, giveUp := workflow.WithCancel(ctx)
	defer giveUp()
	workflow.Go(voidCtx, func(ctx workflow.Context) {
		voided, err = voidPayment(ctx, payment, max(o.expiresAt.Sub(workflow.Now(ctx)), minResolve))
		answered = true
	})
	// The context is never cancelled: a command runs to its end.
	_ = workflow.Await(ctx, func() bool { return answered || o.cancellation() != nil })

	switch {
	case !answered:
		giveUp() // the void stays on the list of undos
		return o.cancelPayment(ctx)
	case err != nil: // also if the payment is captured: then end finds the order paid
		o.end(ctx, order.DeadlinePassed, orderflow.ActorSystem, reason)
		if out := o.endedOtherwise(); out.Outcome == orderflow.PayCaptured {
			return out
		}
		return orderflow.PayResult{Outcome: orderflow.PayUnavailable, Reason: reason}
	}

	o.noteVoided(ctx, payment, voided)
	o.undo.forget()
	if o.attempts >= maxAttempts {
		o.end(ctx, order.GaveUp, orderflow.ActorSystem, "too many payments were tried")
		return orderflow.PayResult{Outcome: orderflow.PayUnavailable, Reason: reason}
	}
	o.apply(ctx, order.PaymentAbandoned, orderflow.ActorSystem, reason)
	return orderflow.PayResult{Outcome: orderflow.PayUnavailable, Reason: reason}
}

// void frees the money under the same key, within the given time; 0 means without limit. If the provider says that
// the money is taken, the order is paid: void confirms it while it is still being paid, else it refunds the money.
func (o *orderRun) void(ctx workflow.Context, payment orderflow.PaymentInput, within time.Duration) error {
	payment.Reason = "the order was not carried out"
	var res orderflow.PaymentResult
	var err error
	if within > 0 {
		res, err = voidPayment(ctx, payment, within)
	} else {
		res, err = o.voidByProvider(ctx, payment)
	}
	switch {
	case err == nil:
		o.noteVoided(ctx, payment, res)
	case refusal(err) == orderflow.ErrPaymentCaptured && o.state == order.Paying:
		return o.completeCaptured(ctx, payment)
	case refusal(err) == orderflow.ErrPaymentCaptured:
		o.refundUnlessConfirmed(ctx, payment)
		return nil
	}
	return err
}

// completeCaptured confirms an order whose money an earlier run or a lost execution has captured. Stock is taken
// before money, so the stock is taken too, and a second confirmation of the reservation succeeds.
func (o *orderRun) completeCaptured(ctx workflow.Context, payment orderflow.PaymentInput) error {
	confirmed, err := confirmReservation(ctx, o.reservationInput("paid"), nil)
	if err != nil {
		workflow.GetLogger(ctx).Error("the stock of a captured payment is gone; the money is refunded", "error", err)
		o.refund(ctx, payment)
		return nil
	}
	o.stockConfirmed, o.taken = true, confirmed.Lines
	captured, err := capturePayment(ctx, payment, o.localSteps(), nil)
	if err != nil {
		return err
	}
	o.complete(ctx, payment, captured, orderflow.ActorSystem)
	return nil
}

func (o *orderRun) noteVoided(ctx workflow.Context, payment orderflow.PaymentInput, res orderflow.PaymentResult) {
	o.recordPaymentStep(ctx, payment, orderflow.StepVoid, orderflow.PaymentVoided, res, "")
	o.note(ctx, order.EventPaymentVoided, orderflow.ActorSystem, "")
}

// recordPaymentStep keeps the outcome of one step of a payment for the next record.
func (o *orderRun) recordPaymentStep(
	ctx workflow.Context,
	p orderflow.PaymentInput,
	step orderflow.PaymentStep,
	state orderflow.PaymentState,
	res orderflow.PaymentResult,
	reason string,
) {
	o.recordStep(ctx, p, step, 0, state, res, reason)
}

// recordRefund keeps the outcome of the refund with the number, which gives back a part or all of a payment.
func (o *orderRun) recordRefund(
	ctx workflow.Context, p orderflow.PaymentInput, number int, res orderflow.PaymentResult,
) {
	o.recordStep(ctx, p, orderflow.StepRefund, number, orderflow.PaymentRefunded, res, "")
}

func (o *orderRun) recordStep(
	ctx workflow.Context,
	p orderflow.PaymentInput,
	step orderflow.PaymentStep,
	number int,
	state orderflow.PaymentState,
	res orderflow.PaymentResult,
	reason string,
) {
	if state == orderflow.PaymentDeclined || state == orderflow.PaymentFailed {
		o.lastRefusal = reason
	}
	if res.ProviderRef != "" && res.Provider != orderflow.ByHand {
		o.providerRefs[p.Attempt] = res.ProviderRef
	}
	o.recorder.payments = append(o.recorder.payments, orderflow.PaymentRecord{
		Step:            step,
		Number:          number,
		Attempt:         p.Attempt,
		Provider:        res.Provider,
		ProviderRef:     res.ProviderRef,
		Repair:          res.Repair,
		Amount:          p.Amount,
		State:           state,
		Reason:          reason,
		AuthorisedUntil: res.AuthorisedUntil,
		At:              workflow.Now(ctx),
	})
}

// declineReason is the provider's reason where it gave one.
func declineReason(err error) string {
	if r := details[string](err); r != "" {
		return r
	}
	return err.Error()
}
