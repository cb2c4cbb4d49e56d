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

// ordersProvider returns an empty database and the migrations of orders, for a test that stops between two of them.
func ordersProvider(t *testing.T) (*sql.DB, *goose.Provider) {
	t.Helper()
	files, err := fs.Sub(migrations.FS, string(database.Orders))
	require.NoError(t, err)
	db, err := sql.Open("pgx", testenv.Database(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	p, err := goose.NewProvider(goose.DialectPostgres, db, files)
	require.NoError(t, err)
	return db, p
}

// TestOldRefusalsGetTheirCode migrates orders that are older than the column refusal_code up, down and up again.
func TestOldRefusalsGetTheirCode(t *testing.T) {
	t.Parallel()
	db, p := ordersProvider(t)
	_, err := p.UpTo(t.Context(), 5)
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

// TestOldOrdersGetTheirNumber: orders that are older than the column number are numbered by age, and the next order
// goes on from there, also if the version before inserts it.
func TestOldOrdersGetTheirNumber(t *testing.T) {
	t.Parallel()
	db, p := ordersProvider(t)
	_, err := p.UpTo(t.Context(), 20)
	require.NoError(t, err)
	insert := func(count int) {
		_, err := db.ExecContext(t.Context(), `
			INSERT INTO orders (order_id, seq, state, request_hash, customer_id, total_minor, currency, workflow_id, run_id,
				created_at, updated_at)
			SELECT gen_random_uuid(), 1, 'confirmed', sha256('x'), 'alice', 100, 'EUR', 'w', 'r',
				now() - n * interval '1 hour', now()
			FROM generate_series(1, $1) n`, count)
		require.NoError(t, err)
	}
	numbers := func() (all []string) {
		rows, err := db.QueryContext(t.Context(), "SELECT number FROM orders ORDER BY created_at")
		require.NoError(t, err)
		defer func() { require.NoError(t, rows.Close()) }()
		for rows.Next() {
			var number string
			require.NoError(t, rows.Scan(&number))
			all = append(all, number)
		}
		require.NoError(t, rows.Err())
		return all
	}
	insert(3)

	for range 2 {
		_, err = p.UpTo(t.Context(), 21)
		require.NoError(t, err)
		require.Equal(t, []string{"HF-100001", "HF-100002", "HF-100003"}, numbers())
		_, err = p.DownTo(t.Context(), 20)
		require.NoError(t, err)
	}
	_, err = p.UpTo(t.Context(), 21)
	require.NoError(t, err)
	insert(1)
	require.Contains(t, numbers(), "HF-100004")
}
