package inventory_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

// TestDatabaseGuardsBackorders: the database itself refuses these changes, also if the service does not.
func TestDatabaseGuardsBackorders(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	p := s.Stock(t, 0)
	waiting := placeWaiting(t, s.Service, inventorytest.Line(p, 1))
	cancelled := placeWaiting(t, s.Service, inventorytest.Line(p, 1))
	_, err := s.Service.CancelBackorder(t.Context(), cancelled.BackorderID, inventorytest.CancelOf(cancelled))
	require.NoError(t, err)

	const (
		rest = ", request_hash, status, deadline, ttl_seconds, actor, place_operation, resolve_operation, created_at," +
			" resolved_at"
		again = "INSERT INTO backorders (owner_kind, backorder_id, owner_id, number" + rest + ") SELECT owner_kind, "
		from  = rest + " FROM backorders"
	)
	for _, c := range []struct{ constraint, sql string }{
		{
			"backorders_terminal_is_final",
			"UPDATE backorders SET status = 'waiting', resolved_at = NULL, resolve_operation = NULL WHERE status = 'cancelled'",
		},
		{"backorders_resolved_once", "UPDATE backorders SET resolved_at = NULL WHERE status = 'cancelled'"},
		{"backorders_pkey", again + "backorder_id, gen_random_uuid(), number" + from},
		{"backorders_owner_key", again + "gen_random_uuid(), owner_id, number" + from},
		{"items_waiting_not_negative", "UPDATE items SET waiting = -1"},
		{
			"reservations_not_backordered",
			`INSERT INTO reservations (reservation_id, owner_kind, owner_id, number, request_hash, status, expires_at, actor,
				reserve_operation, created_at)
			SELECT backorder_id, owner_kind, owner_id, number, sha256('x'), 'pending', now(), 'test', gen_random_uuid(), now()
			FROM backorders WHERE backorder_id = '` + waiting.BackorderID.String() + "'",
		},
	} {
		_, err := s.Pool.Exec(t.Context(), c.sql)
		var pg *pgconn.PgError
		require.ErrorAs(t, err, &pg, c.constraint)
		require.Equal(t, c.constraint, pg.ConstraintName)
	}
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestStaleBackorderRefused: a decision about a backorder that was extended meanwhile writes nothing.
func TestStaleBackorderRefused(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	in := placeWaiting(t, s.Service, inventorytest.Line(s.Stock(t, 0), 1))
	st := store.New(s.Pool)
	request, err := stock.NewCancelBackorder(in.BackorderID, inventorytest.CancelOf(in))
	require.NoError(t, err)
	var reads stock.Reads
	request.Reads(&reads)
	var stale stock.Changes
	require.NoError(t, st.Decide(t.Context(), reads, func(b *stock.Book) (stock.Changes, error) {
		_, err := stock.Decide(b, request)
		stale = b.Changes()
		return stock.Changes{}, err
	}))

	now, err := s.Service.GetBackorder(t.Context(), in.BackorderID)
	require.NoError(t, err)
	_, err = s.Service.ExtendBackorder(t.Context(), in.BackorderID, inventoryapi.ExtendBackorderRequest{
		Deadline: now.Deadline.AddDate(0, 0, 1), Actor: inventorytest.Actor,
	})
	require.NoError(t, err)
	err = st.Decide(t.Context(), stock.Reads{}, func(*stock.Book) (stock.Changes, error) {
		stale.Items = nil // the versions of the items are another guard
		return stale, nil
	})
	require.ErrorIs(t, err, store.ErrVersionConflict)
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestReservationTakesNoNumberOfABackorder: a reservation that took the number of a waiting backorder, which no key
// prevents, does not stop the receipts of the product: the backorder is skipped.
func TestReservationTakesNoNumberOfABackorder(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	p := s.Stock(t, 0)
	first := placeWaiting(t, s.Service, inventorytest.Line(p, 1))
	second := placeWaiting(t, s.Service, inventorytest.Line(p, 1))
	_, err := s.Pool.Exec(t.Context(), `
		INSERT INTO reservations (reservation_id, owner_kind, owner_id, number, request_hash, status, expires_at, actor,
			reserve_operation, resolve_operation, created_at, resolved_at)
		VALUES (gen_random_uuid(), 'order', $1, 1, sha256('x'), 'released', now(), 'test', gen_random_uuid(),
			gen_random_uuid(), now(), now())`, first.OwnerID)
	require.NoError(t, err)

	_, err = s.Service.Receive(t.Context(), received(p, 1))
	require.NoError(t, err)
	now, err := s.Service.GetBackorder(t.Context(), first.BackorderID)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.BackorderWaiting, now.Status)
	now, err = s.Service.GetBackorder(t.Context(), second.BackorderID)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.BackorderGranted, now.Status)
}
