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

// TestDatabaseKeys: the database itself refuses a second row with the same key, by the constraint whose name the store
// maps to an error.
func TestDatabaseKeys(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	p := s.Stock(t, 5)
	_, err := s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 2)))
	require.NoError(t, err)

	// Each statement copies the row and changes the columns that belong to the other keys.
	const (
		reservationRest   = ", request_hash, status, expires_at, actor, reserve_operation, created_at"
		insertReservation = "INSERT INTO reservations (owner_kind, reservation_id, owner_id, number" + reservationRest +
			") SELECT owner_kind, "
		fromReservations = reservationRest + " FROM reservations"

		eventRest   = ", event_type, schema_version, payload, headers, created_at, available_at"
		insertEvent = "INSERT INTO outbox (event_id, aggregate_type, aggregate_id, aggregate_version" + eventRest +
			") SELECT "
		fromOutbox = eventRest + " FROM outbox"
	)
	for _, c := range []struct {
		constraint string
		sql        string
	}{
		{
			"reservations_pkey",
			insertReservation + "reservation_id, gen_random_uuid(), number + 1" + fromReservations,
		},
		{
			"reservations_owner_key",
			insertReservation + "gen_random_uuid(), owner_id, number" + fromReservations,
		},
		{
			"items_product_location_key",
			"INSERT INTO items (product_id, location_id) SELECT product_id, location_id FROM items",
		},
		{
			"outbox_pkey",
			insertEvent + "event_id, aggregate_type, gen_random_uuid(), aggregate_version + 1" + fromOutbox,
		},
		{
			"outbox_aggregate_version_key",
			insertEvent + "gen_random_uuid(), aggregate_type, aggregate_id, aggregate_version" + fromOutbox,
		},
	} {
		_, err := s.Pool.Exec(t.Context(), c.sql)
		var pg *pgconn.PgError
		require.ErrorAs(t, err, &pg, c.constraint)
		require.Equal(t, c.constraint, pg.ConstraintName)
	}
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestItemsAreNeverDeleted: the database refuses to delete items. The ledger and the lines that name an item have no
// foreign key that would prevent it.
func TestItemsAreNeverDeleted(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	s.Stock(t, 5)
	for _, sql := range []string{"DELETE FROM items", "TRUNCATE items CASCADE"} {
		_, err := s.Pool.Exec(t.Context(), sql)
		var pg *pgconn.PgError
		require.ErrorAs(t, err, &pg, sql)
		require.Equal(t, "items_never_deleted", pg.ConstraintName)
	}
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestItemsAreLockedInOrder: a request that waits for the first of its items has not locked the others yet, in any
// order of its lines. Otherwise two requests for the same items could wait for each other.
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
	rows, err := tx.Query(t.Context(),
		"SELECT product_id FROM items WHERE product_id = ANY ($1) FOR UPDATE SKIP LOCKED", ids)
	require.NoError(t, err)
	free, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	require.NoError(t, err)
	require.NoError(t, tx.Rollback(t.Context()))

	unlock()
	require.NoError(t, <-done)
	require.ElementsMatch(t, ids[:products-1], free)
	inventorytest.RequireConsistent(t, s.Pool)
}
