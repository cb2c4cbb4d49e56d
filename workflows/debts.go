package workflows

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// debts is what a paid order gives back: to the customer the money for units that no shipment brings or that came
// back, and to inventory the stock of units that were cancelled or went on the shelf again. Each has a coroutine, so
// that an outage of the one delays neither the other nor the warehouse.
//
// A debt is recorded before it is paid, because it follows from the recorded shipments and returns. Inventory and the
// payment provider act once per key, and the keys follow from what was recorded. So a run that does not know what an
// earlier run has paid asks again, and nothing is paid twice.
type debts struct {
	running   bool
	closing   bool                     // the order has ended, so no further debt arises
	refunded  int64                    // of the captured money, in minor units
	refunds   int                      // how many refunds were made
	refused   bool                     // the provider refuses a refund for good
	unpaid    orderflow.PaymentInput   // that refund
	made      *orderflow.PaymentResult // it is made: by an operator, or by the provider after all
	fromInput inputRefund              // what this run did with the refund by hand of its input
	returned  []stockDebt              // what inventory has back, as far as this run knows
	paying    int                      // how many payments of a debt are under way
}

// inputRefund says what a run did with the refund by hand of its input.
type inputRefund int

const (
	notSeen inputRefund = iota // the run has not read the order's row yet
	taken                      // it books the refund
	notOwed                    // the order does not owe it
)

// payDebts starts the coroutines.
func (o *orderRun) payDebts(ctx workflow.Context) {
	if o.debts.running {
		return
	}
	o.debts.running = true
	ctx, _ = workflow.NewDisconnectedContext(ctx) // a debt outlives the loop that makes it
	for _, debt := range []struct {
		due func() bool
		pay func(workflow.Context)
	}{
		{o.owesMoney, o.payMoney},
		{o.owesStock, o.payStock},
	} {
		workflow.Go(ctx, func(ctx workflow.Context) {
			for {
				_ = workflow.Await(ctx, func() bool { return debt.due() || o.debts.closing || o.unrecordable })
				if !debt.due() || o.unrecordable {
					return
				}
				o.debts.paying++
				cause := o.recorder.cause // the request that made the debt
				if o.recorder.waitAll(ctx); !o.recorder.blocked() {
					debt.pay(orderflow.CausedBy(ctx, cause))
				} else {
					_ = workflow.Await(ctx, func() bool { return !o.recorder.blocked() || o.unrecordable })
				}
				o.debts.paying--
			}
		})
	}
}

// awaitDebts waits until the order owes nothing, or the recorder is blocked.
func (o *orderRun) awaitDebts(ctx workflow.Context) {
	if o.fulfilment == nil || o.unrecordable {
		return
	}
	o.payDebts(ctx)
	_ = workflow.Await(ctx, func() bool { return o.debtsPaid() || o.recorder.blocked() })
}

// debtsPaid reports whether the order owes nothing.
func (o *orderRun) debtsPaid() bool { return o.debts.paying == 0 && !o.owesMoney() && !o.owesStock() }

func (o *orderRun) owesMoney() bool {
	return o.fulfilment != nil && !o.debts.refused && refundDue(o.fulfilment, o.in) > o.debts.refunded
}

// payMoney refunds what is due. The key of a refund is its number. If an earlier run has used the key for another
// amount, that refund counts, and the rest is refunded under the next key.
func (o *orderRun) payMoney(ctx workflow.Context) {
	payment := o.payment(o.capturedAttempt)
	payment.RefundKey = orderflow.PartRefundKey(o.in.OrderID, payment.Attempt, o.debts.refunds+1)
	payment.Amount.Minor = refundDue(o.fulfilment, o.in) - o.debts.refunded
	res, err := o.payOnce(ctx, &payment)
	if refusal(err) == orderflow.ErrPaymentKeyUsed {
		if res, err = findRefund(ctx, payment); err == nil {
			payment.Amount.Minor = res.RefundedMinor
		}
	}
	if err != nil {
		o.debts.refused, o.debts.unpaid = true, payment
		o.recordFailedUndo(ctx, fmt.Sprintf("refund %s", payment.Amount), err)
		return
	}
	o.debts.refunds++
	o.debts.refunded += payment.Amount.Minor
	o.recordRefund(ctx, payment, o.debts.refunds, res)
	o.note(ctx, order.EventPaymentRefunded, orderflow.ActorSystem, "")
}

// payOnce refunds a payment. If the refund that the provider has refused is made, payOnce asks the provider nothing,
// and the amount is that of the refused refund: more may be due by now.
func (o *orderRun) payOnce(ctx workflow.Context, payment *orderflow.PaymentInput) (orderflow.PaymentResult, error) {
	if made := o.debts.made; made != nil {
		o.debts.made = nil
		payment.Amount.Minor = min(payment.Amount.Minor, o.debts.unpaid.Amount.Minor)
		return *made, nil
	}
	return o.refundByProvider(ctx, *payment)
}

func (o *orderRun) owesStock() bool {
	return o.fulfilment != nil && !slices.Equal(o.debts.returned, o.shipments().backInStock())
}

// payStock gives the stock of cancelled units back. Inventory looks up what it has back already.
func (o *orderRun) payStock(ctx workflow.Context) {
	due := o.shipments().backInStock()
	for i := 0; i < len(due); {
		ref := o.ref
		ref.Number = due[i].reservation
		var lines []orderflow.ReturnUpTo
		for ; i < len(due) && due[i].reservation == ref.Number; i++ {
			if !slices.Contains(o.debts.returned, due[i]) {
				lines = append(lines, due[i].ReturnUpTo)
			}
		}
		if len(lines) == 0 {
			continue
		}
		units, err := returnUnits(ctx, orderflow.ReturnUnitsInput{
			Reservation:   ref,
			Lines:         lines,
			Actor:         orderflow.ActorSystem,
			Reason:        "units of the order were cancelled or returned",
			CorrelationID: o.in.CorrelationID,
		})
		switch {
		case err != nil:
			o.recordFailedUndo(ctx, "give the stock back", err)
		case units > 0:
			o.note(ctx, order.EventStockReleased, orderflow.ActorSystem, "")
		}
	}
	o.debts.returned = due
}
