package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// This file handles an order of which an earlier execution of the workflow has done more than this one knows. That
// happens in three cases:
//
//   - An operator resets the workflow. Temporal starts a new run at an earlier point of the history, and the new run
//     does not know what the earlier run did after that point.
//   - The adoption, or an operator, starts the workflow of an order again after it has ended.
//   - Temporal loses a workflow task whose local activities have moved stock or money, and executes the task again (ADR
//     11). The second execution may decide otherwise, for example if a cancellation comes first.
//
// This execution learns from other systems what the earlier one did:
//
//   - Inventory answers a reserve, an extension, an expiry or a release with "confirmed": an earlier execution has
//     confirmed the reservation (handleEarlierConfirm).
//   - The orders database refuses to overwrite a row that an earlier execution has written, and returns the row
//     (handleBlockedRecorder). No payment is authorised before the database has answered the first record (pay).
//   - The payment provider answers a void with "captured": the order is paid (end).
//   - The record of the order's end returns the payments that were begun and have no outcome (findLostPayments).
//
// A change of the lines (edit.go) is a regular activity, so a lost task cannot have made one. A later run reads before
// its own first change what the row says, and takes the row's lines, total and reservation (takeOverContents).
//
// If the order in the row is settled, this execution takes that state (adopt) and repeats only the undos that the state
// calls for. If the order is still open, a later run continues from the row (takeOver): with the row's sequence
// numbers, a taken_up entry in the timeline, and the row's count of payments, so that every payment has its own key.
// Without an earlier execution, no system gives any of these answers.

// handleBlockedRecorder unblocks the recorder: it takes over from an earlier run, or undoes an order that the database
// refuses.
func (o *orderRun) handleBlockedRecorder(ctx workflow.Context) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	if earlier := o.recorder.earlier; earlier != nil {
		o.takeOver(ctx, *earlier)
		return
	}
	o.undoUnrecordable(ctx)
}

// takeOver continues from the row that an earlier run has written.
func (o *orderRun) takeOver(ctx workflow.Context, row orderflow.RecordedOrder) {
	if row.State.Settled() {
		o.adopt(ctx, row)
		return
	}

	if row.State == order.Backordered && o.state == order.Backordered {
		o.load(row) // this run has found the order on the waiting list, as the earlier one left it
		return
	}
	o.takeOverReview(row)
	o.takeOverContents(row)
	o.tookOver = true
	o.addUnresolved(row.PaymentAttempts)
	if o.state == order.Paying {
		// This run has not sent its payment to the provider yet, so the payment can still get the next number.
		o.attempts = row.PaymentAttempts + 1
	} else {
		o.attempts = max(o.attempts, row.PaymentAttempts)
		// The earlier run may have begun one payment more than it recorded.
		o.unresolved = append(o.unresolved, o.attempts+1)
	}
	o.declines = max(o.declines, row.Declines)

	entries := o.entriesAfter(ctx, row)
	o.recorder.replace(entries, row.Seq)
	o.seq = row.Seq + int64(len(entries))
}

// takeOverReview keeps an order in review until it is approved, and does not ask for an approval again.
func (o *orderRun) takeOverReview(row orderflow.RecordedOrder) {
	approved := slices.IndexFunc(o.recorder.entries, func(e orderflow.TimelineEntry) bool {
		return e.Event == order.EventApproved
	})
	switch {
	case row.State == order.InReview && o.state.Holding() && approved < 0:
		o.state, o.recorder.entries = order.InReview, nil
	case row.State == order.Reserved || row.State == order.Paying: // an operator has approved it, or none had to
		o.recorder.entries = o.recorder.entries[approved+1:]
		for i := range o.recorder.entries {
			if e := &o.recorder.entries[i]; e.From == order.InReview {
				e.From = order.Reserved
			}
		}
		if o.state == order.InReview {
			o.state, o.recorder.entries = order.Reserved, nil
		}
	}
}

// takeOverContents takes the lines, the total and the reservation from the row if an earlier run has changed the lines.
// If this run has ended the order already, it gives the stock of that reservation back.
func (o *orderRun) takeOverContents(row orderflow.RecordedOrder) {
	now := row.Contents
	if now == nil || now.ReservationNumber <= o.ref.Number {
		return
	}
	o.in.Lines, o.in.Total, o.ref.Number = now.Lines, now.Total, now.ReservationNumber
	o.recorder.contents = nil
	if row.ReservationID != nil {
		o.reservation = row.ReservationID
	}
	if row.ExpiresAt != nil {
		o.expiresAt = *row.ExpiresAt
	}
	if o.state.Closed() && !o.state.CarriedOut() {
		o.undo.add("give the stock back", o.undoReserve)
	}
}

// followEarlierEdit reports whether the reserve was refused with err because an earlier run has changed the lines of
// the order. This run then goes on with the lines and the reservation of the row.
func (o *orderRun) followEarlierEdit(ctx workflow.Context, err error) bool {
	released := refusal(err) == orderflow.ErrReservationClosed && details[string](err) == orderflow.ReservationReleased
	if !released || !o.editable() {
		return false
	}
	found, ferr := o.findRow(ctx)
	if ferr != nil || found.Order == nil || found.Order.Contents == nil {
		return false
	}
	before := o.ref.Number
	o.takeOverContents(*found.Order)
	return o.ref.Number != before
}

// entriesAfter returns this run's unrecorded timeline entries, renumbered to follow the row. It drops the entries that
// led to the reserved stock. A taken_up entry replaces them: it leads from the row's state to the state in which the
// other entries begin.
func (o *orderRun) entriesAfter(ctx workflow.Context, row orderflow.RecordedOrder) []orderflow.TimelineEntry {
	rest := o.recorder.entries
	for len(rest) > 0 && !rest[0].From.Holding() && !rest[0].State.Settled() {
		rest = rest[1:]
	}
	start := o.state // the state in which rest begins
	if len(rest) > 0 {
		start = rest[0].From
	}

	var out []orderflow.TimelineEntry
	add := func(e orderflow.TimelineEntry) {
		e.Seq = row.Seq + int64(len(out)) + 1
		out = append(out, e)
	}

	if start.Holding() {
		at := workflow.Now(ctx)
		if len(rest) > 0 && rest[0].At.Before(at) {
			at = rest[0].At // the time does not go back in the timeline
		}
		from := row.State
		if from == order.Pending && start == order.Paying { // the table has no transition from pending to paying
			add(o.takenUpEntry(at, from, order.Reserved))
			from = order.Reserved
		}
		add(o.takenUpEntry(at, from, start))
	} else if len(rest) > 0 { // the order ended without reserved stock
		rest[0].From = row.State
	}

	for _, e := range rest {
		if e.Attempt > 0 {
			e.Attempt = o.attempts // takeOver has renumbered the payment
		}
		add(e)
	}
	return out
}

// takenUpEntry returns the entry that leads from the state in the row to the state of this run.
func (o *orderRun) takenUpEntry(at time.Time, from, to order.State) orderflow.TimelineEntry {
	return orderflow.TimelineEntry{
		Event:        order.EventTakenUp,
		From:         from,
		State:        to,
		At:           at,
		Actor:        orderflow.ActorTemporal,
		Reason:       "another run of the workflow carries the order on",
		Attempt:      o.attempts,
		NextDeadline: o.deadlineIn(to),
	}
}

// adopt gives this run the settled state in which an earlier run has left the order, and drops what this run has not
// recorded. If the order was not carried out, its stock and money go back now: the earlier run may have been
// interrupted before it gave them back.
func (o *orderRun) adopt(ctx workflow.Context, row orderflow.RecordedOrder) {
	o.addUnresolved(max(row.PaymentAttempts, o.attempts) + 1)
	o.adopted = true
	o.load(row)
	o.undo.reset()
	if !o.state.CarriedOut() && o.fulfilment == nil { // a paid order gives back by its debts
		o.stockConfirmed = true // so that releaseOrReturn returns confirmed stock without asking the database again
		o.undo.add("give the stock back", o.undoReserve)
	}
	o.takeOverPayments(row)
	o.noteOwnRepair(ctx, row)
	o.refreshDetails(ctx)
}

// takeOverPayments marks the payments as unresolved of which the row of a settled order has no end, and makes
// voidUnresolved record their end. It leaves out those that an operator has voided or refunded by hand. Rows of older
// versions have neither.
func (o *orderRun) takeOverPayments(row orderflow.RecordedOrder) {
	for _, attempt := range row.Unended {
		if attempt == o.capturedAttempt && row.Fulfilment == nil {
			o.capturedAttempt = 0 // it did not pay for the order
		}
		if !slices.Contains(o.unresolved, attempt) {
			o.unresolved = append(o.unresolved, attempt)
		}
		if !slices.Contains(o.lostAttempts, attempt) {
			o.lostAttempts = append(o.lostAttempts, attempt)
		}
	}
	o.unresolved = slices.DeleteFunc(o.unresolved, func(attempt int) bool { return slices.Contains(row.ByHand, attempt) })
}

// load copies the row into the state of this run, and drops what this run has not recorded.
func (o *orderRun) load(row orderflow.RecordedOrder) {
	o.loads++
	o.state, o.seq, o.reason, o.by = row.State, row.Seq, row.Reason, orderflow.ActorSystem
	o.attempts, o.declines = row.PaymentAttempts, row.Declines
	o.recorder.contents = nil
	o.takeOverContents(row)
	o.loadFulfilment(row)
	if row.ReservationID != nil {
		o.reservation = row.ReservationID
	}
	if row.ExpiresAt != nil {
		o.expiresAt = *row.ExpiresAt
	}
	if o.placedView == nil {
		v := o.view()
		o.placedView = &v
	}
	o.recorder.payments = nil
	o.recorder.replace(nil, row.Seq)
}

// loadFulfilment copies the shipments of a paid order, and what was given back for it, into the state of this run.
func (o *orderRun) loadFulfilment(row orderflow.RecordedOrder) {
	if row.CapturedAttempt > 0 {
		o.capturedAttempt = row.CapturedAttempt
	}
	if row.Fulfilment == nil {
		return
	}
	o.fulfilment = row.Fulfilment
	o.debts.refunded, o.debts.refunds, o.debts.returned = row.RefundedMinor, row.Refunds, nil
}

// handleEarlierConfirm continues after inventory has answered that an earlier execution confirmed the reservation.
//
// If the order in the row is settled, this run adopts that state. Otherwise the earlier execution was interrupted after
// it confirmed the reservation and before it recorded the order as paid. This run then asks the provider: if a payment
// was captured, the order is paid. If none was captured, the order fails and its stock goes back.
func (o *orderRun) handleEarlierConfirm(ctx workflow.Context) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()

	row := o.earlierRow(ctx)
	if row != nil && row.State.Settled() {
		o.adopt(ctx, *row)
		return
	}

	o.stockConfirmed = true
	if o.state.Closed() { // this run has ended the order already: the stock goes back, and so does the money
		o.addUnresolved(o.attempts + 1)
		return
	}

	// Only an order in the state paying can be confirmed.
	if row != nil {
		o.load(*row)
	}
	if o.state == order.Pending || o.state == order.Backordered {
		o.apply(ctx, order.StockHeld, orderflow.ActorSystem, "")
	}
	if o.state == order.Reserved {
		o.attempts = max(o.attempts, 1)
		o.apply(ctx, order.Pay, orderflow.ActorSystem, "")
	}

	o.voidAttempts(ctx)
	switch {
	case o.state == order.Confirmed:
	case o.cancellation() != nil:
		o.cancel(ctx)
	default:
		reason := "the workflow was reset while the order was being paid, and nothing was captured"
		if o.localSteps() {
			reason = "the payment was interrupted, and nothing was captured"
		}
		o.end(ctx, order.GaveUp, orderflow.ActorSystem, reason)
	}
}

// voidAttempts voids the payments of an earlier execution, last first, until the provider answers that one was
// captured. That payment confirms the order (void). The earlier execution may have begun one payment more than it
// recorded.
func (o *orderRun) voidAttempts(ctx workflow.Context) {
	o.lastAsked = max(o.lastAsked, o.attempts+1)
	for attempt := o.attempts + 1; attempt > 0; attempt-- {
		if err := o.void(ctx, o.payment(attempt), 0); err != nil {
			o.recordFailedUndo(ctx, "void the payment", err)
		}
		if o.state == order.Confirmed {
			return
		}
	}
}

// confirmedByLostTask reports whether err says that the reservation is confirmed, and a lost task of this run confirmed
// it. The payment can then continue: its steps find what the lost task has done.
func (o *orderRun) confirmedByLostTask(ctx workflow.Context, err error) bool {
	confirmed := refusal(err) == orderflow.ErrReservationClosed && details[string](err) == orderflow.ReservationConfirmed
	return confirmed && o.localSteps() && !o.tookOver && o.ownOpenRow(ctx)
}

// ownOpenRow reports whether the order has no row, or an open row that this run has written. It waits for the orders
// database.
func (o *orderRun) ownOpenRow(ctx workflow.Context) bool {
	found, err := o.findRow(ctx)
	return err == nil && (found.Order == nil || found.Own && !found.Order.State.Settled())
}

// earlierRow returns the order's row if an earlier run has written it, or if a lost task of this run has settled it.
// Otherwise it returns nil. It waits for the orders database.
func (o *orderRun) earlierRow(ctx workflow.Context) *orderflow.RecordedOrder {
	o.recorder.waitAll(ctx)
	if o.recorder.earlier != nil {
		return o.recorder.earlier
	}

	found, err := o.findRow(ctx)
	if err != nil || found.Order == nil || found.Own && (!o.localSteps() || !found.Order.State.CarriedOut()) {
		return nil
	}
	return found.Order
}

// addUnresolved marks the payment attempts 1 to n as unresolved, so that finish voids or refunds them.
func (o *orderRun) addUnresolved(n int) {
	for attempt := range n {
		o.unresolved = append(o.unresolved, attempt+1)
	}
}

// findRow reads how the order is recorded. It waits for the orders database.
func (o *orderRun) findRow(ctx workflow.Context) (orderflow.FindOrderResult, error) {
	return findOrder(ctx, orderflow.FindOrderInput{
		OrderID:       o.in.OrderID,
		RunID:         workflow.GetInfo(ctx).WorkflowExecution.RunID,
		CorrelationID: o.in.CorrelationID,
	})
}

// findLostPayments waits until the order is recorded. It marks the payments that a lost task has begun as unresolved,
// and reports whether there are any.
func (o *orderRun) findLostPayments(ctx workflow.Context) bool {
	if !o.localSteps() {
		return false
	}
	o.recorder.waitAll(ctx)

	found := false
	for _, attempt := range o.recorder.intents {
		if attempt > o.lastAsked && !slices.Contains(o.lostAttempts, attempt) {
			o.lostAttempts = append(o.lostAttempts, attempt)
			o.unresolved = append(o.unresolved, attempt)
			found = true
		}
	}
	o.recorder.intents = nil
	return found
}

// voidUnresolved voids the unresolved payments, and refunds a payment that was captured. It leaves the payment that
// paid for a confirmed order.
func (o *orderRun) voidUnresolved(ctx workflow.Context) {
	attempts := o.unresolved
	o.unresolved = nil
	for _, attempt := range attempts {
		if attempt == o.capturedAttempt {
			continue
		}
		payment := o.payment(attempt)
		payment.Reason = "the order was not carried out"
		voided, err := o.voidByProvider(ctx, payment)
		switch {
		case err == nil && (voided.Provider == orderflow.ByHand || slices.Contains(o.lostAttempts, attempt)):
			o.noteVoided(ctx, payment, voided)
		case refusal(err) == orderflow.ErrPaymentCaptured:
			o.refundUnlessConfirmed(ctx, payment)
		case err != nil:
			o.recordFailedUndo(ctx, "void the payment", err)
		}
	}
}

// refundUnlessConfirmed refunds a captured payment, unless the order's row says that an earlier run has confirmed the
// order. Then this is the payment that paid for it.
func (o *orderRun) refundUnlessConfirmed(ctx workflow.Context, payment orderflow.PaymentInput) {
	o.recorder.waitAll(ctx)
	if o.recorder.earlier != nil {
		o.takeOver(ctx, *o.recorder.earlier)
	}

	if o.state.CarriedOut() && o.capturedAttempt == 0 {
		o.capturedAttempt = payment.Attempt
		return
	}
	o.refund(ctx, payment)
}

// refund refunds a captured payment of an order that was not carried out.
func (o *orderRun) refund(ctx workflow.Context, payment orderflow.PaymentInput) {
	payment.RefundKey = orderflow.RefundKey(payment.OrderID, payment.Attempt)
	res, byHand := o.refundOfInput(ctx, payment)
	if !byHand {
		var err error
		if res, err = o.refundByProvider(ctx, payment); err != nil {
			o.recordFailedUndo(ctx, "refund the payment", err)
			return
		}
	}
	taken := orderflow.PaymentResult{Provider: res.Provider}
	if res.Provider == orderflow.ByHand {
		taken.Provider = "" // the provider has refused the void, and that answer does not name it
	}
	o.recordPaymentStep(ctx, payment, orderflow.StepCapture, orderflow.PaymentCaptured, taken, "")
	o.recordPaymentStep(ctx, payment, orderflow.StepRefund, orderflow.PaymentRefunded, res, "")
	o.note(ctx, order.EventPaymentRefunded, orderflow.ActorSystem, "")
}
