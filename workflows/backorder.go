package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// An order that allows it waits for stock instead of being rejected. Inventory has the waiting list, and grants from it
// in the transaction that makes stock available (ADR 16): the backorder is a pending reservation from then on, with the
// same id. Inventory's event of the grant reaches the order as an update (UpdateStockGranted), and the order then goes
// on as one whose stock was there at once. The wait has a deadline of its own, which inventory's clock decides.
//
// A wait can last for weeks. After a day the workflow continues as new, on the current version of the workers, goes on
// from the order's row and asks inventory how the backorder stands.

// onStockGranted lets the loop ask inventory for the stock that it has granted. An order that does not wait has learnt
// of the grant already, or has ended.
func (o *orderRun) onStockGranted(
	ctx workflow.Context, _ orderflow.StockGrantedInput,
) (orderflow.StockGrantedResult, error) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	// The grant may come before the workflow has learnt that the order waits, or before a run has read the order's row.
	if err := workflow.Await(ctx, func() bool { return o.state != order.Pending }); err != nil {
		return orderflow.StockGrantedResult{}, err
	}
	if o.state != order.Backordered {
		return orderflow.StockGrantedResult{View: o.view()}, nil
	}
	look := func(ctx workflow.Context) error {
		if o.state == order.Backordered {
			o.lookForStock(ctx)
		}
		return nil
	}
	err := o.mailbox.ask(ctx, &command[order.Input]{input: order.StockHeld, actor: orderflow.ActorSystem, run: look})
	return orderflow.StockGrantedResult{View: o.view()}, err
}

// lookForStock asks inventory how the backorder stands, and lets the order go on if it was granted.
func (o *orderRun) lookForStock(ctx workflow.Context) {
	held, err := reserveOrWait(ctx, o.reserveInput(), nil)
	switch {
	case err != nil: // the wait or the reservation has ended: its deadline has passed, or somebody ended it at inventory
		o.end(ctx, order.DeadlinePassed, orderflow.ActorSystem, "the wait for stock has ended: "+reservationEnd(err))
	case held.Status == orderflow.ReservationWaiting:
		o.expiresAt = held.ExpiresAt
	case held.Status == orderflow.ReservationConfirmed:
		o.handleEarlierConfirm(ctx)
	default:
		o.expiresAt, o.earlyExpiries = held.ExpiresAt, 0
		o.stockHeld(ctx)
		if o.state == order.Reserved && o.in.PaymentMethod != "" {
			o.payAtOnce()
		}
	}
}

// wakeWhileWaiting is when a backordered order wakes at the latest: at its deadline, or when its run has lasted
// runTime.
func (o *orderRun) wakeWhileWaiting(deadline time.Time) time.Time {
	if ends := o.started.Add(runTime); ends.Before(deadline) {
		return ends
	}
	return deadline
}

// waitedLong reports whether a run that waits for stock has lasted runTime, once nothing is under way in it.
func (o *orderRun) waitedLong(ctx workflow.Context) bool {
	if o.state != order.Backordered || workflow.Now(ctx).Before(o.started.Add(runTime)) {
		return false
	}
	still := func() bool { return o.recorder.idle() && workflow.AllHandlersFinished(ctx) }
	_ = workflow.Await(ctx, func() bool { return still() || !o.mailbox.empty() || o.mailbox.urgent() })
	return still() && o.mailbox.empty()
}
