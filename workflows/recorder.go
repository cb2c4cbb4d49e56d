package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// recorder writes what happens to an order into the orders database, in order, from a coroutine of
// its own: a database that is down delays the answer to a caller who waits for the record, and never a
// release of stock or money. Entries that pile up meanwhile are written together afterwards.
type recorder struct {
	input    *orderflow.OrderInput // sent until the first record has succeeded
	view     func() orderflow.View
	entries  []orderflow.TimelineEntry
	payments []orderflow.PaymentRecord
	after    int64 // seq of the row that this run has taken over from an earlier run; 0: none
	entered  int   // how many entries were ever added
	written  int   // how many of them are recorded, or need no record any more
	// earlier is the order's row if the database says that an earlier run of the workflow has written it. The
	// recorder writes nothing more until the order has taken over from that run, which sets earlier to nil.
	earlier *orderflow.RecordedOrder
	failed  error // a refusal that a retry cannot change
	begun   []int // payments that have begun, of a settled order, and whose outcome is not recorded
	// slowPayment says that a step of the payment did not succeed at once.
	slowPayment bool
	// expiryKnown says that inventory's clock has expired the reservation.
	expiryKnown bool
	local       bool // the steps of a payment are local activities first
	slow        bool // the database did not answer at once
	closing     bool
	stopped     bool
}

// paymentStartDelay is how long the beginning of a payment may go unrecorded.
const paymentStartDelay = 100 * time.Millisecond

// start runs the recorder until drain.
func (r *recorder) start(ctx workflow.Context) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	info, correlationID := workflow.GetInfo(ctx), r.input.CorrelationID
	workflow.Go(ctx, func(ctx workflow.Context) {
		defer func() { r.stopped = true }()
		for {
			_ = workflow.Await(ctx, func() bool { return r.earlier == nil && (len(r.entries) > 0 || r.closing) })
			if len(r.entries) == 0 || r.failed != nil {
				return
			}
			r.awaitPaymentOutcome(ctx)

			in := orderflow.RecordInput{
				Order:         r.input,
				View:          r.view(),
				Entries:       r.entries,
				Payments:      r.payments,
				After:         r.after,
				WorkflowID:    info.WorkflowExecution.ID,
				RunID:         info.WorkflowExecution.RunID,
				CorrelationID: correlationID,
			}
			// Repeatable events are recorded fast, from a local activity. Any other event is recorded by a regular
			// activity, which begins only when the task is in the history. So no reader sees the event before that.
			//
			// A repeatable event may still differ if a dependency fails at that very moment; the record of the later
			// execution then overwrites the record of the lost execution (see orderstore).
			fast := !r.holds(func(e order.Event) bool { return !r.repeats(e) })
			r.entries, r.payments = nil, nil

			res, err := recordOrder(ctx, in, fast, func() { r.slow = true })
			r.slow = false
			switch {
			case err != nil:
				r.failed = err
				return
			case res.Earlier != nil:
				r.earlier, r.input = res.Earlier, nil
				r.entries, r.payments = append(in.Entries, r.entries...), append(in.Payments, r.payments...)
			default:
				r.written, r.input, r.after, r.begun = r.written+len(in.Entries), nil, 0, res.Begun
			}
		}
	})
}

// paymentIsSlow lets the recorder write the beginning of a payment before its outcome.
func (r *recorder) paymentIsSlow() { r.slowPayment = true }

// repeats reports whether an event comes out the same when the task that decided it is executed again. A payment whose
// steps are local activities does when it took the money, because then every end of the order finds that
// (takeover.go). A payment that took nothing does not: a cancellation may come first the next time. An expiry does when
// inventory has said so: the next execution finds the order's row expired, and adopts that.
func (r *recorder) repeats(e order.Event) bool {
	switch {
	case !r.local:
	case e == order.EventPaymentDeclined, e == order.EventPaymentAbandoned:
		return false
	case e == order.EventExpired, e == order.EventStockReleased:
		return r.expiryKnown
	}
	return e.Repeatable()
}

// awaitPaymentOutcome waits while the beginning of a payment is all there is to record: most payments end in a moment,
// and their beginning and end are then recorded together. It waits until a step of the payment becomes slow. Orders of
// revision 0 wait for a timer instead; when the timer fires or the payment ends, the history keeps which of the two
// came first.
func (r *recorder) awaitPaymentOutcome(ctx workflow.Context) {
	wanted := func() bool {
		return r.closing || r.holds(func(e order.Event) bool { return e != order.EventPaymentStarted })
	}
	if wanted() {
		return
	}
	if r.local {
		_ = workflow.Await(ctx, func() bool { return wanted() || r.slowPayment })
		return
	}
	ctx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	timer := workflow.NewTimerWithOptions(ctx, paymentStartDelay,
		workflow.TimerOptions{Summary: "record the payment's beginning"})
	_ = workflow.Await(ctx, func() bool { return wanted() || timer.IsReady() })
}

// holds reports whether an entry whose event matches waits to be recorded.
func (r *recorder) holds(matches func(order.Event) bool) bool {
	return slices.ContainsFunc(r.entries, func(e orderflow.TimelineEntry) bool { return matches(e.Event) })
}

// add puts an entry in the queue.
func (r *recorder) add(e orderflow.TimelineEntry) {
	r.entries = append(r.entries, e)
	r.entered++
}

// replace replaces the entries that wait, when this run takes over from an earlier run. after is the seq of the row
// that the new entries follow. A caller who waits for an entry that was replaced waits for the new entries instead.
func (r *recorder) replace(entries []orderflow.TimelineEntry, after int64) {
	r.entries, r.after, r.earlier, r.closing = entries, after, nil, false
	r.entered = max(r.entered, r.written+len(entries))
	r.written = r.entered - len(entries)
}

// hasRow reports whether the order's row is known to exist.
func (r *recorder) hasRow() bool { return r.written > 0 || r.input == nil }

// troubled reports whether the order has to look after its record: an earlier run has written the row, or nothing
// can be recorded.
func (r *recorder) troubled() bool { return r.earlier != nil || r.failed != nil }

// wait returns once the first n entries are recorded, or the refusal.
func (r *recorder) wait(ctx workflow.Context, n int) error {
	if err := workflow.Await(ctx, func() bool { return r.written >= n || r.failed != nil }); err != nil {
		return err
	}
	return r.failed
}

// settle waits until everything that happened so far is recorded, or the order has to look after its record.
func (r *recorder) settle(ctx workflow.Context) {
	n := r.entered
	r.slowPayment = true // the beginning of a payment waits no longer
	_ = workflow.Await(ctx, func() bool { return r.written >= n || r.troubled() })
}

// drain waits until everything is recorded and the coroutine has ended.
func (r *recorder) drain(ctx workflow.Context) {
	r.closing = true
	_ = workflow.Await(ctx, func() bool { return r.stopped || r.troubled() })
}
