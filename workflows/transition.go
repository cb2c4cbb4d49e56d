package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// move brings the order into its next state and puts an entry into its timeline. A transition that
// the table does not allow is a defect of this code: it fails the workflow task, which a corrected
// worker carries on.
func (o *orderRun) move(ctx workflow.Context, next order.State, event orderflow.Event, reason string) {
	o.moveBy(ctx, next, event, orderflow.ActorSystem, reason)
}

func (o *orderRun) moveBy(ctx workflow.Context, next order.State, event orderflow.Event, actor, reason string) {
	if !o.state.CanBecome(next) {
		panic(&order.TransitionError{From: o.state, To: next})
	}
	o.state, o.reason = next, reason
	o.note(ctx, event, actor, reason)
	workflow.SetCurrentDetails(ctx, o.describe())
}

// note puts an entry into the timeline without a change of state.
func (o *orderRun) note(ctx workflow.Context, event orderflow.Event, actor, reason string) {
	o.seq++
	o.recorder.entries = append(o.recorder.entries, orderflow.TimelineEntry{
		Seq: o.seq, Event: event, State: o.state, At: workflow.Now(ctx), Actor: actor, Reason: reason,
		Attempt: o.attempts, NextDeadline: o.deadline(),
	})
	if o.placed == nil {
		v := o.view()
		o.placed = &v
	}
}

// deadline is when the reservation ends, while the order has one that can.
func (o *orderRun) deadline() *time.Time {
	if o.expiresAt.IsZero() || (o.state != order.Reserved && o.state != order.Paying) {
		return nil
	}
	t := o.expiresAt
	return &t
}

func (o *orderRun) view() orderflow.View {
	v := orderflow.View{
		OrderID: o.in.OrderID, RequestHash: o.in.RequestHash, Seq: o.seq, State: o.state, Reason: o.reason,
		ReservationID: o.reservation, PaymentAttempts: o.attempts, Short: o.short,
	}
	if !o.expiresAt.IsZero() {
		t := o.expiresAt
		v.ExpiresAt = &t
	}
	return v
}

// show brings the search attributes up to date. Each change is an event, so this is called only
// where an order rests.
func (o *orderRun) show(ctx workflow.Context) {
	if o.shown == o.state {
		return
	}
	o.shown = o.state
	attributes := []temporal.SearchAttributeUpdate{orderflow.AttrOrderStatus.ValueSet(string(o.state)), orderflow.AttrExpiresAt.ValueUnset()}
	if d := o.deadline(); d != nil {
		attributes[1] = orderflow.AttrExpiresAt.ValueSet(*d)
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, attributes...); err != nil {
		workflow.GetLogger(ctx).Warn("cannot update the search attributes", "error", err)
	}
}

// describe is what an operator reads on the workflow's page: markdown, no personal data.
func (o *orderRun) describe() string {
	text := fmt.Sprintf("**%s**, %s, %d line(s)", o.state, o.in.Total, len(o.in.Lines))
	if o.reason != "" {
		text += "\n\n" + o.reason
	}
	if d := o.deadline(); d != nil {
		text += "\n\nExpires " + d.UTC().Format(time.RFC3339)
	}
	return text
}
