package audit

import (
	"context"
	"strconv"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
	"holdfast/workflows/orderflow"
)

// itemID is the subject of a violation about an item.
type itemID int64

func (id itemID) String() string { return strconv.FormatInt(int64(id), 10) }

// auditItems compares counters with the ledger and with what pending reservations hold.
func (a *auditor) auditItems(ctx context.Context, ids []int64) error {
	items, err := a.stock.Items(ctx, ids)
	if err != nil {
		return err
	}
	for _, i := range items {
		id := itemID(i.ItemID)
		if i.Quantity != i.LedgerQuantity || i.Reserved != i.LedgerReserved {
			a.note(LedgerMismatch, id, "product %s at %s: quantity %d and reserved %d, the ledger says %d and %d",
				i.ProductID, i.Location, i.Quantity, i.Reserved, i.LedgerQuantity, i.LedgerReserved)
		}
		if i.Reserved != i.Held {
			a.note(ReservedMismatch, id, "product %s at %s: reserved %d, pending reservations hold %d",
				i.ProductID, i.Location, i.Reserved, i.Held)
		}
	}
	return nil
}

// auditReservations looks for the owners of reservations, and for what should end a pending one.
func (a *auditor) auditReservations(ctx context.Context, ids []uuid.UUID) error {
	reservations, err := a.stock.Reservations(ctx, ids, a.Grace)
	if err != nil {
		return err
	}
	var orders, outside []uuid.UUID
	for _, r := range reservations {
		if r.OwnerKind == string(inventoryapi.OwnerOrder) {
			orders = append(orders, r.OwnerID)
		} else {
			outside = append(outside, r.ReservationID)
		}
	}
	known, err := a.orders.Known(ctx, orders, outside)
	if err != nil {
		return err
	}

	for _, r := range reservations {
		ofOrder := r.OwnerKind == string(inventoryapi.OwnerOrder)
		if r.WrongLines > 0 {
			a.note(ReservationLines, r.ReservationID, "it is %s, and %d of its lines say otherwise", r.Status, r.WrongLines)
		}
		pending := r.Status == string(inventoryapi.StatusPending)
		if !pending && r.Status != string(inventoryapi.StatusConfirmed) {
			continue // it has given its stock back
		}
		if ofOrder && !known[r.OwnerID] || !ofOrder && !known[r.ReservationID] {
			a.note(ReservationWithoutOwner, r.ReservationID, "it is %s, and its %s %s is not recorded",
				r.Status, r.OwnerKind, r.OwnerID)
		}
		if r.Overdue {
			a.note(ReservationOverdue, r.ReservationID, "it is of %s %s and still holds stock, long after its deadline",
				r.OwnerKind, r.OwnerID)
		}
		if !pending || ofOrder { // the order's own check has its workflow
			continue
		}
		running, err := a.isRunning(ctx, orderflow.ReservationWorkflowID(r.ReservationID))
		if err != nil {
			return err
		}
		if !running {
			a.note(ReservationNotRunning, r.ReservationID, "it holds stock, and no workflow runs for it")
		}
	}
	return nil
}
