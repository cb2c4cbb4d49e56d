package store_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
)

// TestDatabaseKeys: a second row for what exists once is refused by the database, and by the constraint that
// the code above knows by name, whatever else would have noticed.
func TestDatabaseKeys(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	p := s.Stock(t, 5)
	_, err := s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 2)))
	require.NoError(t, err)
	const (
		reservation = ", gen_random_uuid(), number + 1, request_hash, status, expires_at, actor, reserve_operation, created_at FROM reservations"
		intoOf      = "INSERT INTO reservations (owner_kind, reservation_id, owner_id, number, request_hash, status, expires_at, actor, reserve_operation, created_at) SELECT owner_kind, "
		outbox      = "INSERT INTO outbox (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, schema_version, payload, headers, created_at, available_at) SELECT "
		event       = ", event_type, schema_version, payload, headers, created_at, available_at FROM outbox"
	)
	for _, c := range []struct {
		constraint string
		sql        string
	}{
		{"reservations_pkey", intoOf + "reservation_id" + reservation},
		{"reservations_owner_key", intoOf + "gen_random_uuid(), owner_id, number, request_hash, status, expires_at, actor, reserve_operation, created_at FROM reservations"},
		{"items_product_location_key", "INSERT INTO items (product_id, location_id) SELECT product_id, location_id FROM items"},
		{"outbox_pkey", outbox + "event_id, aggregate_type, gen_random_uuid(), aggregate_version + 1" + event},
		{"outbox_aggregate_version_key", outbox + "gen_random_uuid(), aggregate_type, aggregate_id, aggregate_version" + event},
	} {
		_, err := s.Pool.Exec(t.Context(), c.sql)
		var pg *pgconn.PgError
		require.ErrorAs(t, err, &pg, c.constraint)
		require.Equal(t, c.constraint, pg.ConstraintName)
	}
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestItemsAreNeverDeleted: the ledger and the lines that name an item have no foreign key that would keep it.
func TestItemsAreNeverDeleted(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	s.Stock(t, 5)
	for _, sql := range []string{"DELETE FROM items", "TRUNCATE items"} {
		_, err := s.Pool.Exec(t.Context(), sql)
		var pg *pgconn.PgError
		require.ErrorAs(t, err, &pg, sql)
		require.Equal(t, "items_never_deleted", pg.ConstraintName)
	}
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestItemsAreLockedInOrder: who waits for the first of its items holds none of the others yet, in whatever
// order they were asked for. Otherwise two who want the same items could wait for each other.
func TestItemsAreLockedInOrder(t *testing.T) {
	t.Parallel()
	const products = 24
	s := inventorytest.NewService(t)
	lines := make([]inventoryapi.ReserveLine, products)
	for i := range lines {
		lines[products-1-i] = inventorytest.Line(s.Stock(t, 5), 1) // the first item is on the last line
	}
	unlock := inventorytest.LockProduct(t, s.Pool, lines[products-1].ProductID)
	done := make(chan error, 1)
	go func() {
		_, err := s.API.Reserve(t.Context(), inventorytest.NewReserve(lines...))
		done <- err
	}()
	inventorytest.AwaitBlocked(t, s.Pool)
	ids := make([]uuid.UUID, products)
	for i, l := range lines {
		ids[i] = l.ProductID
	}
	tx, err := s.Pool.Begin(t.Context())
	require.NoError(t, err)
	rows, err := tx.Query(t.Context(), "SELECT product_id FROM items WHERE product_id = ANY ($1) FOR UPDATE SKIP LOCKED", ids)
	require.NoError(t, err)
	free, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	require.NoError(t, err)
	require.NoError(t, tx.Rollback(t.Context()))
	unlock()
	require.NoError(t, <-done)
	require.ElementsMatch(t, ids[:products-1], free)
	inventorytest.RequireConsistent(t, s.Pool)
}
