package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// pipeline collects the statements of generated queries instead of running them, so that all of a
// transaction's writes travel together. It stands in for a connection where only Exec is called.
type pipeline struct {
	batch pgx.Batch
	what  string
	rows  int64
}

var errNotPipelined = errors.New("only statements without result rows can be pipelined")

// expect queues the one statement that query executes; sending fails with ErrVersionConflict when it
// touches another number of rows.
func (p *pipeline) expect(what string, rows int, query func()) {
	p.what, p.rows = what, int64(rows)
	query()
}

// Exec queues a statement. The tag it returns is empty: the real one is judged by send.
func (p *pipeline) Exec(_ context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	what, want := p.what, p.rows
	p.batch.Queue(sql, args...).Exec(func(tag pgconn.CommandTag) error {
		if got := tag.RowsAffected(); got != want {
			return fmt.Errorf("%s: %d of %d rows: %w", what, got, want, ErrVersionConflict)
		}
		return nil
	})
	return pgconn.CommandTag{}, nil
}

// Query refuses: its rows would be needed at once.
func (p *pipeline) Query(context.Context, string, ...any) (pgx.Rows, error) {
	return nil, errNotPipelined
}

// QueryRow must not be called; no write of ours returns rows.
func (p *pipeline) QueryRow(context.Context, string, ...any) pgx.Row { panic(errNotPipelined) }

// send runs what was queued, in order, and stops at the first failure.
func (p *pipeline) send(ctx context.Context, tx pgx.Tx) error {
	if err := tx.SendBatch(ctx, &p.batch).Close(); err != nil {
		return fmt.Errorf("write changes: %w", err)
	}
	return nil
}
