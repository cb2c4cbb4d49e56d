package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// An order for which a rule of the api asks for review holds its stock in state in_review until an operator approves
// it, somebody cancels it, or its deadline passes: without an approval it is never paid. Half of the time before the
// deadline, the order is marked for operators.

// reviewIsLateAt returns when operators are told that an order still waits for review; false if that is not to come.
func (o *orderRun) reviewIsLateAt() (time.Time, bool) {
	if o.state != order.InReview || o.escalated {
		return time.Time{}, false
	}
	return o.changedAt.Add(o.expiresAt.Sub(o.changedAt) / 2), true
}

// escalate marks an order whose review is late for operators.
func (o *orderRun) escalate(ctx workflow.Context) {
	o.escalated = true
	o.note(ctx, order.EventReviewEscalated, orderflow.ActorSystem, "half of the time for the review is over")
	markNeedsOperator(ctx, true)
}

// onApprove approves the order, so that it can be paid. A payment that came with the order begins now.
func (o *orderRun) onApprove(
	ctx workflow.Context, in orderflow.ApproveInput,
) (orderflow.ApproveResult, error) {
	in.Actor = orOperator(in.Actor)
	approve := func(ctx workflow.Context) error {
		if err := o.refuse(order.Approve); err != nil { // another request came first
			return err
		}
		o.apply(ctx, order.Approve, in.Actor, in.Reason)
		if o.escalated {
			markNeedsOperator(ctx, false)
		}
		if o.in.PaymentMethod != "" {
			o.payAtOnce()
		}
		return nil
	}
	err := o.request(ctx, &command[order.Input]{input: order.Approve, actor: in.Actor, run: approve})
	return orderflow.ApproveResult{View: o.view()}, err
}
