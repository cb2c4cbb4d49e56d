package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

const (
	// payingTime is the least time that the stock stays held once a payment has begun.
	payingTime = 2 * time.Minute
	// confirmMargin is kept free of payingTime to confirm the stock after the authorisation.
	confirmMargin = 15 * time.Second
	// minAuthorise is the least time a provider gets to answer.
	minAuthorise = 10 * time.Second
)

// pay extends the reservation, sets the money aside, takes the stock and then the money. Stock before
// money: what fails afterwards is undone last-first, and nobody is charged for what is not there.
func (o *orderRun) pay(ctx workflow.Context, in orderflow.PayInput) orderflow.PayResult {
	o.attempts++
	o.moveBy(ctx, order.Paying, orderflow.EventPaymentStarted, in.Actor, "")
	if !o.extendForPayment(ctx) {
		return o.expireWhilePaying(ctx)
	}
	payment := orderflow.PaymentInput{
		OrderID: o.in.OrderID, PaymentKey: orderflow.PaymentKey(o.in.OrderID, o.attempts), Attempt: o.attempts,
		Method: in.Method, Amount: o.in.Total, CorrelationID: in.CorrelationID,
	}
	o.undo.add("void the payment", func(ctx workflow.Context) error { return o.void(ctx, payment) })
	auth, err := authorisePayment(ctx, payment, max(o.expiresAt.Sub(workflow.Now(ctx))-confirmMargin, minAuthorise))
	switch {
	case refusal(err) == orderflow.ErrPaymentDeclined, refusal(err) == orderflow.ErrPaymentRefused:
		o.undo.forget() // nothing was set aside
		return o.declined(ctx, payment, in.Actor, declineReason(err))
	case err != nil:
		return o.abandon(ctx, payment)
	}
	o.paid(ctx, payment, "authorise", "authorised", auth, "")

	if _, err := confirmReservation(ctx, o.reservationInput("paid")); err != nil {
		if verr := o.void(ctx, payment); verr != nil {
			o.compensationFailed(ctx)("void the payment", verr)
		}
		o.undo.forget()
		return o.expireWhilePaying(ctx)
	}
	captured, err := capturePayment(ctx, payment)
	if err != nil {
		o.paid(ctx, payment, "capture", "failed", auth, err.Error())
		o.fail(ctx, "the payment could not be captured: "+declineReason(err))
		return orderflow.PayResult{Outcome: orderflow.PayFailed, Reason: o.reason}
	}
	o.paid(ctx, payment, "capture", "captured", captured, "")
	o.note(ctx, orderflow.EventPaid, in.Actor, "")
	o.move(ctx, order.Confirmed, orderflow.EventConfirmed, "")
	return orderflow.PayResult{Outcome: orderflow.PayCaptured}
}

// extendForPayment makes sure that the stock stays held while the payment is under way. It reports
// false when the deadline has passed: by inventory's word, or because inventory did not answer before
// it. Nothing is authorised then.
func (o *orderRun) extendForPayment(ctx workflow.Context) bool {
	in := o.reservationInput("a payment has begun")
	until := workflow.Now(ctx).Add(payingTime)
	in.ExpiresAt = &until
	held, err := extendReservation(ctx, in, max(o.expiresAt.Sub(workflow.Now(ctx)), time.Second))
	if err != nil {
		return false
	}
	o.expiresAt = held.ExpiresAt
	return true
}

// expireWhilePaying ends an order whose deadline has passed before its money was set aside.
func (o *orderRun) expireWhilePaying(ctx workflow.Context) orderflow.PayResult {
	o.move(ctx, order.Expired, orderflow.EventExpired, "the deadline passed before the payment")
	o.undo.run(ctx, o.compensationFailed(ctx))
	return orderflow.PayResult{Outcome: orderflow.PayExpired, Reason: o.reason}
}

// declined leaves the order reserved until its deadline, so that the customer can try another card;
// the last allowed decline ends it.
func (o *orderRun) declined(ctx workflow.Context, payment orderflow.PaymentInput, actor, reason string) orderflow.PayResult {
	o.declines++
	o.paid(ctx, payment, "authorise", "declined", orderflow.PaymentResult{}, reason)
	if o.declines >= maxDeclines {
		o.note(ctx, orderflow.EventPaymentDeclined, actor, reason)
		o.fail(ctx, "the payment was declined too often")
	} else {
		o.moveBy(ctx, order.Reserved, orderflow.EventPaymentDeclined, actor, reason)
	}
	return orderflow.PayResult{Outcome: orderflow.PayDeclined, Reason: reason}
}

// abandon gives up a payment whose outcome is not known: it is voided under the same key, after which
// it can no longer be authorised, and the order waits for another try.
func (o *orderRun) abandon(ctx workflow.Context, payment orderflow.PaymentInput) orderflow.PayResult {
	if err := o.void(ctx, payment); err != nil {
		o.compensationFailed(ctx)("void the payment", err)
	}
	o.undo.forget()
	o.move(ctx, order.Reserved, orderflow.EventPaymentAbandoned, "the payment provider did not answer in time")
	return orderflow.PayResult{Outcome: orderflow.PayUnavailable, Reason: o.reason}
}

func (o *orderRun) void(ctx workflow.Context, payment orderflow.PaymentInput) error {
	payment.Reason = o.reason
	res, err := voidPayment(ctx, payment)
	if err != nil {
		return err
	}
	o.paid(ctx, payment, "void", "voided", res, "")
	return nil
}

// paid keeps the outcome of one step of a payment for the next record.
func (o *orderRun) paid(ctx workflow.Context, p orderflow.PaymentInput, step, state string, res orderflow.PaymentResult, reason string) {
	o.recorder.payments = append(o.recorder.payments, orderflow.PaymentRecord{
		Step: step, Attempt: p.Attempt, Provider: res.Provider, ProviderRef: res.ProviderRef, Amount: p.Amount,
		State: state, Reason: reason, AuthorisedUntil: res.AuthorisedUntil, At: workflow.Now(ctx),
	})
}

// declineReason is the provider's reason where it gave one.
func declineReason(err error) string {
	if r := details[string](err); r != "" {
		return r
	}
	return err.Error()
}
