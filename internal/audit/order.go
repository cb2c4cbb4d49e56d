package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/internal/payment"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/store"
	"holdfast/workflows/orderflow"
)

// auditOrders compares orders with their payments, their stock and their workflows.
func (a *auditor) auditOrders(ctx context.Context, ids []uuid.UUID) error {
	orders, err := a.orders.Orders(ctx, ids)
	if err != nil {
		return err
	}
	var reservations []uuid.UUID
	for _, o := range orders {
		for number := 1; number <= int(o.LastReservation); number++ {
			reservations = append(reservations,
				inventoryapi.NewReservationID(inventoryapi.OwnerOrder, o.OrderID, number))
		}
	}
	holdings, err := a.stock.Holdings(ctx, ids, reservations)
	if err != nil {
		return err
	}

	for _, o := range orders {
		a.auditMoney(o)
		a.auditStock(o, holdings[o.OrderID])
		if err := a.auditWorkflow(ctx, o); err != nil {
			return err
		}
		if a.Payments != nil && order.State(o.State).Settled() && !o.UpdatedAt.Before(a.PaymentsSince) {
			a.toAsk = append(a.toAsk, o)
		}
	}
	return nil
}

// auditMoney checks that a paid order has one captured payment, and that what is kept of it is what the order owes. An
// order that has ended without being carried out owes nothing.
func (a *auditor) auditMoney(o orderstore.AuditedOrder) {
	if o.Refunded > o.Captured {
		a.note(RefundedTooMuch, o.OrderID, "captured %d and refunded %d %s", o.Captured, o.Refunded, o.Currency)
	}
	if o.Excess > 0 {
		a.note(ShippedTooMuch, o.OrderID, "its shipments have %d units more than its lines", o.Excess)
	}
	state := order.State(o.State)
	if !state.Settled() {
		return
	}

	if o.Paid() && o.Captures != 1 {
		a.note(NotCapturedOnce, o.OrderID, "it is %s and has %d captured payments", o.State, o.Captures)
	}
	if kept, owed := o.Captured-o.Refunded, o.OwedMinor(); kept != owed {
		a.note(AmountKept, o.OrderID, "it is %s; %d of %d %s are kept, and the customer owes %d",
			o.State, kept, o.Captured, o.Currency, owed)
	}
	if o.Unended > 0 {
		a.note(PaymentUnended, o.OrderID, "it is %s, and %d of its payments were begun and have no end", o.State, o.Unended)
	}
}

// auditStock checks that an order holds stock exactly while it waits for its payment, and that the stock of a paid
// order has left.
func (a *auditor) auditStock(o orderstore.AuditedOrder, holdings []store.Holding) {
	state := order.State(o.State)
	var taken, pending int64
	for _, h := range holdings {
		switch h.Status {
		case string(inventoryapi.StatusConfirmed):
			taken += h.Quantity - h.Returned
		case string(inventoryapi.StatusPending), orderflow.ReservationWaiting:
			pending += h.Quantity
			if state.Settled() {
				a.note(EndedHoldsStock, o.OrderID, "it is %s, and its reservation %s is %s",
					o.State, h.ReservationID, h.Status)
			}
		}
	}

	inTime := o.ExpiresAt != nil && o.ExpiresAt.After(time.Now())
	if state.Holding() && inTime && taken+pending < o.Ordered {
		a.note(OpenWithoutStock, o.OrderID, "it is %s, and inventory holds %d of its %d units",
			o.State, taken+pending, o.Ordered)
	}
	if !state.Settled() {
		return
	}

	if expected := o.UnitsTaken(); taken != expected {
		a.note(StockTaken, o.OrderID, "it is %s; %d units have left the stock for it, and should be %d",
			o.State, taken, expected)
	}
}

// needsWorkflow reports whether something is still to happen to an order. Orders of the first version have no
// shipments: their workflow ended with the payment.
func needsWorkflow(o orderstore.AuditedOrder) bool {
	switch state := order.State(o.State); {
	case o.WaitsForStart:
		return false // the api starts it
	case !state.Settled(), o.Returning:
		return true
	default:
		return o.ShippedLines > 0 && !state.Closed()
	}
}

func (a *auditor) auditWorkflow(ctx context.Context, o orderstore.AuditedOrder) error {
	if !needsWorkflow(o) {
		return nil
	}
	running, err := a.isRunning(ctx, orderflow.OrderWorkflowID(o.OrderID))
	if err == nil && !running {
		a.note(OrderNotRunning, o.OrderID, "it is %s, and no workflow runs for it", o.State)
	}
	return err
}

// askProvider compares the provider's books with the orders that were read.
func (a *auditor) askProvider(ctx context.Context) error {
	orders := a.toAsk
	a.toAsk = nil
	for i, o := range orders {
		if err := a.auditProvider(ctx, o); err != nil {
			return err
		}
		a.Progress("orders at the provider", i+1)
	}
	return nil
}

// auditProvider compares the order's payments with the provider's books. The port to a provider finds a payment only by
// its key, so a payment of which the orders database has no trace is not found.
func (a *auditor) auditProvider(ctx context.Context, o orderstore.AuditedOrder) error {
	var captured, refunded int64
	for _, attempt := range o.Attempts {
		if err := a.Allow(ctx); err != nil {
			return err
		}
		a.result.Payments++
		key := orderflow.PaymentKey(o.OrderID, int(attempt))
		p, err := a.Payments.Get(ctx, key)
		if errors.Is(err, payment.ErrUnknown) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look payment %s up at the provider: %w", key, err)
		}
		captured += p.CapturedMinor
		refunded += p.RefundedMinor
		if p.State == payment.Authorised || p.State == payment.RequiresAction {
			a.note(ProviderHolds, o.OrderID, "it is %s, and payment %s is %s", o.State, key, p.State)
		}
	}
	// What an operator gave back by hand may have gone through the provider, or around it.
	if captured != o.Captured || refunded > o.Refunded || refunded < o.Refunded-o.ByHand {
		a.note(ProviderDiffers, o.OrderID, "it has %d captured and %d refunded, the provider %d and %d %s",
			o.Captured, o.Refunded, captured, refunded, o.Currency)
	}
	return a.auditByHand(ctx, o)
}

// auditByHand asks the provider whether it has made a refund under our own key that an operator has made by hand.
// What an operator refunds at the provider has another key.
func (a *auditor) auditByHand(ctx context.Context, o orderstore.AuditedOrder) error {
	for i, attempt := range o.HandAttempts {
		if err := a.Allow(ctx); err != nil {
			return err
		}
		a.result.Payments++
		key, refundKey := orderflow.PaymentKey(o.OrderID, int(attempt)), orderflow.RefundKey(o.OrderID, int(attempt))
		if number := int(o.HandNumbers[i]); number > 0 {
			refundKey = orderflow.PartRefundKey(o.OrderID, int(attempt), number)
		}
		made, err := a.Payments.GetRefund(ctx, key, refundKey)
		switch {
		case errors.Is(err, payment.ErrUnknown), err == nil && made.State == payment.RefundFailed:
		case err != nil:
			return fmt.Errorf("look refund %s up at the provider: %w", refundKey, err)
		default:
			a.note(RefundedTwice, o.OrderID, "the provider made refund %s of %d %s, which an operator has made by hand, too",
				refundKey, made.AmountMinor, o.Currency)
		}
	}
	return nil
}
