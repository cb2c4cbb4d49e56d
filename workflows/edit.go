package workflows

import (
	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// The lines of an order can change while it is reserved and not paid. Inventory replaces the reservation by one of the
// new lines, under the order's next number and with the same deadline, or leaves it as it is (ADR 26). So the order
// holds the old lines or the new ones at every moment, and never both.

const (
	// maxEdits bounds how many of the updates that a workflow can have (Temporal: 2,000) are changes of the lines.
	maxEdits = 100
	// maxNumbers bounds how many numbers one change tries: an earlier run may have used some.
	maxNumbers = 5
)

// editable reports whether the lines of the order can change: orders of older revisions keep theirs.
func (o *orderRun) editable() bool { return o.in.Revision >= orderflow.RevisionReturns }

func (o *orderRun) mayEdit(in orderflow.EditInput) error {
	switch {
	case len(in.Lines) == 0 || in.Total.Currency != o.in.Total.Currency:
		return refuse(orderflow.ErrInvalidInput, "name the new lines, in the currency of the order")
	case !o.editable():
		return refuse(string(order.InvalidState),
			"the order was placed before the shop could change lines; cancel it and place a new one")
	case o.in.HasCharges():
		return refuse(string(order.InvalidState), "the shop has set taxes, discounts or the shipping for the present lines; "+
			"cancel the order and place a new one")
	case o.edits >= maxEdits:
		return refuse(orderflow.ErrTooManyEdits, "the order was changed too often; pay it, or cancel it and place a new one")
	}
	return o.refuse(order.Edit)
}

// onEdit changes the lines of the order.
func (o *orderRun) onEdit(ctx workflow.Context, in orderflow.EditInput) (out orderflow.EditResult, err error) {
	in.Actor = orOperator(in.Actor)
	edit := func(ctx workflow.Context) (err error) {
		out, err = o.edit(ctx, in)
		return err
	}
	err = o.request(ctx, &command[order.Input]{input: order.Edit, actor: in.Actor, run: edit})
	out.Request, out.View = in.Request, o.view()
	return out, err
}

// edit replaces the reservation and then the lines. It waits until inventory answers, but not after the order is
// cancelled or its deadline has passed: then the order ends, and what inventory may still reserve is released.
func (o *orderRun) edit(ctx workflow.Context, in orderflow.EditInput) (out orderflow.EditResult, err error) {
	o.edits++
	switch known, err := o.awaitOwnRow(ctx); {
	case err != nil:
		return out, err
	case !known:
		return o.abandonEdit(ctx), nil
	}
	if err := o.refuse(order.Edit); err != nil { // what an earlier run has recorded does not allow it
		return out, err
	}

	var held orderflow.ReservationResult
	var number int
	for range maxNumbers {
		o.reservations = max(o.reservations, o.ref.Number) + 1
		number = o.reservations
		o.triedNumbers = append(o.triedNumbers, number)
		replace := o.replaceInput(in, number)
		answered := o.awaitUntilEnd(ctx, func(ctx workflow.Context) { held, err = replaceReservation(ctx, replace) })
		if !answered {
			return o.abandonEdit(ctx), nil
		}
		if refusal(err) != orderflow.ErrNumberUsed {
			break
		}
	}
	return o.concludeEdit(ctx, in, number, held, err)
}

// awaitOwnRow waits until everything is recorded. If an earlier run has written the order's row, this run takes it
// over, so that it replaces the reservation that the order has now. It reports false if the order has to end first.
func (o *orderRun) awaitOwnRow(ctx workflow.Context) (bool, error) {
	var found orderflow.FindOrderResult
	var err error
	answered := o.awaitUntilEnd(ctx, func(ctx workflow.Context) {
		if o.recorder.waitAll(ctx); !o.recorder.blocked() {
			found, err = o.findRow(ctx)
		}
	})
	switch {
	case !answered:
		return false, nil
	case o.recorder.blocked():
		o.handleBlockedRecorder(ctx)
	case err != nil:
		return true, refuse(orderflow.ErrUnavailable, "it cannot be seen how the order is recorded; try again with a new key")
	case found.Order != nil && !found.Own:
		o.takeOver(ctx, *found.Order)
	}
	return true, nil
}

// awaitUntilEnd runs f in a coroutine and waits until it has finished, the order is cancelled or its deadline has
// passed. It reports whether f has finished; if not, it cancels the context of f.
func (o *orderRun) awaitUntilEnd(ctx workflow.Context, f func(workflow.Context)) bool {
	ctx, stop := workflow.WithCancel(ctx)
	defer stop()
	finished := false
	workflow.Go(ctx, func(ctx workflow.Context) {
		f(ctx)
		finished = true
	})
	timer := workflow.NewTimerWithOptions(ctx, max(o.expiresAt.Sub(workflow.Now(ctx)), 0),
		workflow.TimerOptions{Summary: "the reservation expires while the lines change"})
	_ = workflow.Await(ctx, func() bool { return finished || o.cancellation() != nil || timer.IsReady() })
	return finished
}

func (o *orderRun) replaceInput(in orderflow.EditInput, number int) orderflow.ReserveInput {
	out := orderflow.ReserveInput{
		Reservation:   o.ref,
		Replaces:      o.ref.Number,
		Actor:         orderflow.ActorSystem,
		CorrelationID: o.in.CorrelationID,
		Lines:         make([]orderflow.ReserveLine, len(in.Lines)),
	}
	out.Reservation.Number = number
	for i, l := range in.Lines {
		out.Lines[i] = orderflow.ReserveLine{LineNo: l.LineNo, ProductID: l.ProductID, Quantity: l.Quantity}
	}
	return out
}

// concludeEdit carries out what inventory has answered to a replacement.
func (o *orderRun) concludeEdit(
	ctx workflow.Context, in orderflow.EditInput, number int, held orderflow.ReservationResult, err error,
) (orderflow.EditResult, error) {
	switch refusal(err) {
	case orderflow.ErrOutOfStock:
		o.triedNumbers = nil // inventory has made no reservation, and will make none
		return orderflow.EditResult{
			Outcome: orderflow.EditOutOfStock, Short: details[[]orderflow.ShortLine](err),
		}, nil
	case orderflow.ErrReservationRefused:
		o.triedNumbers = nil
		return orderflow.EditResult{
			Outcome: orderflow.EditRefused, Reason: details[orderflow.Refusal](err).Detail,
		}, nil
	case orderflow.ErrReservationExpired:
		o.end(ctx, order.DeadlinePassed, orderflow.ActorSystem, "not paid before the deadline")
		return orderflow.EditResult{Outcome: orderflow.EditTooLate}, nil
	case orderflow.ErrReservationClosed:
		o.endEdit(ctx, err)
		return orderflow.EditResult{Outcome: orderflow.EditClosed, Reason: o.reason}, nil
	case "":
	default:
		err = refuse(orderflow.ErrUnavailable, "the lines could not be changed; try again with a new key")
	}
	if err != nil {
		return orderflow.EditResult{}, err
	}

	o.triedNumbers = nil
	o.ref.Number, o.reservation = number, &held.ReservationID
	o.in.Lines, o.in.Total = in.Lines, in.Total
	o.recorder.contents = &orderflow.Contents{Lines: in.Lines, Total: in.Total, ReservationNumber: number}
	if held.Status == orderflow.ReservationConfirmed { // an earlier run has made the same change, and taken the stock
		o.handleEarlierConfirm(ctx)
		return orderflow.EditResult{Outcome: orderflow.EditClosed, Reason: o.reason}, nil
	}
	o.expiresAt, o.earlyExpiries = held.ExpiresAt, 0
	o.apply(ctx, order.Edit, in.Actor, "")
	o.showContents(ctx)
	return orderflow.EditResult{Outcome: orderflow.Edited}, nil
}

// endEdit ends the order, or follows an earlier run, after inventory has answered that the reservation to replace has
// ended.
func (o *orderRun) endEdit(ctx workflow.Context, err error) {
	switch {
	case details[string](err) == orderflow.ReservationConfirmed:
		o.handleEarlierConfirm(ctx)
	case o.cancellation() != nil:
		o.cancel(ctx)
	default:
		o.end(ctx, order.GaveUp, orderflow.ActorSystem, "the reservation is gone: "+reservationEnd(err))
	}
}

// abandonEdit ends an order that was cancelled, or whose deadline has passed, while its lines were to change.
func (o *orderRun) abandonEdit(ctx workflow.Context) orderflow.EditResult {
	if o.cancellation() != nil {
		o.cancel(ctx)
		return orderflow.EditResult{Outcome: orderflow.EditCancelled}
	}
	o.end(ctx, order.DeadlinePassed, orderflow.ActorSystem, "not paid before the deadline")
	return orderflow.EditResult{Outcome: orderflow.EditTooLate}
}

// releaseTried releases the reservations of changes whose outcome is not known.
func (o *orderRun) releaseTried(ctx workflow.Context, brief bool) error {
	for len(o.triedNumbers) > 0 {
		in := o.reservationInput("the order was not carried out")
		in.Reservation.Number, in.Backorder = o.triedNumbers[0], false
		if _, err := releaseStock(ctx, in, brief); err != nil {
			return err
		}
		o.triedNumbers = o.triedNumbers[1:]
	}
	return nil
}

// showContents brings the search attributes of the lines up to date.
func (o *orderRun) showContents(ctx workflow.Context) {
	if err := workflow.UpsertTypedSearchAttributes(ctx,
		orderflow.AttrSKUs.ValueSet(orderflow.SKUs(o.in.Lines)),
		orderflow.AttrAmountMinor.ValueSet(o.in.Total.Minor),
	); err != nil {
		workflow.GetLogger(ctx).Warn("cannot update the search attributes", "error", err)
	}
}
