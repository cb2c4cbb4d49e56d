package workflows

import (
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// payCommand is a request to pay, on its way to the loop and back.
type payCommand struct {
	in      orderflow.PayInput
	done    bool
	result  orderflow.PayResult
	refused error // the order ended before the command's turn came
}

// handleUpdates registers what the order answers. It must run before anything blocks, so that the
// update that started the workflow finds its handler.
func (o *orderRun) handleUpdates(ctx workflow.Context) error {
	if err := workflow.SetUpdateHandlerWithOptions(ctx, orderflow.UpdatePlace, o.onPlace, workflow.UpdateHandlerOptions{
		Description: "Waits until the order is recorded and answers how it stands.",
	}); err != nil {
		return err
	}
	if err := workflow.SetUpdateHandlerWithOptions(ctx, orderflow.UpdatePay, o.onPay, workflow.UpdateHandlerOptions{
		Validator:   o.mayPay,
		Description: "Pays the order: authorise, confirm the stock, capture.",
	}); err != nil {
		return err
	}
	return workflow.SetQueryHandlerWithOptions(ctx, orderflow.QueryState, func() (orderflow.View, error) { return o.view(), nil },
		workflow.QueryHandlerOptions{Description: "The order's state, deadline and payment attempts."})
}

// onPlace answers as soon as the order's first transition is recorded. It changes nothing: the main
// function reserves, whether anybody waits or not.
func (o *orderRun) onPlace(ctx workflow.Context, _ orderflow.PlaceInput) (orderflow.PlaceResult, error) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	if err := workflow.Await(ctx, func() bool { return o.placed != nil }); err != nil {
		return orderflow.PlaceResult{}, err
	}
	if err := o.recorder.wait(ctx, o.placed.Seq); err != nil {
		return orderflow.PlaceResult{}, err
	}
	return orderflow.PlaceResult{View: *o.placed}, nil
}

// mayPay refuses a payment that cannot begin. It only reads; a refusal leaves no event.
func (o *orderRun) mayPay(in orderflow.PayInput) error {
	switch {
	case in.Method == "":
		return temporal.NewNonRetryableApplicationError("name a payment method", orderflow.ErrInvalidPayment, nil)
	case o.state == "" || o.state == order.Pending:
		return temporal.NewNonRetryableApplicationError("the stock is not decided yet; try again shortly", orderflow.ErrOrderNotPayableYet, nil, o.state)
	case o.state == order.Expired:
		return o.tooLate()
	case len(o.commands) > 0 || o.state == order.Paying:
		return temporal.NewNonRetryableApplicationError("a payment is under way; look at the order before trying again", orderflow.ErrPaymentInProgress, nil, o.state)
	case o.state != order.Reserved:
		return temporal.NewNonRetryableApplicationError("the order is "+string(o.state)+" and cannot be paid", orderflow.ErrInvalidState, nil, o.state)
	}
	return nil
}

func (o *orderRun) tooLate() error {
	return temporal.NewNonRetryableApplicationError("the order has expired; place a new one", orderflow.ErrOrderExpired, nil, o.state)
}

// onPay hands the payment to the loop and answers its outcome once it is recorded.
func (o *orderRun) onPay(ctx workflow.Context, in orderflow.PayInput) (orderflow.PayResult, error) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	// Another update may have been accepted between the validator and here.
	if err := o.mayPay(in); err != nil {
		return orderflow.PayResult{}, err
	}
	c := &payCommand{in: in}
	o.enqueue(c)
	if err := workflow.Await(ctx, func() bool { return c.done || c.refused != nil }); err != nil {
		return orderflow.PayResult{}, err
	}
	if c.refused != nil {
		return orderflow.PayResult{}, c.refused
	}
	if err := o.recorder.wait(ctx, c.result.View.Seq); err != nil {
		return orderflow.PayResult{}, err
	}
	return c.result, nil
}

func (o *orderRun) enqueue(c *payCommand) { o.commands = append(o.commands, c) }

// refuseRest answers commands that were accepted but whose turn will not come.
func (o *orderRun) refuseRest() {
	for _, c := range o.commands {
		if o.state == order.Expired {
			c.refused = o.tooLate()
		} else {
			c.refused = temporal.NewNonRetryableApplicationError("the order is "+string(o.state)+" and cannot be paid", orderflow.ErrInvalidState, nil, o.state)
		}
	}
	o.commands = nil
}
