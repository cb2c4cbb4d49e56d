package workflows

import (
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// The descriptions are what an operator reads beside the name of an update or query. If a description begins with
// internal, only our own processes send the update; the SDK has no way to hide it. An operator who sends an update by
// hand, with Temporal's tools, need not name an actor (orOperator).
const internal = "Internal, sent by Holdfast itself; not for operators. "

// orOperator returns the actor of an update. Our api names one; an update without one was sent with Temporal's tools.
func orOperator(actor string) string {
	if actor == "" {
		return orderflow.ActorTemporal
	}
	return actor
}

// handleUpdates registers what the order answers. It must run before anything blocks, so that the
// update that started the workflow finds its handler. Validators only read: a refusal leaves no event.
func (o *orderRun) handleUpdates(ctx workflow.Context) error {
	if err := workflow.SetUpdateHandlerWithOptions(ctx, orderflow.UpdatePlace, o.onPlace, workflow.UpdateHandlerOptions{
		Description: internal + "Waits until the order is recorded and answers how it stands.",
	}); err != nil {
		return err
	}
	if err := workflow.SetUpdateHandlerWithOptions(ctx, orderflow.UpdatePay, o.onPay, workflow.UpdateHandlerOptions{
		Validator: o.mayPay,
		Description: "Pays the order: authorise, confirm the stock, capture. " +
			`Input: {"method": "pm_…"}, the customer's payment method.`,
	}); err != nil {
		return err
	}
	if err := workflow.SetUpdateHandlerWithOptions(ctx, orderflow.UpdateCancel, o.onCancel, workflow.UpdateHandlerOptions{
		Validator:   func(orderflow.CancelInput) error { return o.refuse(order.Cancel) },
		Description: `Cancels the order and gives stock and money back. Input: {} or {"reason": "…"}.`,
	}); err != nil {
		return err
	}
	if err := workflow.SetUpdateHandlerWithOptions(ctx, orderflow.UpdateExtend, o.onExtend, workflow.UpdateHandlerOptions{
		Validator:   o.mayExtend,
		Description: `Holds the stock for longer, never for less. Input: {"ttl_seconds": 900}, counted from now.`,
	}); err != nil {
		return err
	}
	if err := workflow.SetUpdateHandlerWithOptions(ctx, orderflow.UpdateEdit, o.onEdit, workflow.UpdateHandlerOptions{
		Validator:   o.mayEdit,
		Description: internal + "Replaces the lines of an order that is not paid.",
	}); err != nil {
		return err
	}
	if err := workflow.SetUpdateHandlerWithOptions(ctx, orderflow.UpdateApprove, o.onApprove,
		workflow.UpdateHandlerOptions{
			Validator:   func(orderflow.ApproveInput) error { return o.refuse(order.Approve) },
			Description: `Approves an order that waits for review, so that it can be paid. Input: {} or {"reason": "…"}.`,
		}); err != nil {
		return err
	}
	if err := workflow.SetUpdateHandlerWithOptions(ctx, orderflow.UpdatePaymentChanged, o.onPaymentChanged,
		workflow.UpdateHandlerOptions{
			Validator:   o.mayChangePayment,
			Description: internal + "The provider has news of the payment for which the order waits.",
		}); err != nil {
		return err
	}
	if err := workflow.SetUpdateHandlerWithOptions(ctx, orderflow.UpdateStockGranted, o.onStockGranted,
		workflow.UpdateHandlerOptions{
			Description: internal + "Inventory has reserved the stock for which the order waits.",
		},
	); err != nil {
		return err
	}
	if err := o.handleFulfilment(ctx); err != nil {
		return err
	}
	if err := o.handleRepairs(ctx); err != nil {
		return err
	}
	if err := workflow.SetQueryHandlerWithOptions(ctx, orderflow.QueryPreviewCancel, o.previewCancel,
		workflow.QueryHandlerOptions{
			Description: `What a cancellation would do. Input: {} for the whole order, or ` +
				`{"lines": [{"line_no": 1, "quantity": 1}]}.`,
		},
	); err != nil {
		return err
	}
	state := func() (orderflow.View, error) { return o.view(), nil }
	return workflow.SetQueryHandlerWithOptions(ctx, orderflow.QueryState, state,
		workflow.QueryHandlerOptions{
			Description: "The order's number, state, deadline, payment attempts and shipments. No input.",
		})
}

// onPlace answers as soon as the order's first transition is recorded. It changes nothing: the main
// function reserves, whether a caller waits or not.
func (o *orderRun) onPlace(ctx workflow.Context, _ orderflow.PlaceInput) (orderflow.PlaceResult, error) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	if err := workflow.Await(ctx, func() bool { return o.placedView != nil }); err != nil {
		return orderflow.PlaceResult{}, err
	}
	if err := o.recorder.wait(ctx, min(1, o.recorder.added)); err != nil {
		return orderflow.PlaceResult{}, err
	}
	return orderflow.PlaceResult{View: *o.placedView}, nil
}

func (o *orderRun) mayPay(in orderflow.PayInput) error {
	if in.Method == "" {
		return temporal.NewNonRetryableApplicationError("name a payment method", orderflow.ErrInvalidInput, nil)
	}
	return o.refuse(order.Pay)
}

// onPay hands the payment to the loop and answers its outcome once it is recorded.
func (o *orderRun) onPay(ctx workflow.Context, in orderflow.PayInput) (out orderflow.PayResult, err error) {
	in.Actor = orOperator(in.Actor)
	pay := func(ctx workflow.Context) error {
		out = o.pay(ctx, in, false)
		return nil
	}
	c := &command[order.Input]{input: order.Pay, actor: in.Actor, run: pay}
	c.early = func() bool { return o.actionURL != "" }
	err = o.request(ctx, c)
	if err == nil && !c.done {
		out.Outcome, out.Reason = orderflow.PayActionRequired, "the customer must confirm the payment at the bank"
	}
	out.View, out.Method = o.view(), in.Method
	return out, err
}

// mayChangePayment refuses news of a payment, unless the order waits for an action of the customer.
func (o *orderRun) mayChangePayment(orderflow.PaymentChangedInput) error {
	if o.actionURL == "" {
		return refuse(string(order.InvalidState), "the order waits for no action of the customer")
	}
	return nil
}

// onPaymentChanged wakes the payment that waits for an action of the customer.
func (o *orderRun) onPaymentChanged(
	workflow.Context, orderflow.PaymentChangedInput,
) (orderflow.PaymentChangedResult, error) {
	o.news++
	return orderflow.PaymentChangedResult{View: o.view()}, nil
}

// payAtOnce makes the payment that came with the new order. No caller waits for its outcome.
func (o *orderRun) payAtOnce() {
	in := orderflow.PayInput{Method: o.in.PaymentMethod, Actor: o.in.Placer(), CorrelationID: o.in.CorrelationID}
	pay := func(ctx workflow.Context) error {
		o.pay(ctx, in, true)
		return nil
	}
	o.mailbox.put(&command[order.Input]{input: order.Pay, actor: in.Actor, run: pay})
}

// onCancel calls the order off. While a payment is under way it waits for the outcome of the
// authorisation, and the workflow then voids it. Once the capture has begun, the money is refunded.
func (o *orderRun) onCancel(ctx workflow.Context, in orderflow.CancelInput) (orderflow.CancelResult, error) {
	in.Actor = orOperator(in.Actor)
	cancel := func(ctx workflow.Context) error {
		if o.state.CarriedOut() {
			o.cancelPaid(ctx, in.Actor, in.Reason)
			return nil
		}
		o.end(ctx, order.Cancel, in.Actor, in.Reason)
		return nil
	}
	err := o.request(ctx, &command[order.Input]{
		input:  order.Cancel,
		actor:  in.Actor,
		reason: in.Reason,
		run:    cancel,
	})
	return orderflow.CancelResult{View: o.view()}, err
}

func (o *orderRun) mayExtend(in orderflow.ExtendInput) error {
	if in.TTLSeconds <= 0 {
		return temporal.NewNonRetryableApplicationError("name a time to live in seconds", orderflow.ErrInvalidInput, nil)
	}
	if o.extensions >= maxExtensions {
		return temporal.NewNonRetryableApplicationError(
			"the order was extended too often", orderflow.ErrTooManyExtensions, nil)
	}
	return o.refuse(order.Extend)
}

// onExtend holds the stock for longer.
func (o *orderRun) onExtend(ctx workflow.Context, in orderflow.ExtendInput) (out orderflow.ExtendResult, err error) {
	in.Actor = orOperator(in.Actor)
	extend := func(ctx workflow.Context) (err error) {
		out.Outcome, err = o.extend(ctx, in)
		return err
	}
	err = o.request(ctx, &command[order.Input]{input: order.Extend, actor: in.Actor, run: extend})
	out.View, out.TTLSeconds = o.view(), in.TTLSeconds
	return out, err
}

// request gives a command to the loop, if the table of internal/order allows it, and returns once its outcome is
// recorded.
func (o *orderRun) request(ctx workflow.Context, c *command[order.Input]) error {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	// Another update may have been accepted between the validator and here.
	if err := o.refuse(c.input); err != nil {
		return err
	}
	if !order.Decide(o.state, c.input).Repeated {
		if err := o.mailbox.ask(ctx, c); err != nil {
			return err
		}
	}
	return o.recorder.wait(ctx, o.recorder.added)
}
