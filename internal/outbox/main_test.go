package outbox_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/internal/database"
	"holdfast/internal/outbox"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// databases are the databases that have an outbox.
var databases = []database.Name{database.Orders, database.Inventory}

// newPool returns a fresh database with the newest schema.
func newPool(t *testing.T, name database.Name) *pgxpool.Pool {
	t.Helper()
	return openPool(t, newDatabase(t, name), name)
}

func newDatabase(t *testing.T, name database.Name) string {
	t.Helper()
	url := testenv.Database(t)
	_, err := database.Migrate(t.Context(), url, name)
	require.NoError(t, err)
	return url
}

func openPool(t *testing.T, url string, name database.Name) *pgxpool.Pool {
	t.Helper()
	pool, err := database.Open(t.Context(), url, database.Pool{
		MaxConns:         8,
		ConnectTimeout:   5 * time.Second,
		StatementTimeout: 10 * time.Second,
		IndexOnly:        true,
		Holds:            name,
	}, "outbox-test", nil)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// event is a row to insert.
type event struct {
	id        uuid.UUID
	aggregate uuid.UUID
	version   int64
	kind      string
	headers   string
}

// newEvent returns an event of an aggregate.
func newEvent(aggregate uuid.UUID, version int64) event {
	return event{
		id:        uuid.Must(uuid.NewV7()),
		aggregate: aggregate,
		version:   version,
		kind:      "order.created",
		headers:   `{}`,
	}
}

// insert commits events, each with its version as its data.
func insert(t *testing.T, pool *pgxpool.Pool, rows ...event) {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	for _, e := range rows {
		_, err := tx.Exec(t.Context(), insertSQL, e.args()...)
		require.NoError(t, err)
	}
	require.NoError(t, tx.Commit(t.Context()))
}

const insertSQL = `INSERT INTO outbox (event_id, aggregate_type, aggregate_id, aggregate_version, event_type,
	schema_version, payload, headers, created_at, available_at) VALUES ($1, 'order', $2, $3, $4, 1, $5, $6, now(), now())`

func (e event) args() []any {
	return []any{e.id, e.aggregate, e.version, e.kind, fmt.Sprintf(`{"n":%d}`, e.version), e.headers}
}

// lease leases events and returns their ids.
func lease(t *testing.T, store *outbox.Store, size int) []uuid.UUID {
	t.Helper()
	leased, _, err := store.Lease(t.Context(), size, time.Minute)
	require.NoError(t, err)
	ids := make([]uuid.UUID, len(leased))
	for i, e := range leased {
		ids[i] = e.ID
	}
	return ids
}

// leaseSoon leases until there is something, because a blocked event becomes due a moment later.
func leaseSoon(t *testing.T, store *outbox.Store) []uuid.UUID {
	t.Helper()
	var ids []uuid.UUID
	require.Eventually(t, func() bool {
		ids = lease(t, store, 100)
		return len(ids) > 0
	}, 10*time.Second, 10*time.Millisecond)
	return ids
}

// unpublished counts the events that wait.
func unpublished(t *testing.T, pool *pgxpool.Pool) (n int) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM outbox WHERE published_at IS NULL`).Scan(&n))
	return n
}
