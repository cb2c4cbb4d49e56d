package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"holdfast/db/inventorydb"
)

// AuditedItem has the counters of an item beside what they follow from.
type AuditedItem struct {
	ItemID         int64
	ProductID      uuid.UUID
	Location       string
	Quantity       int64
	Reserved       int64
	LedgerQuantity int64 // the sum of the ledger's entries, archived ones too
	LedgerReserved int64
	Held           int64 // by pending reservations
}

// AuditedReservation is what an audit compares of a reservation that is not archived.
type AuditedReservation struct {
	ReservationID uuid.UUID
	OwnerKind     string
	OwnerID       uuid.UUID
	Number        int32
	Status        string
	WorkflowID    string
	Overdue       bool  // pending, and its deadline passed more than the grace ago
	WrongLines    int64 // lines that are open although it has ended, or closed although it is pending
}

// Holding is a reservation of an order, archived or not, or a backorder that waits.
type Holding struct {
	OwnerID       uuid.UUID
	ReservationID uuid.UUID
	Status        string // of the reservation; "waiting" for a backorder
	Quantity      int64
	Returned      int64
}

// AuditSnapshot reads one state of the inventory database, page by page. It is used by one goroutine.
type AuditSnapshot struct {
	tx pgx.Tx
	q  *inventorydb.Queries
}

// AuditSnapshot begins to read the database as it is now. The caller closes it.
func (s *Store) AuditSnapshot(ctx context.Context) (*AuditSnapshot, error) {
	tx, err := s.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, fmt.Errorf("begin a snapshot of the inventory database: %w", err)
	}
	a := &AuditSnapshot{tx: tx, q: s.q}
	// PostgreSQL takes the snapshot with the first query.
	if _, err := a.ItemIDs(ctx, 0, 1); err != nil {
		a.Close(ctx)
		return nil, err
	}
	return a, nil
}

// Close ends the snapshot.
func (a *AuditSnapshot) Close(ctx context.Context) { _ = a.tx.Rollback(context.WithoutCancel(ctx)) }

// ItemIDs returns up to size items after the given one, in the order of their ids.
func (a *AuditSnapshot) ItemIDs(ctx context.Context, after int64, size int) ([]int64, error) {
	ids, err := a.q.AuditItemIDs(ctx, a.tx, inventorydb.AuditItemIDsParams{
		After: after, Size: int32(size), //nolint:gosec // some thousands
	})
	if err != nil {
		return nil, fmt.Errorf("list items: %w", err)
	}
	return ids, nil
}

// Items returns the items of the list.
func (a *AuditSnapshot) Items(ctx context.Context, ids []int64) ([]AuditedItem, error) {
	rows, err := a.q.AuditItems(ctx, a.tx, ids)
	if err != nil {
		return nil, fmt.Errorf("read items: %w", err)
	}
	out := make([]AuditedItem, len(rows))
	for i, row := range rows {
		out[i] = AuditedItem(row)
	}
	return out, nil
}

// ReservationIDs returns up to size reservations after the given one that are not archived, in the order of their ids.
func (a *AuditSnapshot) ReservationIDs(ctx context.Context, after uuid.UUID, size int) ([]uuid.UUID, error) {
	ids, err := a.q.AuditReservationIDs(ctx, a.tx, inventorydb.AuditReservationIDsParams{
		After: after, Size: int32(size), //nolint:gosec // some thousands
	})
	if err != nil {
		return nil, fmt.Errorf("list reservations: %w", err)
	}
	return ids, nil
}

// Reservations returns the reservations of the list that are not archived.
func (a *AuditSnapshot) Reservations(
	ctx context.Context, ids []uuid.UUID, grace time.Duration,
) ([]AuditedReservation, error) {
	rows, err := a.q.AuditReservations(ctx, a.tx, inventorydb.AuditReservationsParams{
		Reservations: ids, GraceSeconds: grace.Seconds(),
	})
	if err != nil {
		return nil, fmt.Errorf("read reservations: %w", err)
	}
	out := make([]AuditedReservation, len(rows))
	for i, row := range rows {
		out[i] = AuditedReservation(row)
	}
	return out, nil
}

// Holdings returns what the orders hold, have taken, or wait for. It finds an archived reservation only if its id is
// among the given ones.
func (a *AuditSnapshot) Holdings(
	ctx context.Context, orders, reservations []uuid.UUID,
) (map[uuid.UUID][]Holding, error) {
	rows, err := a.q.AuditHoldings(ctx, a.tx, inventorydb.AuditHoldingsParams{
		Owners: orders, Reservations: reservations,
	})
	if err != nil {
		return nil, fmt.Errorf("read the reservations of orders: %w", err)
	}
	out := map[uuid.UUID][]Holding{}
	for _, row := range rows {
		out[row.OwnerID] = append(out[row.OwnerID], Holding(row))
	}
	return out, nil
}
