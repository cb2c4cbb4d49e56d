package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
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

// unhurried is how long the beginning of a payment may go unrecorded.
const unhurried = 100 * time.Millisecond

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
			r.dawdle(ctx)
			in := orderflow.RecordInput{
				Order: r.input, View: r.view(), Entries: r.entries, Payments: r.payments,
				WorkflowID: info.WorkflowExecution.ID, RunID: info.WorkflowExecution.RunID,
				CorrelationID: correlationID,
			}
			fast := !r.holds(func(e order.Event) bool { return !repeatable[e] })
			r.entries, r.payments = nil, nil
			if _, err := recordOrder(ctx, in, fast); err != nil {
				r.failed = err
				return
			}
			r.recorded, r.input = in.View.Seq, nil
		}
	})
}

// repeatable are the events that come out the same when the workflow task that decided them is lost and executed
// again: what a step's success or a regular activity's answer has decided. They are recorded fast, from
// a local activity. Any other (a step that failed and might now succeed, an update that might now come
// second) is told to nobody before its task is in the history: a regular activity begins only then.
//
// What is repeatable may still differ when a dependency fails in that very moment; the
// later execution's record then overwrites what the lost one told (see orderstore).
var repeatable = map[order.Event]bool{
	order.EventReserved: true, order.EventPaymentStarted: true, order.EventPaymentDeclined: true,
	order.EventPaymentAbandoned: true, order.EventPaid: true, order.EventConfirmed: true,
}

// dawdle waits while there is only the beginning of a payment to tell: most are through in a moment, and
// recorded with it. A timer that fires, like a payment that ends, has made durable that it came first.
func (r *recorder) dawdle(ctx workflow.Context) {
	wanted := func() bool {
		return r.closing || r.holds(func(e order.Event) bool { return e != order.EventPaymentStarted })
	}
	if wanted() {
		return
	}
	ctx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	timer := workflow.NewTimerWithOptions(ctx, unhurried, workflow.TimerOptions{Summary: "record the payment's beginning"})
	_ = workflow.Await(ctx, func() bool { return wanted() || timer.IsReady() })
}

// holds reports whether an entry of such a kind waits to be recorded.
func (r *recorder) holds(such func(order.Event) bool) bool {
	return slices.ContainsFunc(r.entries, func(e orderflow.TimelineEntry) bool { return such(e.Event) })
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
