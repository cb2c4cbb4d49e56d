package workflows

import (
	"slices"

	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// This file is about the second run of an order. Temporal lets an operator reset a workflow to any point of its
// history: a new run begins there, and knows nothing of what the first run did after that point. An operator can also
// start an order again whose workflow has ended. Then only other systems know what the first run did:
//
//   - inventory answers a reserve, an extension, an expiry or a release with `confirmed`: an earlier run has taken the
//     stock (continueEarlier);
//   - the orders database refuses to write over a row that an earlier run has written, and returns that row
//     (lookAfterRecord). The order authorises no payment before the first record is answered (pay);
//   - the payment provider answers a void with `captured`: the order is paid (end).
//
// From there on the row decides. If the earlier run has settled the order, this run adopts that end and undoes only
// what that end should have undone. If the order is still open, this run goes on from the row: it continues the row's
// numbers, its timeline (with a `taken_up` entry) and its count of payments, so that every payment has its own key.
// An order that was never reset needs no answer of these steps.

// lookAfterRecord does what the recorder cannot do by itself: it takes over from an earlier run, or gives up an order
// that cannot be recorded.
func (o *orderRun) lookAfterRecord(ctx workflow.Context) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	if earlier := o.recorder.earlier; earlier != nil {
		o.takeOver(ctx, *earlier)
		return
	}
	o.giveUpRecording(ctx)
}

// takeOver goes on from the row that an earlier run has written.
func (o *orderRun) takeOver(ctx workflow.Context, row orderflow.RecordedOrder) {
	if row.State.Settled() {
		o.adopt(ctx, row)
		return
	}
	o.tookOver = true
	o.leaveOver(row.PaymentAttempts)
	if o.state == order.Paying { // this run has not asked the provider for this payment yet
		o.attempts = row.PaymentAttempts + 1
	} else {
		o.attempts = max(o.attempts, row.PaymentAttempts)
		o.leftovers = append(o.leftovers, o.attempts+1) // the earlier run may have begun one payment more than it recorded
	}
	o.declines = max(o.declines, row.Declines)
	entries := o.entriesAfter(ctx, row)
	o.recorder.replace(entries, row.Seq)
	o.seq = row.Seq + int64(len(entries))
}

// entriesAfter returns the entries that this run has not recorded yet, numbered so that they follow the row. It leaves
// out the entries that led to the row's state, and begins with an entry that leads from that state to the rest.
func (o *orderRun) entriesAfter(ctx workflow.Context, row orderflow.RecordedOrder) []orderflow.TimelineEntry {
	rest := o.recorder.entries
	for len(rest) > 0 && !rest[0].From.Holding() && !rest[0].State.Settled() {
		rest = rest[1:]
	}
	state := o.state
	if len(rest) > 0 {
		state = rest[0].From
	}

	var out []orderflow.TimelineEntry
	add := func(e orderflow.TimelineEntry) {
		e.Seq = row.Seq + int64(len(out)) + 1
		out = append(out, e)
	}
	if state.Holding() {
		from := row.State
		if from == order.Pending && state == order.Paying { // the table has no transition from pending to paying
			add(o.takenUp(ctx, from, order.Reserved))
			from = order.Reserved
		}
		add(o.takenUp(ctx, from, state))
	} else if len(rest) > 0 { // the order ended before it held anything
		rest[0].From = row.State
	}
	for _, e := range rest {
		if e.Attempt > 0 {
			e.Attempt = o.attempts
		}
		add(e)
	}
	return out
}

func (o *orderRun) takenUp(ctx workflow.Context, from, to order.State) orderflow.TimelineEntry {
	return orderflow.TimelineEntry{
		Event:        order.EventTakenUp,
		From:         from,
		State:        to,
		At:           workflow.Now(ctx),
		Actor:        orderflow.ActorTemporal,
		Reason:       "the workflow began again after a reset",
		Attempt:      o.attempts,
		NextDeadline: o.deadlineIn(to),
	}
}

// adopt ends this run as an earlier run has ended the order, and drops what this run would have recorded. If the order
// was not carried out, its stock and money go back now: the earlier run may have been interrupted before it did that.
func (o *orderRun) adopt(ctx workflow.Context, row orderflow.RecordedOrder) {
	o.leaveOver(max(row.PaymentAttempts, o.attempts) + 1)
	o.adopted = true
	o.goTo(row)
	o.undo.reset()
	if !o.state.CarriedOut() {
		o.tookStock = true // the stock goes back, also if an earlier run took it
		o.undo.add("give the stock back", o.giveStockBack)
	}
	workflow.SetCurrentDetails(ctx, o.describe())
}

// goTo gives this run the state of the row, and drops what this run has not recorded.
func (o *orderRun) goTo(row orderflow.RecordedOrder) {
	o.state, o.seq, o.reason, o.by = row.State, row.Seq, row.Reason, orderflow.ActorSystem
	o.attempts, o.declines = row.PaymentAttempts, row.Declines
	if row.ReservationID != nil {
		o.reservation = row.ReservationID
	}
	if row.ExpiresAt != nil {
		o.expiresAt = *row.ExpiresAt
	}
	if o.placed == nil {
		v := o.view()
		o.placed = &v
	}
	o.recorder.payments = nil
	o.recorder.replace(nil, row.Seq)
}

// continueEarlier goes on if an earlier run has taken the stock. If that run has settled the order, this run adopts
// its end. Else the earlier run was interrupted between taking the stock and recording the order as paid, and the
// provider decides: if a payment is captured the order is paid, else the order has failed, and the stock goes back.
func (o *orderRun) continueEarlier(ctx workflow.Context) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	row := o.earlierRow(ctx)
	if row != nil && row.State.Settled() {
		o.adopt(ctx, *row)
		return
	}
	o.tookStock = true
	if o.state.Closed() { // the stock goes back, and so does the money (voidLeftovers)
		o.leaveOver(o.attempts + 1)
		return
	}
	if row != nil {
		o.goTo(*row)
	}
	if o.state == order.New || o.state == order.Pending {
		o.apply(ctx, order.StockHeld, orderflow.ActorSystem, "")
	}
	if o.state == order.Reserved {
		o.attempts = max(o.attempts, 1)
		o.apply(ctx, order.Pay, orderflow.ActorSystem, "")
	}
	o.asked = max(o.asked, o.attempts+1)
	for attempt := o.attempts + 1; attempt > 0; attempt-- {
		if err := o.void(ctx, o.payment(attempt), 0); err != nil {
			o.compensationFailed(ctx)("void the payment", err)
		}
		if o.state == order.Confirmed {
			return
		}
	}
	if o.cancellation() != nil {
		o.cancel(ctx)
		return
	}
	reason := "the workflow was reset while the order was being paid, and nothing was captured"
	if o.local() {
		reason = "the payment was interrupted, and nothing was captured"
	}
	o.end(ctx, order.GaveUp, orderflow.ActorSystem, reason)
}

// takenByLostTask reports whether the reservation is confirmed because a workflow task of this run, which was lost, has
// confirmed it for a payment. The payment then goes on: its steps find what the lost task has done.
func (o *orderRun) takenByLostTask(ctx workflow.Context, err error) bool {
	confirmed := refusal(err) == orderflow.ErrReservationClosed && details[string](err) == orderflow.ReservationConfirmed
	return confirmed && o.local() && !o.tookOver && o.ownRow(ctx)
}

// ownRow reports whether no other run of the workflow has written the order's row, and the row is still open. It waits
// for the orders database.
func (o *orderRun) ownRow(ctx workflow.Context) bool {
	found, err := o.findRow(ctx)
	return err == nil && (found.Order == nil || found.Own && !found.Order.State.Settled())
}

// earlierRow is the order's row if an earlier run has written it, or a lost task of this run has settled the order;
// else nil. It waits for the orders database.
func (o *orderRun) earlierRow(ctx workflow.Context) *orderflow.RecordedOrder {
	if o.recorder.settle(ctx); o.recorder.earlier != nil {
		return o.recorder.earlier
	}
	found, err := o.findRow(ctx)
	if err != nil || found.Order == nil || found.Own && (!o.local() || !found.Order.State.CarriedOut()) {
		return nil
	}
	return found.Order
}

// leaveOver leaves the first n payments for finish to resolve: this run does not know their outcomes.
func (o *orderRun) leaveOver(n int) {
	for attempt := range n {
		o.leftovers = append(o.leftovers, attempt+1)
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

// findBegun waits until the order is recorded, and reports whether the record found payments that this run does not
// know: a lost task has begun them. They are left for voidLeftovers.
func (o *orderRun) findBegun(ctx workflow.Context) bool {
	if !o.local() {
		return false
	}
	o.recorder.settle(ctx)
	found := false
	for _, attempt := range o.recorder.begun {
		if attempt > o.asked && !slices.Contains(o.lost, attempt) {
			o.lost, o.leftovers = append(o.lost, attempt), append(o.leftovers, attempt)
			found = true
		}
	}
	o.recorder.begun = nil
	return found
}

// voidLeftovers sets the money of earlier runs' payments free, and refunds what they took. If the order is
// confirmed, the captured payment belongs to it and stays.
func (o *orderRun) voidLeftovers(ctx workflow.Context) {
	attempts := o.leftovers
	o.leftovers = nil
	for _, attempt := range attempts {
		if attempt == o.paidBy {
			continue
		}
		payment := o.payment(attempt)
		payment.Reason = "the order was not carried out"
		voided, err := voidPayment(ctx, payment, 0)
		switch {
		case err == nil && slices.Contains(o.lost, attempt):
			o.noteVoided(ctx, payment, voided)
		case refusal(err) == orderflow.ErrPaymentCaptured:
			o.refundUnlessConfirmed(ctx, payment)
		case err != nil:
			o.compensationFailed(ctx)("void the payment", err)
		}
	}
}

// refundUnlessConfirmed gives back what a payment took, unless the order's row says that an earlier run has confirmed
// the order with this payment.
func (o *orderRun) refundUnlessConfirmed(ctx workflow.Context, payment orderflow.PaymentInput) {
	if o.recorder.settle(ctx); o.recorder.earlier != nil {
		o.takeOver(ctx, *o.recorder.earlier)
	}
	if o.state.CarriedOut() && o.paidBy == 0 {
		o.paidBy = payment.Attempt
		return
	}
	o.refund(ctx, payment)
}

// refund gives back what a payment took from a customer whose order was not carried out.
func (o *orderRun) refund(ctx workflow.Context, payment orderflow.PaymentInput) {
	payment.RefundKey = orderflow.RefundKey(payment.OrderID, payment.Attempt)
	res, err := refundPayment(ctx, payment)
	if err != nil {
		o.compensationFailed(ctx)("refund the payment", err)
		return
	}
	o.recordPaymentStep(ctx, payment, orderflow.StepRefund, orderflow.PaymentRefunded, res, "")
	o.note(ctx, order.EventPaymentRefunded, orderflow.ActorSystem, "")
}

// giveUpRecording undoes an order that cannot be recorded: the database refuses it for good, or the row belongs to
// another request. It marks the order for operators.
//
// If the row belongs to another request, an operator has started this run with an input of their own. Then the stock
// may belong to the row's order, and this run undoes its steps only if that order has no stock.
func (o *orderRun) giveUpRecording(ctx workflow.Context) {
	workflow.GetLogger(ctx).Error("the order cannot be recorded and is undone", "error", o.recorder.failed)
	o.unrecorded = true
	markNeedsOperator(ctx, true)

	if refusal(o.recorder.failed) == orderflow.ErrRecordConflict && o.rowHoldsStock(ctx) {
		o.undo.reset()
	}
	if o.state == order.Confirmed {
		o.leftovers, o.paidBy = append(o.leftovers, o.paidBy), 0
		o.undo.add("give the stock back", o.giveStockBack)
	}
	if !o.state.Closed() {
		o.state, o.reason, o.by = order.Failed, "the order could not be recorded", orderflow.ActorSystem
		o.undo.attempt(ctx, o.compensationFailed(ctx))
	}
}

// rowHoldsStock reports whether the order in the row has its stock, held or taken. It waits for the orders database.
func (o *orderRun) rowHoldsStock(ctx workflow.Context) bool {
	found, err := o.findRow(ctx)
	return err != nil || found.Order != nil && (found.Order.State.Holding() || found.Order.State.CarriedOut())
}

// tellFailure records the failure of an order that has a row and whose last record was refused. The record holds
// as little as possible; if the database refuses it too, only the workflow shows the failure.
func (o *orderRun) tellFailure(ctx workflow.Context) {
	found, err := o.findRow(ctx)
	if err != nil || found.Order == nil || found.Order.State.Settled() {
		return
	}
	if refusal(o.recorder.failed) == orderflow.ErrRecordConflict {
		return
	}

	row := found.Order
	o.state, o.seq = order.Failed, row.Seq+1
	execution := workflow.GetInfo(ctx).WorkflowExecution
	if _, err := recordOrder(ctx, orderflow.RecordInput{
		View:  o.view(),
		After: row.Seq,
		Entries: []orderflow.TimelineEntry{{
			Seq:    o.seq,
			Event:  order.EventFailed,
			From:   row.State,
			State:  order.Failed,
			At:     workflow.Now(ctx),
			Actor:  orderflow.ActorSystem,
			Reason: o.reason,
		}},
		WorkflowID:    execution.ID,
		RunID:         execution.RunID,
		CorrelationID: o.in.CorrelationID,
	}, false, nil); err != nil {
		workflow.GetLogger(ctx).Error("the failure of the order cannot be recorded either", "error", err)
	}
}
