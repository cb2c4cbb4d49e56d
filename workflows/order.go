// Package workflows tells the story of an order. It is deterministic: every effect is an activity,
// called by the names in orderflow, and every clock is the workflow's.
package workflows

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// refuseOtherID refuses a workflow that was started under an id that is not its own, for example a copy that an
// operator starts in the Web UI. The order or reservation has its workflow already, and a second one would act on the
// same stock and money.
func refuseOtherID(ctx workflow.Context, want string) error {
	if id := workflow.GetInfo(ctx).WorkflowExecution.ID; id != want {
		return temporal.NewNonRetryableApplicationError(
			fmt.Sprintf("this workflow runs only under the id %q; it was started as %q and has done nothing", want, id),
			orderflow.ErrNotThisOrder, nil)
	}
	return nil
}

// Order holds stock for an order, waits for its payment until the reservation's deadline, and ends
// confirmed, or with everything undone. One loop owns the state: updates only put a command into its
// mailbox and wait, and the deadline is one more of its inputs. What an input does in which state is
// the table in internal/order.
//
// A run may be the second one of its order, because an operator has reset the workflow. Such a run learns from the
// reservation and the order's row what has happened (takeover.go). The first run of an order pays nothing for that.
func Order(ctx workflow.Context, in orderflow.OrderInput) (orderflow.OrderResult, error) {
	if err := refuseOtherID(ctx, orderflow.OrderWorkflowID(in.OrderID)); err != nil {
		return orderflow.OrderResult{}, err
	}
	o := newOrderRun(ctx, in)
	if err := o.handleUpdates(ctx); err != nil {
		return orderflow.OrderResult{}, err
	}

	o.recorder.start(ctx)
	o.reserve(ctx)
	if in.PaymentMethod != "" && o.state == order.Reserved {
		o.payAtOnce()
	}
	for o.state == order.Reserved {
		o.next(ctx)
	}
	return o.finish(ctx)
}

// orderRun is the whole state of one order's workflow.
type orderRun struct {
	in          orderflow.OrderInput
	root        workflow.Context // the workflow's own context; cancelled when an operator cancels the workflow
	ref         orderflow.ReservationRef
	reservation *uuid.UUID // once inventory has told it

	state      order.State
	seq        int64
	reason     string
	by         string // the actor who gave the reason
	expiresAt  time.Time
	early      int // expiries in a row that inventory called early
	short      []orderflow.ShortLine
	refused    string // why inventory did not reserve, as a code
	attempts   int    // payments tried; each has a key of its own
	asked      int    // the last payment that this execution has asked the provider about, by attempt
	declines   int
	extensions int
	tookStock  bool // this run has confirmed the reservation, or knows that an earlier run has
	adopted    bool // an earlier run had settled the order
	tookOver   bool // this run goes on from a row that an earlier run had left open
	// takenBefore says that inventory found the stock taken by an execution that this one does not know.
	takenBefore bool
	unrecorded  bool  // the order cannot be recorded and is undone
	lost        []int // payments that a lost task of this run has begun
	// leftovers are payments of earlier runs whose outcome this run does not know. finish voids them.
	leftovers []int
	paidBy    int // the attempt that captured the money; 0: none

	placed   *orderflow.View // as of the first transition: what the place update answers
	shown    shown
	undo     compensation
	recorder *recorder
	mailbox  mailbox[order.Input]
}

func newOrderRun(ctx workflow.Context, in orderflow.OrderInput) *orderRun {
	o := &orderRun{in: in, root: ctx, ref: orderflow.ReservationRef{
		OwnerKind:  orderflow.OwnerOrder,
		OwnerID:    in.OrderID,
		WorkflowID: workflow.GetInfo(ctx).WorkflowExecution.ID,
		Number:     1, // editing lines will make another reservation; until then an order has one
	}}
	o.recorder = &recorder{input: &o.in, view: o.view, local: o.local()}
	o.mailbox.urgent = o.recorder.troubled
	return o
}

// reserve holds the stock, or records why it cannot be held. A cancellation waits only for the first quick
// answer, not for an inventory that is down: it releases the reservation, and inventory then refuses a
// reserve that arrives after the release.
func (o *orderRun) reserve(ctx workflow.Context) {
	o.undo.add("give the stock back", o.giveStockBack)
	in := orderflow.ReserveInput{
		Reservation:   o.ref,
		Actor:         orderflow.ActorSystem,
		TTLSeconds:    o.in.TTLSeconds,
		CorrelationID: o.in.CorrelationID,
		Lines:         make([]orderflow.ReserveLine, len(o.in.Lines)),
	}
	for i, l := range o.in.Lines {
		in.Lines[i] = orderflow.ReserveLine{LineNo: l.LineNo, ProductID: l.ProductID, Quantity: l.Quantity}
	}

	var held orderflow.ReservationResult
	var err error
	decided, slow := false, false
	waitCtx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	// A cancellation of the order that comes first calls abandon; the coroutine then ends by itself.
	stepCtx, abandon := workflow.WithCancel(waitCtx)
	workflow.Go(stepCtx, func(ctx workflow.Context) {
		held, err = reserveStock(ctx, in, 0, func() {
			if slow = true; o.cancellation() == nil {
				o.apply(ctx, order.StockDelayed, orderflow.ActorSystem, "waiting for inventory")
			}
		})
		decided = true
	})
	_ = workflow.Await(waitCtx, func() bool { return decided || (slow && o.cancellation() != nil) })

	switch {
	case !decided:
		abandon()
		o.cancel(ctx)
	case err == nil && held.Status == orderflow.ReservationConfirmed:
		o.reservation, o.expiresAt = &held.ReservationID, held.ExpiresAt
		if o.local() && o.in.PaymentMethod != "" && o.ownRow(ctx) {
			// A lost task has taken the stock for the payment that came with the order. The payment goes on.
			o.tookStock = true
			o.apply(ctx, order.StockHeld, orderflow.ActorSystem, "")
			return
		}
		o.continueEarlier(ctx)
	case err == nil:
		o.reservation, o.expiresAt = &held.ReservationID, held.ExpiresAt
		o.apply(ctx, order.StockHeld, orderflow.ActorSystem, "")
	case refusal(err) == orderflow.ErrOutOfStock:
		o.undo.forget() // inventory holds all lines or none: here none
		o.short, o.refused = details[[]orderflow.ShortLine](err), orderflow.ErrOutOfStock
		o.apply(ctx, order.StockRefused, orderflow.ActorSystem, orderflow.ErrOutOfStock)
	case refusal(err) == orderflow.ErrReservationRefused:
		o.undo.forget()
		why := details[orderflow.Refusal](err)
		o.refused = why.Code
		o.apply(ctx, order.StockRefused, orderflow.ActorSystem, why.Detail)
	default:
		o.end(ctx, order.GaveUp, orderflow.ActorSystem, "the stock could not be reserved: "+reservationEnd(err))
	}
}

// next waits for the one input that comes first and carries it out.
func (o *orderRun) next(ctx workflow.Context) {
	if o.mailbox.empty() {
		o.show(ctx)
	}
	switch o.mailbox.next(ctx, wakeAt(ctx, o.expiresAt, o.early), "the reservation expires") {
	case wakeUrgent:
		o.lookAfterRecord(ctx)
	case wakeCommand:
		o.mailbox.take(ctx)
	case wakeDeadline:
		o.expire(ctx)
	case wakeCancelled:
		o.cancel(ctx)
	}
}

// expire gives the stock back when the deadline has come. Inventory's clock decides: when inventory says
// that the deadline has not come, the loop waits for the deadline that inventory names. When inventory does
// not answer, the order is expired and unpayable at once, and the stock goes back as soon as inventory answers.
func (o *orderRun) expire(ctx workflow.Context) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	const reason = "not paid before the deadline"
	in := o.reservationInput("the deadline has passed")
	res, err := expireReservation(ctx, in, true, o.local())
	switch {
	case refusal(err) == orderflow.ErrNotDue:
		o.expiresAt = details[time.Time](err)
		o.early++
		return
	case err == nil && res.Status == orderflow.ReservationConfirmed:
		o.continueEarlier(ctx)
		return
	case err == nil:
		o.undo.forget()
		o.recorder.expiryKnown = true
		o.noteReleased(ctx)
	default: // no answer
		o.undo.replace("let the reservation expire", o.letExpire)
	}
	o.apply(ctx, order.DeadlinePassed, orderflow.ActorSystem, reason)
}

// letExpire is the undo of a reservation whose order has expired while inventory did not answer.
func (o *orderRun) letExpire(ctx workflow.Context, brief bool) error {
	in := o.reservationInput("the deadline has passed")
	res, err := expireReservation(ctx, in, brief, false)
	switch {
	case err == nil && res.Status != orderflow.ReservationConfirmed:
		o.noteReleased(ctx)
		return nil
	case err != nil && !isFinal(err):
		return err
	}
	// Not due after all, because an extension whose answer was lost has moved the deadline, or confirmed by an
	// earlier run. The order has ended, so its stock goes back now.
	return o.giveBack(ctx, in, brief)
}

// cancellation is the command to cancel the order, from an update or from an operator who cancelled the
// workflow itself, or nil.
func (o *orderRun) cancellation() *command[order.Input] {
	if c := o.mailbox.waiting(order.Cancel); c != nil {
		return c
	}
	if o.root.Err() != nil {
		return &command[order.Input]{
			input:  order.Cancel,
			actor:  orderflow.ActorTemporal,
			reason: "the workflow was cancelled",
		}
	}
	return nil
}

// cancel calls the order off in the name of the actor of the cancellation.
func (o *orderRun) cancel(ctx workflow.Context) {
	by := o.cancellation()
	if by == nil { // a context of the workflow was cancelled before the workflow itself shows it
		by = &command[order.Input]{actor: orderflow.ActorTemporal, reason: "the workflow was cancelled"}
	}
	o.end(ctx, order.Cancel, by.actor, by.reason)
}

// end ends an order and undoes its steps. It first undoes what can be undone at once, so that an order that
// says cancelled has given everything back. An inventory or a provider that is down does not delay the end:
// finish undoes the rest as soon as they answer.
//
// If the provider says that another run or a lost execution has captured the money, the order is paid: end undoes
// nothing more, and the order is confirmed instead.
func (o *orderRun) end(ctx workflow.Context, input order.Input, actor, reason string) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	if o.undo.attempt(ctx, o.compensationFailed(ctx)); o.state.CarriedOut() {
		return
	}
	if o.takenBefore && o.local() {
		// A lost task has taken the stock, and may have taken the money. If it has, the order is paid.
		o.takenBefore = false
		if o.continueEarlier(ctx); o.state.Settled() {
			return
		}
	}
	o.apply(ctx, input, actor, reason)
}

// giveStockBack is the undo of reserve and confirm together: after a release inventory refuses a confirm
// that arrives late, so a lost answer cannot leave stock taken.
func (o *orderRun) giveStockBack(ctx workflow.Context, brief bool) error {
	return o.giveBack(ctx, o.reservationInput("the order was not carried out"), brief)
}

func (o *orderRun) giveBack(ctx workflow.Context, in orderflow.ReservationInput, brief bool) error {
	res, err := releaseStock(ctx, in, brief)
	if err == nil && res.Status == orderflow.ReservationConfirmed {
		if !o.tookStock && brief {
			o.takenBefore = true
			return errTakenBefore
		}
		if !o.tookStock {
			if o.continueEarlier(ctx); o.state.CarriedOut() {
				return nil
			}
		}
		_, err = returnStock(ctx, in, brief)
	}
	if err == nil {
		o.noteReleased(ctx)
	}
	return err
}

// errTakenBefore says that an earlier run has taken the stock. finish finds out whether the stock goes back.
var errTakenBefore = errors.New("an earlier run of the workflow has taken the stock")

// noteReleased adds to the timeline that the stock went back, if this run knows that stock was held.
func (o *orderRun) noteReleased(ctx workflow.Context) {
	if o.reservation != nil && !o.adopted {
		o.note(ctx, order.EventStockReleased, orderflow.ActorSystem, "")
	}
}

// compensationFailed records an undo that was refused, and leaves the order marked for operators.
func (o *orderRun) compensationFailed(ctx workflow.Context) func(string, error) {
	return func(name string, err error) {
		workflow.GetLogger(ctx).Error("an undo was refused", "undo", name, "error", err)
		o.note(ctx, order.EventCompensationFailed, orderflow.ActorSystem, fmt.Sprintf("%s: %v", name, err))
		markNeedsOperator(ctx, true)
	}
}

func (o *orderRun) reservationInput(reason string) orderflow.ReservationInput {
	return orderflow.ReservationInput{
		Reservation:   o.ref,
		Actor:         orderflow.ActorSystem,
		Reason:        reason,
		CorrelationID: o.in.CorrelationID,
	}
}

// finish runs the remaining undos, and waits until everything is recorded and every caller has its answer.
func (o *orderRun) finish(ctx workflow.Context) (orderflow.OrderResult, error) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	o.mailbox.answerRest(func(c *command[order.Input]) error { return o.refuse(c.input) })
	o.show(ctx)

	for {
		o.undo.finish(ctx, o.compensationFailed(ctx))
		o.voidLeftovers(ctx)
		if o.findBegun(ctx) {
			continue
		}
		if o.recorder.drain(ctx); o.recorder.troubled() && !o.unrecorded {
			o.lookAfterRecord(ctx)
			continue
		}
		if o.undo.empty() && len(o.leftovers) == 0 {
			break
		}
	}
	if o.unrecorded {
		o.tellFailure(ctx)
	}

	o.show(ctx)
	if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); err != nil {
		return orderflow.OrderResult{}, err
	}
	if refusal(o.recorder.failed) == orderflow.ErrRecordConflict {
		return orderflow.OrderResult{}, temporal.NewNonRetryableApplicationError(
			"the order's row belongs to another request or to another input; nothing of that order was touched",
			orderflow.ErrRecordConflict, nil)
	}
	return orderflow.OrderResult{State: o.state, Reason: o.reason}, nil
}
