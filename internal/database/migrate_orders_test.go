package database_test

import (
	"database/sql"
	"io/fs"
	"testing"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"holdfast/db/migrations"
	"holdfast/internal/database"
	"holdfast/tests/testenv"
)

// TestOldRefusalsGetTheirCode migrates orders that are older than the column refusal_code up, down and up again.
func TestOldRefusalsGetTheirCode(t *testing.T) {
	t.Parallel()
	files, err := fs.Sub(migrations.FS, string(database.Orders))
	require.NoError(t, err)
	db, err := sql.Open("pgx", testenv.Database(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	p, err := goose.NewProvider(goose.DialectPostgres, db, files)
	require.NoError(t, err)

	_, err = p.UpTo(t.Context(), 5)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), `
		INSERT INTO orders (order_id, seq, state, reason, request_hash, customer_id, total_minor, currency,
			workflow_id, run_id, created_at, updated_at)
		SELECT gen_random_uuid(), 1, s.state, s.reason, decode(repeat('ab', 32), 'hex'), 'alice', 100, 'EUR',
			'w', 'r', now(), now()
		FROM (VALUES
			('rejected', 'out_of_stock'),
			('rejected', 'another reason'),
			('cancelled', 'out_of_stock')) AS s (state, reason)`)
	require.NoError(t, err)

	for range 2 {
		_, err = p.UpTo(t.Context(), 6)
		require.NoError(t, err)
		var coded int
		require.NoError(t, db.QueryRowContext(t.Context(), `
			SELECT count(*) FROM orders
			WHERE (refusal_code = 'out_of_stock') = (state = 'rejected' AND reason = 'out_of_stock')`).Scan(&coded))
		require.Equal(t, 3, coded)

		_, err = p.DownTo(t.Context(), 5)
		require.NoError(t, err)
	}
}
