// Package workflows tells the story of an order. It is deterministic: every effect is an activity,
// called by the names in orderflow, and every clock is the workflow's.
package workflows

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// maxDeclines is the number of declined payments that ends an order.
const maxDeclines = 3

// Order holds stock for an order, waits for its payment until the reservation's deadline, and ends
// confirmed, or with everything undone. One loop owns the state: updates only put a command into its
// queue and wait, and the deadline is one more of its inputs.
func Order(ctx workflow.Context, in orderflow.OrderInput) (orderflow.OrderResult, error) {
	o := newOrderRun(ctx, in)
	if err := o.handleUpdates(ctx); err != nil {
		return orderflow.OrderResult{}, err
	}
	o.recorder.start(ctx)
	o.reserve(ctx)
	if in.PaymentMethod != "" && o.state == order.Reserved {
		o.enqueue(&payCommand{in: orderflow.PayInput{Method: in.PaymentMethod, Actor: in.CustomerID, CorrelationID: in.CorrelationID}})
	}
	for o.state == order.Reserved {
		o.next(ctx)
	}
	o.refuseRest()
	return o.finish(ctx)
}

// orderRun is the whole state of one order's workflow.
type orderRun struct {
	in          orderflow.OrderInput
	workflowID  string
	reservation *uuid.UUID // once inventory has told it
	number      int        // of the reservation, counted from 1

	state     order.State
	seq       int64
	reason    string
	expiresAt time.Time
	short     []orderflow.ShortLine
	attempts  int // payments tried; each has a key of its own
	declines  int

	placed   *orderflow.View // as of the first recorded transition: what the place update answers
	shown    order.State     // what the search attributes say
	undo     compensation
	recorder *recorder
	commands []*payCommand
}

func newOrderRun(ctx workflow.Context, in orderflow.OrderInput) *orderRun {
	const number = 1 // editing lines will make another reservation; until then an order has one
	o := &orderRun{in: in, workflowID: workflow.GetInfo(ctx).WorkflowExecution.ID, number: number}
	o.recorder = &recorder{input: &o.in, view: o.view}
	return o
}

// reserve holds the stock, or records why it cannot be held.
func (o *orderRun) reserve(ctx workflow.Context) {
	o.undo.add("give the stock back", o.giveStockBack)
	held, err := reserveStock(ctx, orderflow.ReserveInput{
		OrderID: o.in.OrderID, Number: o.number, WorkflowID: o.workflowID,
		TTLSeconds: o.in.TTLSeconds, Lines: o.in.Lines, CorrelationID: o.in.CorrelationID,
	}, func() { o.move(ctx, order.Pending, orderflow.EventPending, "waiting for inventory") })
	switch {
	case err == nil:
		o.reservation, o.expiresAt = &held.ReservationID, held.ExpiresAt
		o.move(ctx, order.Reserved, orderflow.EventReserved, "")
	case temporal.IsCanceledError(err):
		o.cancel(ctx)
	case refusal(err) == orderflow.ErrOutOfStock:
		o.undo.forget() // all or nothing, and it was nothing
		o.short = details[[]orderflow.ShortLine](err)
		o.move(ctx, order.Rejected, orderflow.EventRejected, orderflow.ErrOutOfStock)
	case refusal(err) == orderflow.ErrReservationRefused:
		o.undo.forget()
		o.move(ctx, order.Rejected, orderflow.EventRejected, err.Error())
	default:
		o.fail(ctx, fmt.Sprintf("the stock could not be reserved: %v", err))
	}
}

// next waits for the one input that comes first: a command, the deadline, or an operator's
// cancellation of the workflow. When several are there at once a command goes first, because
// inventory's clock, not ours, decides whether it comes too late.
func (o *orderRun) next(ctx workflow.Context) {
	if len(o.commands) == 0 {
		o.show(ctx)
	}
	// The timer is armed from the absolute deadline, never from a duration that travelled, and is
	// cancelled when something else came first. In one workflow task the two leave no event.
	timerCtx, stop := workflow.WithCancel(ctx)
	timer := workflow.NewTimerWithOptions(timerCtx, o.expiresAt.Sub(workflow.Now(ctx)), workflow.TimerOptions{Summary: "the reservation expires"})
	due := func() bool { return timer.IsReady() && ctx.Err() == nil }
	err := workflow.Await(ctx, func() bool { return len(o.commands) > 0 || due() })
	switch {
	case err != nil:
		stop()
		o.cancel(ctx)
	case len(o.commands) > 0:
		stop()
		o.take(ctx)
	default:
		stop()
		o.expire(ctx)
	}
}

// take carries out the first command in the queue.
func (o *orderRun) take(ctx workflow.Context) {
	c := o.commands[0]
	// It runs to its end even when the workflow is cancelled meanwhile: money whose fate is not
	// known cannot be left alone.
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	c.result = o.pay(ctx, c.in)
	c.result.View = o.view()
	c.done = true
	o.commands = o.commands[1:]
}

// expire gives the stock back when the deadline has come. Inventory's clock decides: when it says
// that the time has not come, the loop waits for the deadline it names. When it does not answer, the
// order is expired and unpayable at once, and the stock follows as soon as inventory is back.
func (o *orderRun) expire(ctx workflow.Context) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	in := o.reservationInput("the deadline has passed")
	res, err := tryExpireReservation(ctx, in)
	if refusal(err) == orderflow.ErrNotDue {
		o.expiresAt = details[time.Time](err)
		return
	}
	o.undo.forget()
	o.move(ctx, order.Expired, orderflow.EventExpired, "not paid before the deadline")
	if err != nil {
		res, err = expireReservation(ctx, in)
	}
	if err == nil && res.Status != orderflow.ReservationConfirmed {
		return
	}
	// Not due after all, because an extension whose answer was lost has moved the deadline, or
	// confirmed behind our back. The order has ended, so its stock goes back now.
	if err := o.giveBack(ctx, in); err != nil {
		o.compensationFailed(ctx)("give the stock back", err)
	}
}

// cancel ends an order whose workflow an operator has cancelled.
func (o *orderRun) cancel(ctx workflow.Context) {
	o.undo.run(ctx, o.compensationFailed(ctx))
	o.move(ctx, order.Cancelled, orderflow.EventCancelled, "cancelled by an operator")
}

// fail undoes everything and ends the order.
func (o *orderRun) fail(ctx workflow.Context, reason string) {
	o.undo.run(ctx, o.compensationFailed(ctx))
	o.move(ctx, order.Failed, orderflow.EventFailed, reason)
}

// giveStockBack is the undo of reserve and confirm together: a release decides whether a confirm may
// still land, so no answer that was lost can leave stock taken.
func (o *orderRun) giveStockBack(ctx workflow.Context) error {
	return o.giveBack(ctx, o.reservationInput("the order was not carried out"))
}

func (o *orderRun) giveBack(ctx workflow.Context, in orderflow.ReservationInput) error {
	res, err := releaseStock(ctx, in)
	if err == nil && res.Status == orderflow.ReservationConfirmed {
		_, err = returnStock(ctx, in)
	}
	return err
}

// compensationFailed records an undo that was refused, and leaves the order marked for operators.
func (o *orderRun) compensationFailed(ctx workflow.Context) func(string, error) {
	return func(name string, err error) {
		workflow.GetLogger(ctx).Error("an undo was refused", "undo", name, "error", err)
		o.note(ctx, orderflow.EventCompensationFailed, orderflow.ActorSystem, fmt.Sprintf("%s: %v", name, err))
		markNeedsOperator(ctx, true)
	}
}

func (o *orderRun) reservationInput(reason string) orderflow.ReservationInput {
	return orderflow.ReservationInput{
		OrderID: o.in.OrderID, Number: o.number, WorkflowID: o.workflowID, Attempt: o.attempts,
		Actor: orderflow.ActorSystem, Reason: reason, CorrelationID: o.in.CorrelationID,
	}
}

// finish waits until everything is recorded and every caller has its answer.
func (o *orderRun) finish(ctx workflow.Context) (orderflow.OrderResult, error) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	o.show(ctx)
	o.recorder.drain(ctx)
	if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); err != nil {
		return orderflow.OrderResult{}, err
	}
	return orderflow.OrderResult{State: o.state, Reason: o.reason}, nil
}
