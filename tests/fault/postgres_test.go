package fault

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/tests/testenv"
)

// newTable returns a proxy, the database's own URL, and a function that counts the rows of a table in
// it, past the proxy.
func newTable(t *testing.T) (*Postgres, string, func() int) {
	t.Helper()
	url := testenv.Database(t)
	direct, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(direct.Close)
	_, err = direct.Exec(t.Context(), "CREATE TABLE items (id bigint UNIQUE DEFERRABLE INITIALLY DEFERRED)")
	require.NoError(t, err)
	return NewPostgres(t, url), url, func() int {
		var n int
		require.NoError(t, direct.QueryRow(t.Context(), "SELECT count(*) FROM items").Scan(&n))
		return n
	}
}

func newPool(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

func insert(ctx context.Context, pool *pgxpool.Pool, id int) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO items VALUES ($1)", id)
		return err
	})
}

func TestPostgresLostCommitIsDurable(t *testing.T) {
	t.Parallel()
	for name, commit := range map[string]func(context.Context, pgx.Tx) error{
		"by pgx":                   func(ctx context.Context, tx pgx.Tx) error { return tx.Commit(ctx) },
		"by its other name":        exec("END"),
		"with a comment":           exec("/* done */ Commit Work;"),
		"at the end of statements": exec("SELECT 1; INSERT INTO items VALUES (2), (3); COMMIT; SELECT 2"),
		"with parameters' protocol": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Conn().PgConn().ExecParams(ctx, "COMMIT", nil, nil, nil, nil).Close()
			return err
		},
		"prepared": func(ctx context.Context, tx pgx.Tx) error {
			statement, err := tx.Conn().Prepare(ctx, "done", "commit")
			if err != nil {
				panic(err) // any error is what the test expects of a COMMIT
			}
			_, err = tx.Conn().Exec(ctx, statement.Name)
			return err
		},
		"in a batch": func(ctx context.Context, tx pgx.Tx) error {
			b := &pgx.Batch{}
			b.Queue("SELECT 1")
			b.Queue("COMMIT")
			return tx.SendBatch(ctx, b).Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, _, rows := newTable(t)
			pool := newPool(t, p.URL())
			rule := p.LoseCommits(1)
			tx, err := pool.Begin(t.Context())
			require.NoError(t, err)
			_, err = tx.Exec(t.Context(), "INSERT INTO items VALUES (1)")
			require.NoError(t, err)
			require.Zero(t, rule.Count())

			err = commit(t.Context(), tx)
			require.Error(t, err)
			var answered *pgconn.PgError
			require.NotErrorAs(t, err, &answered, "the connection broke: the server did not refuse")
			_ = tx.Rollback(t.Context())
			require.Equal(t, 1, rule.Count())
			require.Positive(t, rows())
			require.NoError(t, insert(t.Context(), pool, 10))
		})
	}
}

func exec(sql string) func(context.Context, pgx.Tx) error {
	return func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sql)
		return err
	}
}

func TestPostgresLosesOnlyWhatIsCommitted(t *testing.T) {
	t.Parallel()
	p, _, rows := newTable(t)
	pool := newPool(t, p.URL())
	require.NoError(t, insert(t.Context(), pool, 1))
	rule := p.LoseCommits(1)

	var refused *pgconn.PgError
	require.ErrorAs(t, insert(t.Context(), pool, 1), &refused, "a constraint that is checked at the COMMIT")
	require.Equal(t, "23505", refused.Code)

	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT 1/0")
	require.Error(t, err)
	require.ErrorIs(t, tx.Commit(t.Context()), pgx.ErrTxCommitRollback)

	_, err = pool.Exec(t.Context(), "INSERT INTO items VALUES (2)")
	require.NoError(t, err, "a statement outside a transaction")
	var text string
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT 'C' || chr(1) || 'COMMIT'").Scan(&text))

	require.Zero(t, rule.Count())
	require.Error(t, insert(t.Context(), pool, 3))
	require.Equal(t, 1, rule.Count())
	require.Equal(t, 3, rows())
}

// TestPostgresLosesAStatement: a statement outside a transaction happens, and its answer is lost.
func TestPostgresLosesAStatement(t *testing.T) {
	t.Parallel()
	p, _, rows := newTable(t)
	pool := newPool(t, p.URL())
	one := func(id int) error {
		var got int
		return pool.QueryRow(t.Context(), "-- one\nINSERT INTO items VALUES ($1) RETURNING 7", id).Scan(&got)
	}
	require.NoError(t, one(1))
	rule := p.LoseStatements("-- one", 1)

	_, err := pool.Exec(t.Context(), "INSERT INTO items VALUES ($1)", 2)
	require.NoError(t, err, "another statement")
	require.NoError(t, insert(t.Context(), pool, 3))
	var refused *pgconn.PgError
	require.ErrorAs(t, one(1), &refused)
	require.Zero(t, rule.Count())

	err = one(4)
	require.Error(t, err)
	require.NotErrorAs(t, err, &refused)
	require.Equal(t, 1, rule.Count())
	require.Equal(t, 4, rows())
	require.NoError(t, one(5))
}

func TestPostgresLosesCommitsAtOnce(t *testing.T) {
	t.Parallel()
	p, _, rows := newTable(t)
	pool := newPool(t, p.URL())
	rule := p.LoseCommits(7)
	errs := make([]error, 40)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = insert(t.Context(), pool, i) })
	}
	wg.Wait()
	lost := 0
	for _, err := range errs {
		if err != nil {
			lost++
		}
	}
	require.Equal(t, 7, lost)
	require.Equal(t, 7, rule.Count())
	require.Equal(t, 40, rows())
}

func TestPostgresPassesOnWhatItGets(t *testing.T) {
	t.Parallel()
	_, url, _ := newTable(t)
	url = strings.Replace(url, "sslmode=disable", "sslmode=prefer", 1)
	p := NewPostgres(t, url)
	conn, err := pgx.Connect(t.Context(), p.URL())
	require.NoError(t, err, "the client asks for encryption and the proxy refuses it")
	defer func() { _ = conn.Close(context.Background()) }()

	big, echoed := strings.Repeat("holdfast", 1<<19), ""
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT $1::text", big).Scan(&echoed))
	require.Len(t, echoed, len(big))
	copied, err := conn.CopyFrom(t.Context(), pgx.Identifier{"items"}, []string{"id"},
		pgx.CopyFromRows([][]any{{1}, {2}}))
	require.NoError(t, err)
	require.EqualValues(t, 2, copied)

	slept := result(func() error { _, err := conn.Exec(t.Context(), "SELECT pg_sleep(60)"); return err })
	var cancelled *pgconn.PgError
	require.Eventually(t, func() bool { // a cancel request that comes before the statement has no effect
		require.NoError(t, conn.PgConn().CancelRequest(t.Context()))
		select {
		case err := <-slept:
			require.ErrorAs(t, err, &cancelled)
			return true
		default:
			return false
		}
	}, 20*time.Second, 10*time.Millisecond)
	require.Equal(t, "57014", cancelled.Code)
}
