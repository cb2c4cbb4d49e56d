package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/db/inventorydb"
)

// preparedKey is the key of the prepared statements in a connection's custom data.
const preparedKey = "holdfast.inventory.statements"

// prepared returns the connection's prepared statements by their text. On a new connection it prepares all of them:
// inside a pipeline it would be too late.
func (s *Store) prepared(ctx context.Context, conn *pgxpool.Conn) (map[string]*pgconn.StatementDescription, error) {
	custom := conn.Conn().PgConn().CustomData()
	if known, ok := custom[preparedKey].(map[string]*pgconn.StatementDescription); ok {
		return known, nil
	}
	known := make(map[string]*pgconn.StatementDescription, len(s.statements))
	for _, sql := range s.statements {
		described, err := conn.Conn().Prepare(ctx, sql, sql)
		if err != nil {
			return nil, fmt.Errorf("prepare %.60q: %w", sql, err)
		}
		known[sql] = described
	}
	custom[preparedKey] = known
	return known, nil
}

// recorder stands in for a connection to collect the texts of generated queries.
type recorder struct{ texts []string }

func (r *recorder) Exec(_ context.Context, sql string, _ ...any) (pgconn.CommandTag, error) {
	r.texts = append(r.texts, sql)
	return pgconn.CommandTag{}, errSent
}

func (r *recorder) Query(_ context.Context, sql string, _ ...any) (pgx.Rows, error) {
	r.texts = append(r.texts, sql)
	return nil, errSent
}

func (r *recorder) QueryRow(_ context.Context, sql string, _ ...any) pgx.Row {
	r.texts = append(r.texts, sql)
	return noRow{errSent}
}

// transactional lists the statements that transactions use.
func transactional(q *inventorydb.Queries) []string {
	ctx, r := context.Background(), &recorder{texts: []string{sqlBegin, sqlCommit}}
	_ = q.LockProducts(ctx, r, inventorydb.LockProductsParams{})
	_ = q.EnsureItems(ctx, r, inventorydb.EnsureItemsParams{})
	_, _ = q.LockItems(ctx, r, inventorydb.LockItemsParams{})
	_, _ = q.LockReservations(ctx, r, inventorydb.LockReservationsParams{})
	_, _ = q.ArchivedReservations(ctx, r, nil)
	_, _ = q.LinesOfReservations(ctx, r, nil)
	_, _ = q.EntriesOfOperations(ctx, r, nil)
	_, _ = q.Products(ctx, r, nil)
	_, _ = q.Operations(ctx, r, nil)
	_, _ = q.Clock(ctx, r, inventorydb.ClockParams{})
	_, _ = q.Backorders(ctx, r, inventorydb.BackordersParams{})
	_, _ = q.LinesOfBackorders(ctx, r, nil)
	_, _ = q.WaitingOfProducts(ctx, r, nil)
	_, _ = q.ProductsWaitedForWith(ctx, r, nil)
	_, _ = q.WaitingPage(ctx, r, inventorydb.WaitingPageParams{})
	_, _ = q.OverdueBackorders(ctx, r, inventorydb.OverdueBackordersParams{})
	_, _ = q.LockIncoming(ctx, r, nil)
	_, _ = q.OverdueReservations(ctx, r, inventorydb.OverdueReservationsParams{})
	_, _ = q.UpdateItems(ctx, r, inventorydb.UpdateItemsParams{})
	_, _ = q.InsertReservations(ctx, r, inventorydb.InsertReservationsParams{})
	_, _ = q.UpdateReservations(ctx, r, inventorydb.UpdateReservationsParams{})
	_, _ = q.CloseReservationLines(ctx, r, nil)
	_, _ = q.InsertReservationLines(ctx, r, inventorydb.InsertReservationLinesParams{})
	_, _ = q.UpdateReservationLines(ctx, r, inventorydb.UpdateReservationLinesParams{})
	_, _ = q.InsertEntries(ctx, r, inventorydb.InsertEntriesParams{})
	_, _ = q.UpsertProducts(ctx, r, inventorydb.UpsertProductsParams{})
	_, _ = q.InsertOperations(ctx, r, inventorydb.InsertOperationsParams{})
	_, _ = q.InsertBackorders(ctx, r, inventorydb.InsertBackordersParams{})
	_, _ = q.InsertBackorderLines(ctx, r, inventorydb.InsertBackorderLinesParams{})
	_, _ = q.UpdateBackorders(ctx, r, inventorydb.UpdateBackordersParams{})
	_, _ = q.UpdateBackorderLines(ctx, r, inventorydb.UpdateBackorderLinesParams{})
	_, _ = q.InsertIncoming(ctx, r, inventorydb.InsertIncomingParams{})
	_, _ = q.UpdateIncoming(ctx, r, inventorydb.UpdateIncomingParams{})
	_, _ = q.InsertEvents(ctx, r, inventorydb.InsertEventsParams{})
	return r.texts
}
