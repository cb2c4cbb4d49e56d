package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// recorder writes an order's timeline and payments into the orders database, one record after the other, from a
// coroutine of its own. If the database is down, a caller who waits for the record waits longer, but the workflow
// releases stock and money without delay. The recorder later writes the entries of that time in one record.
type recorder struct {
	input    *orderflow.OrderInput // sent with the first record; nil once the row exists
	view     func() orderflow.View
	entries  []orderflow.TimelineEntry // not sent yet
	payments []orderflow.PaymentRecord // not sent yet
	cause    orderflow.Cause           // of the last entry
	country  string                    // of the order's address
	contents *orderflow.Contents       // changed and not sent yet; nil: they stay as they are recorded
	after    int64                     // seq of the row of an earlier run that the next record follows; 0: none

	added   int // how many entries were ever added
	written int // how many of them are recorded, or were replaced (replace)

	// earlier is the order's row if the database has answered that an earlier run wrote it, or that a lost execution of
	// this run settled it. The recorder writes nothing until the order has taken over from the row (replace).
	earlier *orderflow.RecordedOrder
	failed  error // the database's final refusal; the recorder writes nothing more
	intents []int // payments of a settled order that were begun and have no recorded outcome

	localSteps  bool // the steps of a payment are local activities first
	slowPayment bool // a step of the payment did not succeed at the first attempt
	expiryKnown bool // inventory has answered that the reservation is expired
	slow        bool // a regular activity writes the current record
	closing     bool // drain was called
	stopped     bool // the coroutine has ended
}

// paymentStartDelay is how long the recorder waits for the outcome of a payment before it records the payment's start.
const paymentStartDelay = 100 * time.Millisecond

// start starts the recorder's coroutine. It ends once everything is recorded after drain, or at a final refusal.
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
				Contents:      r.contents,
				WorkflowID:    info.WorkflowExecution.ID,
				RunID:         info.WorkflowExecution.RunID,
				CorrelationID: correlationID,
			}
			if in.View.Fulfilment != nil {
				in.ShipCountry = r.country
			}
			fast := r.allRepeatable()
			r.entries, r.payments, r.contents = nil, nil, nil
			res, err := recordOrder(orderflow.CausedBy(ctx, r.cause), in, fast, func() { r.slow = true })
			r.slow = false

			switch {
			case err != nil:
				r.failed = err
				return
			case res.Earlier != nil: // nothing was written
				r.earlier = res.Earlier
				r.input = nil
				r.entries = append(in.Entries, r.entries...)
				r.payments = append(in.Payments, r.payments...)
				if r.contents == nil {
					r.contents = in.Contents
				}
			default:
				r.written += len(in.Entries)
				r.input = nil
				r.after = 0
				r.intents = res.Begun
			}
		}
	})
}

// paymentIsSlow makes the recorder write the start of a payment before its outcome.
func (r *recorder) paymentIsSlow() { r.slowPayment = true }

// isRepeatable is Event.Repeatable, with the exceptions for an order whose payment steps are local activities.
//
//   - A payment that captured the money is repeatable: however the second execution ends the order, it finds the
//     captured payment (takeover.go).
//   - A payment that captured nothing is not: a cancellation may come first in the second execution.
//   - An expiry is repeatable if inventory has answered it: the second execution finds the order's row expired and
//     adopts it.
func (r *recorder) isRepeatable(e order.Event) bool {
	if r.localSteps {
		switch e {
		case order.EventPaymentDeclined, order.EventPaymentAbandoned:
			return false
		case order.EventExpired, order.EventStockReleased:
			return r.expiryKnown
		default: // as for every order
		}
	}
	return e.Repeatable()
}

// allRepeatable reports whether every unrecorded entry has a repeatable event. The recorder then records them fast,
// from a local activity. It records a tentative event from a regular activity: Temporal starts that only after the
// workflow task is in the history, so no reader sees an event that the workflow may still change.
func (r *recorder) allRepeatable() bool {
	return !r.has(func(e order.Event) bool { return !r.isRepeatable(e) })
}

// awaitPaymentOutcome delays a record that would only say that a payment has started, until the payment ends or one of
// its steps is slow. Most payments end at once, and then one record has both the start and the outcome. An order of
// revision 0 waits for a timer in place of a slow step.
func (r *recorder) awaitPaymentOutcome(ctx workflow.Context) {
	ready := func() bool {
		return r.closing || r.has(func(e order.Event) bool { return e != order.EventPaymentStarted })
	}
	if ready() {
		return
	}

	if r.localSteps {
		_ = workflow.Await(ctx, func() bool { return ready() || r.slowPayment })
		return
	}

	ctx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	timer := workflow.NewTimerWithOptions(ctx, paymentStartDelay,
		workflow.TimerOptions{Summary: "record the payment's beginning after 100 ms"})
	_ = workflow.Await(ctx, func() bool { return ready() || timer.IsReady() })
}

// has reports whether the event of an unrecorded entry matches.
func (r *recorder) has(matches func(order.Event) bool) bool {
	return slices.ContainsFunc(r.entries, func(e orderflow.TimelineEntry) bool { return matches(e.Event) })
}

// add puts an entry in the queue.
func (r *recorder) add(e orderflow.TimelineEntry, cause orderflow.Cause) {
	r.cause = cause
	r.entries = append(r.entries, e)
	r.added++
}

// replace replaces the unrecorded entries when this run takes over from an earlier run. after is the seq of the row
// that the new entries follow. A caller who waits for an entry that was replaced waits for the new entries instead.
func (r *recorder) replace(entries []orderflow.TimelineEntry, after int64) {
	r.entries = entries
	r.after = after
	r.earlier = nil
	r.closing = false

	// Callers wait until written reaches a number of entries. Neither count may go down, and exactly the new entries are
	// unwritten afterwards.
	r.added = max(r.added, r.written+len(entries))
	r.written = r.added - len(entries)
}

// hasRow reports whether the order's row is known to exist.
func (r *recorder) hasRow() bool { return r.written > 0 || r.input == nil }

// idle reports whether everything is recorded.
func (r *recorder) idle() bool { return r.written == r.added && !r.blocked() }

// blocked reports whether the recorder cannot write until the order has handled the cause: an earlier run has written
// the row, or the database refuses the record for good.
func (r *recorder) blocked() bool { return r.earlier != nil || r.failed != nil }

// wait waits until the first n entries are recorded, and returns the error if the database refuses them.
func (r *recorder) wait(ctx workflow.Context, n int) error {
	if err := workflow.Await(ctx, func() bool { return r.written >= n || r.failed != nil }); err != nil {
		return err
	}
	return r.failed
}

// waitAll waits until all entries added so far are recorded, or the recorder is blocked.
func (r *recorder) waitAll(ctx workflow.Context) {
	n := r.added
	r.slowPayment = true // do not wait for the payment's outcome
	_ = workflow.Await(ctx, func() bool { return r.written >= n || r.blocked() })
}

// drain waits until everything is recorded and the coroutine has ended, or the recorder is blocked.
func (r *recorder) drain(ctx workflow.Context) {
	r.closing = true
	_ = workflow.Await(ctx, func() bool { return r.stopped || r.blocked() })
}
