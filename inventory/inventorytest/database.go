package inventorytest

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/internal/database"
	"holdfast/inventory"
	"holdfast/tests/eventcheck"
	"holdfast/tests/fault"
	"holdfast/tests/testenv"
)

// Patience is the time that a test waits for an expected state before it fails.
const Patience = 30 * time.Second

// NewDatabase returns the URL of a migrated database for one test, and a pool on it. When the test ends, each event in
// its outbox must match its schema.
func NewDatabase(t testing.TB) (url string, pool *pgxpool.Pool) {
	t.Helper()
	url = testenv.Database(t)
	_, err := database.Migrate(t.Context(), url, database.Inventory)
	require.NoError(t, err)
	pool, err = database.Open(context.WithoutCancel(t.Context()), url, database.Pool{MaxConns: 20}, "test", nil)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	eventcheck.AtEnd(t, pool, "inventory")
	return url, pool
}

// NewService returns the service in process, on a database of its own.
func NewService(t testing.TB) Subject {
	t.Helper()
	_, pool := NewDatabase(t)
	return NewSubject(t, inventory.New(inventory.Options{Pool: pool}), pool)
}

// NewReplica returns another service on a database, with connections of its own.
func NewReplica(t testing.TB, url string, o inventory.Options, p database.Pool) *inventory.Service {
	t.Helper()
	pool, err := database.Open(context.WithoutCancel(t.Context()), url, p, "test", nil)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	o.Pool = pool
	s := inventory.New(o)
	t.Cleanup(s.Close) // before the pool
	return s
}

// NewProxiedPool returns a pool behind a proxy of its own. With the proxy the test can break the pool's connections.
func NewProxiedPool(t testing.TB, url string) (*pgxpool.Pool, *fault.Postgres) {
	t.Helper()
	proxy := fault.NewPostgres(t, url)
	cfg := database.Pool{MaxConns: 6, ConnectTimeout: 5 * time.Second}
	pool, err := database.Open(context.WithoutCancel(t.Context()), proxy.URL(), cfg, "test", nil)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool, proxy
}

// NewReplicas returns three services on one database, each with connections of its own as in three processes.
func NewReplicas(t testing.TB) ([]*inventory.Service, []*pgxpool.Pool, Subject) {
	t.Helper()
	url, pool := NewDatabase(t)
	services, pools := make([]*inventory.Service, 3), make([]*pgxpool.Pool, 3)
	for i := range services {
		p, err := database.Open(context.WithoutCancel(t.Context()), url, database.Pool{MaxConns: 5}, "test", nil)
		require.NoError(t, err)
		services[i], pools[i] = inventory.New(inventory.Options{Pool: p}), p
		t.Cleanup(func() {
			services[i].Close()
			p.Close()
		})
	}
	return services, pools, NewSubject(t, services[0], pool)
}

// LockProduct locks the items of a product until the test calls unlock, at the latest until the test ends.
func LockProduct(t testing.TB, pool *pgxpool.Pool, product uuid.UUID) (unlock func()) {
	t.Helper()
	tx, err := pool.Begin(context.WithoutCancel(t.Context()))
	require.NoError(t, err)
	tag, err := tx.Exec(t.Context(), "SELECT 1 FROM items WHERE product_id = $1 FOR UPDATE", product)
	require.NoError(t, err)
	require.NotZero(t, tag.RowsAffected())

	unlocked := false
	unlock = func() {
		if !unlocked {
			unlocked = true
			require.NoError(t, tx.Rollback(context.WithoutCancel(t.Context())))
		}
	}
	t.Cleanup(unlock)
	return unlock
}

// AwaitBlocked waits until a transaction of this database waits for the lock of another transaction.
func AwaitBlocked(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	require.Eventually(t, func() bool {
		var blocked bool
		err := pool.QueryRow(t.Context(), `
			SELECT EXISTS (
				SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
			)`).Scan(&blocked)
		return err == nil && blocked
	}, Patience, time.Millisecond)
}

// ExistingReservations returns the set of those reservations that are in the database.
func ExistingReservations(t testing.TB, pool *pgxpool.Pool, ids []uuid.UUID) map[uuid.UUID]bool {
	t.Helper()
	rows, err := pool.Query(context.WithoutCancel(t.Context()),
		"SELECT reservation_id FROM reservations WHERE reservation_id = ANY ($1)", ids)
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	require.NoError(t, err)
	set := map[uuid.UUID]bool{}
	for _, id := range found {
		set[id] = true
	}
	return set
}
