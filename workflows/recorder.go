package workflows

import (
	"go.temporal.io/sdk/workflow"

	"holdfast/workflows/orderflow"
)

// recorder writes what happens to an order into the orders database, in order, from a coroutine of
// its own: a database that is down delays the answer to whoever waits for the record, and never a
// release of stock or money. What piles up meanwhile is written at once afterwards.
type recorder struct {
	input    *orderflow.OrderInput // sent until the first record has succeeded
	view     func() orderflow.View
	entries  []orderflow.TimelineEntry
	payments []orderflow.PaymentRecord
	recorded int64 // seq of the last entry that is known to be recorded
	failed   error // a refusal: the row belongs to another request
	closing  bool
	stopped  bool
}

// start runs the recorder until drain.
func (r *recorder) start(ctx workflow.Context) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	info, correlationID := workflow.GetInfo(ctx), r.input.CorrelationID
	workflow.Go(ctx, func(ctx workflow.Context) {
		defer func() { r.stopped = true }()
		for {
			_ = workflow.Await(ctx, func() bool { return len(r.entries) > 0 || r.closing })
			if len(r.entries) == 0 || r.failed != nil {
				return
			}
			in := orderflow.RecordInput{
				Order: r.input, View: r.view(), Entries: r.entries, Payments: r.payments,
				WorkflowID: info.WorkflowExecution.ID, RunID: info.WorkflowExecution.RunID,
				CorrelationID: correlationID,
			}
			r.entries, r.payments = nil, nil
			if _, err := recordOrder(ctx, in); err != nil {
				r.failed = err
				return
			}
			r.recorded, r.input = in.View.Seq, nil
		}
	})
}

// wait returns once the order is recorded up to seq, or the refusal.
func (r *recorder) wait(ctx workflow.Context, seq int64) error {
	if err := workflow.Await(ctx, func() bool { return r.recorded >= seq || r.failed != nil }); err != nil {
		return err
	}
	return r.failed
}

// drain waits until everything is recorded and the coroutine has ended.
func (r *recorder) drain(ctx workflow.Context) {
	r.closing = true
	_ = workflow.Await(ctx, func() bool { return r.stopped })
}
