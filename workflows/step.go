package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"holdfast/workflows/orderflow"
)

// This file decides which commands a workflow issues: a change of a time-out is safe, a change of the
// sequence of activities or timers breaks the replay of open orders.

const (
	// fastBudget bounds the local attempt at a step. Two of them fit into the 4 s that the api waits
	// for a new reservation, and it stays well below the workflow task's time-out of 10 s.
	fastBudget = 1500 * time.Millisecond
	// attemptTimeout bounds one attempt of the regular activity behind it. The clients of inventory
	// and of the payment provider give up after 10 s by themselves.
	attemptTimeout = 15 * time.Second
	// briefBudget bounds a step that is not worth waiting for: a later step does its work.
	briefBudget = 2 * time.Second
	// patience is how long a step may retry before it is marked for operators.
	patience = 5 * time.Minute
)

// retryForever retries with a growing pause until the answer is known. It is for steps that must
// happen: an outage of any length delays an order and loses none.
var retryForever = &temporal.RetryPolicy{
	InitialInterval:    500 * time.Millisecond,
	BackoffCoefficient: 2,
	MaximumInterval:    10 * time.Second,
}

// step describes one call of an activity.
type step struct {
	activity string
	summary  string        // what the Web UI shows, at most 200 bytes; it is no part of the command
	queue    string        // of the regular activity; "" means the workflow's own
	within   time.Duration // of the regular activity with all its retries; 0 means without limit
	noFast   bool          // skip the local attempt
	brief    bool          // give up after briefBudget
	byHand   bool          // an operator may cancel it and do it by hand (unlessByHand)
	onSlow   func()        // called once when the local attempt failed and the durable one begins
}

// execute runs a step: first as a local activity, which costs one event and no queue. If that failed for
// a reason that may pass, execute runs a regular activity, which outlives crashes and outages.
// A business refusal (a non-retryable error) and a cancellation are final at once. A local attempt
// that timed out may still take effect later, so every activity called here is idempotent.
func execute[Out any](ctx workflow.Context, s step, in any) (Out, error) {
	var out Out
	if !s.noFast {
		fast := workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
			ScheduleToCloseTimeout: fastBudget,
			RetryPolicy:            &temporal.RetryPolicy{MaximumAttempts: 1},
			Summary:                s.summary,
		})
		err := workflow.ExecuteLocalActivity(fast, s.activity, in).Get(fast, &out)
		if err == nil || isFinal(err) {
			return out, err
		}
	}
	if s.onSlow != nil {
		s.onSlow()
	}
	if s.brief {
		s.within = briefBudget
	}
	if s.within > 0 {
		err := durable(ctx, s, s.within, in, &out)
		return out, err
	}
	// The first series of attempts ends only so that operators learn of an order that is stuck.
	err := durable(ctx, s, patience, in, &out)
	if err == nil || isFinal(err) || s.byHand && ctx.Err() != nil {
		return out, err
	}
	markNeedsOperator(ctx, true)
	err = durable(ctx, s, 0, in, &out)
	markNeedsOperator(ctx, false)
	return out, err
}

// timerName names a timer by what happens then, and when.
func timerName(what string, at time.Time) string { return what + " at " + orderflow.Time(at) }

// durable runs the step as a regular activity, retried within the given time; 0 means without limit.
func durable(ctx workflow.Context, s step, within time.Duration, in, out any) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              s.queue,
		StartToCloseTimeout:    attemptTimeout,
		ScheduleToCloseTimeout: within,
		RetryPolicy:            retryForever,
		WaitForCancellation:    s.byHand, // an attempt that runs may still succeed
		Summary:                s.summary,
	})
	return workflow.ExecuteActivity(ctx, s.activity, in).Get(ctx, out)
}

// operatorNeeds counts why an order needs an operator, so that a step that was only slow does not take back the mark of
// a refund that was refused.
type operatorNeeds struct{ open int }

type operatorNeedsKey struct{}

// countingNeeds returns a context in which markNeedsOperator counts. Orders of older revisions do not count.
func countingNeeds(ctx workflow.Context) workflow.Context {
	return workflow.WithValue(ctx, operatorNeedsKey{}, &operatorNeeds{})
}

// markNeedsOperator sets a search attribute by which a list finds every stuck order. needed is true when a reason
// arises, and false when it is gone.
func markNeedsOperator(ctx workflow.Context, needed bool) {
	if needs, counts := ctx.Value(operatorNeedsKey{}).(*operatorNeeds); counts {
		if needed {
			needs.open++
		} else if needs.open--; needs.open > 0 {
			return // for another reason
		}
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, orderflow.AttrNeedsOperator.ValueSet(needed)); err != nil {
		workflow.GetLogger(ctx).Warn("cannot mark the order for operators", "error", err)
	}
}

// isFinal reports whether trying again cannot change the answer.
func isFinal(err error) bool {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return app.NonRetryable()
	}
	return temporal.IsCanceledError(err)
}

// refusal returns the type of a business refusal, or "" for any other error.
func refusal(err error) string {
	var app *temporal.ApplicationError
	if errors.As(err, &app) && app.NonRetryable() {
		return app.Type()
	}
	return ""
}

// details decodes the first detail of a business refusal; the zero value stands for none.
func details[T any](err error) T {
	var out T
	var app *temporal.ApplicationError
	if errors.As(err, &app) && app.HasDetails() {
		err := app.Details(&out) // a detail of another type counts as none
		var encrypted interface{ LacksKey() }
		if errors.As(err, &encrypted) {
			panic(err) // fails the workflow task, which Temporal repeats, and not the order
		}
	}
	return out
}
