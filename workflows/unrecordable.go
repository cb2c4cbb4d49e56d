package workflows

import (
	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// undoUnrecordable undoes an order that cannot be recorded, because the database refuses it for good or the row belongs
// to another request. It marks the order for operators.
//
// A row belongs to another request if an operator started this run with another input. The reserved stock may then
// belong to the order in the row. So this run undoes its steps only if the order in the row has no stock.
func (o *orderRun) undoUnrecordable(ctx workflow.Context) {
	workflow.GetLogger(ctx).Error("the order cannot be recorded and is undone",
		"order_number", o.in.Number, "error", o.recorder.failed)
	o.unrecordable = true
	markNeedsOperator(ctx, true)

	if refusal(o.recorder.failed) == orderflow.ErrRecordConflict && o.rowHoldsStock(ctx) {
		o.undo.reset()
	}
	if o.fulfilment != nil && o.rowIsPaid(ctx) {
		return // the warehouse has the order: the workflow fails, and the adoption goes on from what is recorded
	}
	if o.fulfilment != nil || o.state == order.Confirmed {
		o.fulfilment = nil
		o.unresolved = append(o.unresolved, o.capturedAttempt)
		o.capturedAttempt = 0
		o.undo.add("give the stock back", o.undoReserve)
	}
	if !o.state.Closed() {
		o.state, o.reason, o.by = order.Failed, "the order could not be recorded", orderflow.ActorSystem
		o.undo.attempt(ctx, o.recordFailedUndo)
	}
}

// rowIsPaid reports whether the row has the order as paid, or cannot be read. It waits for the orders database.
func (o *orderRun) rowIsPaid(ctx workflow.Context) bool {
	found, err := o.findRow(ctx)
	return err != nil || found.Order != nil && found.Order.State.CarriedOut()
}

// rowHoldsStock reports whether the order in the row has stock, reserved or confirmed. If the row cannot be read, it
// reports true, so that nothing is undone. It waits for the orders database.
func (o *orderRun) rowHoldsStock(ctx workflow.Context) bool {
	found, err := o.findRow(ctx)
	return err != nil || found.Order != nil && (found.Order.State.Holding() || found.Order.State.CarriedOut())
}

// recordFailure writes the state failed into the row of an order whose last record the database refused. This record
// has only the fields that it must have. If the database refuses it too, only the workflow shows the failure.
func (o *orderRun) recordFailure(ctx workflow.Context) {
	found, err := o.findRow(ctx)
	if err != nil || refusal(o.recorder.failed) == orderflow.ErrRecordConflict {
		return
	}
	row := orderflow.RecordedOrder{State: order.Pending} // as the api inserted it
	var first *orderflow.OrderInput
	if found.Order != nil {
		row = *found.Order
	} else {
		first = &o.in
	}
	if row.State.Settled() {
		return
	}

	o.state, o.seq = order.Failed, row.Seq+1
	execution := workflow.GetInfo(ctx).WorkflowExecution
	if _, err := recordOrder(ctx, orderflow.RecordInput{
		Order: first,
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
		workflow.GetLogger(ctx).Error("the failure of the order cannot be recorded either",
			"order_number", o.in.Number, "error", err)
	}
}
