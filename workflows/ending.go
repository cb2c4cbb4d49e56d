package workflows

import (
	"errors"
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// How an order ends: its steps are undone at once where inventory and the payment provider answer, and the rest before
// the workflow ends.

// end undoes the steps of the order and then applies input, which closes the order.
//
// It undoes only what it can undo at once. Usually that is everything, so an order in a closed state has given its
// stock and money back. If inventory or the payment provider does not answer, end does not wait: finish undoes the rest
// as soon as they answer.
//
// If the provider answers that another run or a lost execution has captured the money, the order is paid. The order is
// then confirmed, and end does not apply input.
func (o *orderRun) end(ctx workflow.Context, input order.Input, actor, reason string) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()

	o.undo.attempt(ctx, o.recordFailedUndo)
	if o.state.CarriedOut() {
		return
	}
	if o.foundConfirmed && o.localSteps() {
		// A lost task has confirmed the reservation and may have captured the money. If it has, the order is paid.
		o.foundConfirmed = false
		o.handleEarlierConfirm(ctx)
		if o.state.Settled() {
			return
		}
	}
	o.apply(ctx, input, actor, reason)
}

// undoReserve is the undo of both the reserve and the confirm. After a release, inventory refuses a confirm that
// arrives late, so a confirm whose answer was lost cannot take stock.
//
// It also releases what a change of the lines may have reserved whose outcome is not known. Inventory then refuses a
// replacement that arrives late.
func (o *orderRun) undoReserve(ctx workflow.Context, brief bool) error {
	if err := o.releaseTried(ctx, brief); err != nil {
		return err
	}
	return o.releaseOrReturn(ctx, o.reservationInput("the order was not carried out"), brief)
}

// releaseOrReturn gives the stock back. It releases a pending reservation, and returns the stock of a confirmed one.
//
// If an earlier execution confirmed the reservation, it may have completed the order. Only the orders database and the
// payment provider know. So with brief set, releaseOrReturn fails with errConfirmedEarlier, and finish calls it again.
func (o *orderRun) releaseOrReturn(ctx workflow.Context, in orderflow.ReservationInput, brief bool) error {
	res, err := releaseStock(ctx, in, brief)
	if err != nil {
		return err
	}
	if res.Status != orderflow.ReservationConfirmed {
		o.noteEnd(ctx, res)
		return nil
	}

	if !o.stockConfirmed {
		if brief {
			o.foundConfirmed = true
			return errConfirmedEarlier
		}
		o.handleEarlierConfirm(ctx)
		if o.state.CarriedOut() {
			return nil
		}
	}
	if _, err := returnStock(ctx, in, brief); err != nil {
		return err
	}
	o.noteReleased(ctx)
	return nil
}

// errConfirmedEarlier says that an earlier execution has confirmed the reservation.
var errConfirmedEarlier = errors.New("an earlier execution of the workflow has confirmed the reservation")

// noteEnd is noteReleased, unless the reservation was still a backorder, which held nothing.
func (o *orderRun) noteEnd(ctx workflow.Context, res orderflow.ReservationResult) {
	if res.Status != orderflow.ReservationWaiting {
		o.noteReleased(ctx)
	}
}

// noteReleased adds to the timeline that the stock went back, if this run knows that stock was held.
func (o *orderRun) noteReleased(ctx workflow.Context) {
	if o.reservation != nil && !o.adopted {
		o.note(ctx, order.EventStockReleased, orderflow.ActorSystem, "")
	}
}

// recordFailedUndo records that an undo was refused, and marks the order for operators.
func (o *orderRun) recordFailedUndo(ctx workflow.Context, name string, err error) {
	workflow.GetLogger(ctx).Error("an undo was refused",
		"order_number", o.in.Number, "undo", name, "error", err)
	o.note(ctx, order.EventCompensationFailed, orderflow.ActorSystem, fmt.Sprintf("%s: %v", name, err))
	markNeedsOperator(ctx, true)
}

func (o *orderRun) reservationInput(reason string) orderflow.ReservationInput {
	return orderflow.ReservationInput{
		Reservation:   o.ref,
		Actor:         orderflow.ActorSystem,
		Reason:        reason,
		CorrelationID: o.in.CorrelationID,
		Backorder:     o.in.WaitSeconds > 0 && o.ref.Number == 1,
	}
}

// settle undoes what remains to be undone, and waits until everything is recorded.
func (o *orderRun) settle(ctx workflow.Context) { o.settleThen(ctx, o.recorder.waitAll) }

// settleThen is settle with another way to wait for the recorder. Each of its steps can add undos, payments or timeline
// entries, so they repeat until nothing is left.
func (o *orderRun) settleThen(ctx workflow.Context, awaitRecords func(workflow.Context)) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	for {
		o.undo.finish(ctx, o.recordFailedUndo)
		o.voidUnresolved(ctx)
		if o.findLostPayments(ctx) {
			continue
		}
		awaitRecords(ctx)
		if o.recorder.blocked() && !o.unrecordable {
			o.handleBlockedRecorder(ctx)
			continue
		}
		if o.undo.empty() && len(o.unresolved) == 0 {
			return
		}
	}
}

// finish pays what the order owes, runs the remaining undos, and waits until everything is recorded and every caller
// has its answer.
func (o *orderRun) finish(ctx workflow.Context) (orderflow.OrderResult, error) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	o.mailbox.answerRest(func(c *command[order.Input]) error { return o.refuse(c.input) })
	o.show(ctx)

	o.settleThen(ctx, func(ctx workflow.Context) {
		o.awaitDebts(ctx)
		o.recorder.drain(ctx)
	})
	o.debts.closing = true
	if o.unrecordable && (o.state.CarriedOut() || o.fulfilment != nil) {
		return orderflow.OrderResult{}, fmt.Errorf("the paid order cannot be recorded: %w", o.recorder.failed)
	}
	if o.unrecordable {
		o.recordFailure(ctx)
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
