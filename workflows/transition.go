package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// apply lets an input act on the order by the table of internal/order and puts what happened into its
// timeline. An input that the table does not allow in this state is a defect of this code: it fails the
// workflow task, and a corrected worker can run the task again.
func (o *orderRun) apply(ctx workflow.Context, input order.Input, actor, reason string) {
	o.applyEvent(ctx, input, order.Decide(o.state, input).Event, 0, actor, reason)
}

// applyEvent is apply for an input that names its event. shipment is the number of the shipment that it concerns; 0:
// none.
func (o *orderRun) applyEvent(
	ctx workflow.Context, input order.Input, event order.Event, shipment int, actor, reason string,
) {
	rule := order.Decide(o.state, input)
	if rule.To == "" {
		panic(&order.ImpossibleError{State: o.state, Input: input})
	}
	from := o.state
	o.state, o.reason, o.by = rule.To, reason, actor
	o.enter(ctx, from, event, shipment, actor, reason)
}

// note puts an entry into the timeline without a change of state.
func (o *orderRun) note(ctx workflow.Context, event order.Event, actor, reason string) {
	o.noteShipment(ctx, event, 0, actor, reason)
}

// noteShipment is note for an event that concerns a shipment.
func (o *orderRun) noteShipment(ctx workflow.Context, event order.Event, shipment int, actor, reason string) {
	o.enter(ctx, o.state, event, shipment, actor, reason)
}

func (o *orderRun) enter(
	ctx workflow.Context, from order.State, event order.Event, shipment int, actor, reason string,
) {
	o.seq++
	o.recorder.add(orderflow.TimelineEntry{
		Seq:          o.seq,
		Event:        event,
		From:         from,
		State:        o.state,
		At:           workflow.Now(ctx),
		Actor:        actor,
		Reason:       reason,
		Attempt:      o.attempts,
		Shipment:     shipment,
		NextDeadline: o.deadline(),

		CorrelationID: o.laterRequest(ctx),
	}, orderflow.CauseOf(ctx))
	o.changedAt = workflow.Now(ctx)
	o.refreshDetails(ctx)
	if o.placedView == nil {
		v := o.view()
		o.placedView = &v
	}
}

// laterRequest returns the correlation id of the request that the context works for, or "" if it is the request that
// created the order. The order's row has that one.
func (o *orderRun) laterRequest(ctx workflow.Context) string {
	if id := orderflow.CorrelationID(ctx); id != o.in.CorrelationID {
		return id
	}
	return ""
}

// refuse returns why a request cannot be taken in the order's present state, or nil.
func (o *orderRun) refuse(input order.Input) error {
	why := order.Decide(o.state, input).Refusal
	if why == "" && input != order.Cancel && o.mailbox.unfinished(order.Pay) != nil {
		why = order.PaymentInProgress // the payment is accepted and waits for the loop
	}
	if why == "" && o.state.CarriedOut() {
		why = o.refuseFulfilment(input)
	}
	if why == "" {
		return nil
	}
	text := map[order.Refusal]string{
		order.NotReady:          "the stock is not decided yet; try again shortly",
		order.PaymentInProgress: "a payment is under way; look at the order before trying again",
		order.Overdue:           "the order has expired; place a new one",
		order.AwaitingStock:     "the order waits for stock; it can be paid once there is some",
		order.UnderReview:       "an operator must approve the order first; look at it again later",
		order.OnHold:            "the fulfilment is held; an operator must let it go on first",
		order.AlreadyShipped:    "a shipment has left; cancel the lines that have not, or return what arrives",
		order.InvalidState:      fmt.Sprintf("the order is %s, which does not allow %s", o.state, input),
	}[why]
	if instead := o.state.InsteadOfEdit(); input == order.Edit && instead != "" {
		text = instead
	}
	return temporal.NewNonRetryableApplicationError(text, string(why), nil, o.state)
}

// refuseFulfilment returns why a request about a paid order cannot be taken, or "".
func (o *orderRun) refuseFulfilment(input order.Input) order.Refusal {
	switch {
	case !o.fulfils():
		return order.InvalidState // the workflow is about to end
	case input == order.Return && !o.takesReturns():
		return order.NotReady // until the workflow ends or runs again
	case input == order.Cancel && o.shipments().left():
		return order.AlreadyShipped
	case input == order.Pick && o.fulfilment != nil && o.fulfilment.Hold != nil:
		return order.OnHold
	}
	return ""
}

// deadline is when the reservation or the wait for stock ends, or nil if the order has neither.
func (o *orderRun) deadline() *time.Time { return o.deadlineIn(o.state) }

func (o *orderRun) deadlineIn(state order.State) *time.Time {
	if o.expiresAt.IsZero() || !state.Holding() && state != order.Backordered {
		return nil
	}
	t := o.expiresAt
	return &t
}

// view is the order as updates and the state query answer it: it has a deadline only while stock is held or awaited.
func (o *orderRun) view() orderflow.View {
	v := o.recordedView()
	v.ExpiresAt = o.deadline()
	return v
}

// recordedView is view with the last deadline that the order had, which its row keeps.
func (o *orderRun) recordedView() orderflow.View {
	v := orderflow.View{
		OrderID:         o.in.OrderID,
		Number:          o.in.Number,
		RequestHash:     o.in.RequestHash,
		Seq:             o.seq,
		State:           o.state,
		Reason:          o.reason,
		ReservationID:   o.reservation,
		PaymentAttempts: o.attempts,
		Short:           o.short,
		RefusalCode:     o.refusalCode,
		ChangedAt:       o.changedAt,
		Fulfilment:      o.fulfilment,
		ActionURL:       o.actionURL,
		Idle:            o.idle(),
	}
	if !o.expiresAt.IsZero() {
		t := o.expiresAt
		v.ExpiresAt = &t
	}
	return v
}

// shown is what the search attributes say.
type shown struct {
	state    order.State
	deadline time.Time // zero for none
}

// show brings the details and the search attributes up to date. Each change of the attributes is an event in the
// history and rewrites a row of Temporal's visibility store, so the workflow calls show only before it waits for the
// next input.
func (o *orderRun) show(ctx workflow.Context) {
	o.refreshDetails(ctx)
	now := shown{state: o.state}
	attributes := []temporal.SearchAttributeUpdate{
		orderflow.AttrOrderStatus.ValueSet(string(o.state)),
		orderflow.AttrExpiresAt.ValueUnset(),
	}
	if d := o.deadline(); d != nil {
		now.deadline = *d
		attributes[1] = orderflow.AttrExpiresAt.ValueSet(*d)
	}
	if o.shown == now {
		return
	}
	o.shown = now
	if err := workflow.UpsertTypedSearchAttributes(ctx, attributes...); err != nil {
		workflow.GetLogger(ctx).Warn("cannot update the search attributes", "error", err)
	}
}
