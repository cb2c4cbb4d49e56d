package orderstore

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"holdfast/db/ordersdb"
	"holdfast/internal/order"
)

// AuditedOrder is what an audit compares of an order. Amounts are in minor units of Currency.
type AuditedOrder struct {
	OrderID       uuid.UUID
	State         string
	Currency      string
	TotalMinor    int64
	ShippingMinor int64 // a part of TotalMinor
	ExpiresAt     *time.Time
	UpdatedAt     time.Time
	WaitsForStart bool // no workflow has recorded the order yet
	Returning     bool // a return was requested or approved and has not ended
	Ordered       int64

	Captures int64 // recorded captures
	Captured int64
	Refunded int64
	ByHand   int64   // of Refunded: what an operator gave back by hand
	Unended  int64   // payments that were begun or authorised, and have no end
	Attempts []int32 // numbers of the payments that were begun
	// The refunds that an operator made by hand: the numbers of their payments, and their own; 0 is the refund of a whole
	// payment.
	HandAttempts []int32
	HandNumbers  []int32

	ShippedLines    int64 // lines that are in shipments; 0 if none were planned
	Given           int64 // what the customer gets back of the lines: for units that no shipment brings, and for returns
	Kept            int64 // units that have left the stock for good
	WithCustomer    int64 // units that have come to the customer, or still will, less those that came back
	Excess          int64 // units in shipments beyond what the lines have
	LastReservation int32 // the highest number of a reservation from which the shipments have stock
}

// Paid reports whether the order is paid. An order that was cancelled after that has shipments.
func (o AuditedOrder) Paid() bool { return order.State(o.State).CarriedOut() || o.ShippedLines > 0 }

// OwedMinor is what the customer owes for a settled order. An order that has ended without being carried out costs
// nothing.
func (o AuditedOrder) OwedMinor() int64 {
	if !o.Paid() {
		return 0
	}
	owed := o.TotalMinor - o.Given
	if o.ShippedLines > 0 && o.WithCustomer == 0 {
		owed -= o.ShippingMinor
	}
	return owed
}

// DueMinor is what has still to go back of the captured payments of a settled order.
func (o AuditedOrder) DueMinor() int64 { return max(0, o.Captured-o.Refunded-o.OwedMinor()) }

// UnitsTaken is how many units leave the stock for good for a settled order.
func (o AuditedOrder) UnitsTaken() int64 {
	switch {
	case o.ShippedLines > 0:
		return o.Kept
	case o.Paid():
		return o.Ordered
	}
	return 0
}

// AuditedOrder returns one order as an audit sees it. ErrNotFound: there is no such order.
func (s *Store) AuditedOrder(ctx context.Context, id uuid.UUID) (AuditedOrder, error) {
	rows, err := s.q.AuditOrders(ctx, s.pool, []uuid.UUID{id})
	if err != nil {
		return AuditedOrder{}, fmt.Errorf("read the payments of order %s: %w", id, err)
	}
	if len(rows) == 0 {
		return AuditedOrder{}, ErrNotFound
	}
	return AuditedOrder(rows[0]), nil
}

// AuditSnapshot reads one state of the orders database, page by page. It is used by one goroutine.
type AuditSnapshot struct {
	tx pgx.Tx
	q  *ordersdb.Queries
}

// AuditSnapshot begins to read the database as it is now. The caller closes it.
func (s *Store) AuditSnapshot(ctx context.Context) (*AuditSnapshot, error) {
	tx, err := s.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, fmt.Errorf("begin a snapshot of the orders database: %w", err)
	}
	a := &AuditSnapshot{tx: tx, q: s.q}
	// PostgreSQL takes the snapshot with the first query.
	if _, err := a.OrderIDs(ctx, uuid.Nil, 1); err != nil {
		a.Close(ctx)
		return nil, err
	}
	return a, nil
}

// Close ends the snapshot.
func (a *AuditSnapshot) Close(ctx context.Context) { _ = a.tx.Rollback(context.WithoutCancel(ctx)) }

// OrderIDs returns up to size orders after the given one, in the order of their ids.
func (a *AuditSnapshot) OrderIDs(ctx context.Context, after uuid.UUID, size int) ([]uuid.UUID, error) {
	ids, err := a.q.AuditOrderIDs(ctx, a.tx, ordersdb.AuditOrderIDsParams{
		After: after, Size: int32(size), //nolint:gosec // some thousands
	})
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	return ids, nil
}

// Orders returns the orders of the list that exist.
func (a *AuditSnapshot) Orders(ctx context.Context, ids []uuid.UUID) ([]AuditedOrder, error) {
	rows, err := a.q.AuditOrders(ctx, a.tx, ids)
	if err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	out := make([]AuditedOrder, len(rows))
	for i, row := range rows {
		out[i] = AuditedOrder(row)
	}
	return out, nil
}

// Known returns those of the orders, and of the reservations without an order, that the database has.
func (a *AuditSnapshot) Known(ctx context.Context, orders, reservations []uuid.UUID) (map[uuid.UUID]bool, error) {
	ids, err := a.q.AuditOwners(ctx, a.tx, ordersdb.AuditOwnersParams{Orders: orders, Reservations: reservations})
	if err != nil {
		return nil, fmt.Errorf("look for the owners of reservations: %w", err)
	}
	known := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		known[id] = true
	}
	return known, nil
}
