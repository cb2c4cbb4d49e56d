package archive_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventorytest"
)

// TestArchiveGuards: even in an archiving session, the database lets rows leave only for the archive, whole, in order,
// and with their sums.
func TestArchiveGuards(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	history(t, s)
	p := s.Stock(t, 5)
	pending := inventorytest.NewReserve(inventorytest.Line(p, 2))
	_, err := s.API.Reserve(t.Context(), pending)
	require.NoError(t, err)
	tomb := inventorytest.NewReserve(inventorytest.Line(p, 1))
	_, err = s.API.Release(t.Context(), tomb.ReservationID, inventorytest.ReleaseOf(tomb))
	require.NoError(t, err)

	const (
		allow    = "SET LOCAL holdfast.archive = 'on'; "
		copied   = "INSERT INTO archive.stock_ledger SELECT * FROM stock_ledger; "
		guardOff = "SET LOCAL session_replication_role = replica; "
		guardOn  = "SET LOCAL session_replication_role = origin; "
	)
	for _, c := range []struct {
		name            string
		constraint, sql string
	}{
		{"normal session", "", copied + "DELETE FROM stock_ledger"},
		{"update", "", allow + "UPDATE stock_ledger SET reason = 'x'"},
		{"truncate", "", allow + "TRUNCATE stock_ledger"},
		{"not in the archive", "stock_ledger_leaves_for_archive", allow + "DELETE FROM stock_ledger WHERE kind = 'received'"},
		{
			"different from its archived copy", "stock_ledger_leaves_for_archive",
			allow + `INSERT INTO archive.stock_ledger
				SELECT ledger_id, operation_id, item_id, line, kind, quantity_delta + 1, reserved_delta,
					quantity_after, reserved_after, version_after, reservation_id, actor, reason, created_at
				FROM stock_ledger;
				DELETE FROM stock_ledger WHERE kind = 'received'`,
		},
		{"reservation stays", "stock_ledger_leaves_for_archive", allow + copied + "DELETE FROM stock_ledger"},
		{
			"out of order", "stock_ledger_leaves_for_archive",
			allow + copied +
				guardOff + "DELETE FROM reservations; " + guardOn +
				"DELETE FROM stock_ledger WHERE kind <> 'received'",
		},
		{
			"sums", "stock_ledger_leaves_for_archive",
			allow +
				guardOff + "UPDATE stock_ledger SET quantity_after = quantity_after + 1; " + guardOn +
				copied + "DELETE FROM stock_ledger WHERE kind = 'received'",
		},
		{
			"reservation deleted", "reservations_leave_for_archive",
			allow + "DELETE FROM reservations WHERE status = 'released'",
		},
		{
			"tombstone deleted", "reservations_leave_for_archive",
			allow + "DELETE FROM reservations WHERE request_hash IS NULL",
		},
		{
			"without its lines", "reservations_leave_for_archive",
			allow + `INSERT INTO archive.reservations SELECT * FROM reservations WHERE status <> 'pending';
				DELETE FROM reservations WHERE status <> 'pending'`,
		},
		{
			"line deleted", "reservation_lines_leave_for_archive",
			allow + "DELETE FROM reservation_lines WHERE NOT open",
		},
		{
			"a second time", "archived_reservations_pkey",
			"INSERT INTO archive.reservations SELECT * FROM reservations WHERE status <> 'pending'; " +
				guardOff + "DELETE FROM reservations WHERE status <> 'pending'; " + guardOn +
				"INSERT INTO reservations SELECT * FROM archive.reservations LIMIT 1",
		},
		{
			"pending reservation", "archived_reservations_finished",
			"INSERT INTO archive.reservations SELECT * FROM reservations",
		},
		{
			"open line", "archived_reservation_lines_closed",
			"INSERT INTO archive.reservation_lines SELECT * FROM reservation_lines",
		},
		{
			"invented balance", "ledger_balances_follow",
			allow + "INSERT INTO ledger_balances VALUES (1, 1, 1, 1, 1, 1)",
		},
		{"archive deleted", "", allow + copied + "DELETE FROM archive.stock_ledger"},
		{"archive changed", "", allow + copied + "UPDATE archive.stock_ledger SET reason = 'x'"},
		{"archive truncated", "", allow + "TRUNCATE archive.stock_ledger"},
		{
			"an archived operation again", "archived_stock_ledger_operation_key",
			copied + `INSERT INTO archive.stock_ledger
				SELECT ledger_id + 1000000, operation_id, item_id, line, kind, quantity_delta, reserved_delta,
					quantity_after, reserved_after, version_after, reservation_id, actor, reason, created_at
				FROM stock_ledger`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			tx, err := s.Pool.Begin(t.Context())
			require.NoError(t, err)
			defer func() { require.NoError(t, tx.Rollback(t.Context())) }()
			_, err = tx.Exec(t.Context(), c.sql, pgx.QueryExecModeSimpleProtocol)
			var pg *pgconn.PgError
			require.ErrorAs(t, err, &pg)
			require.Equal(t, c.constraint, pg.ConstraintName, pg.Message)
			if c.constraint == "" {
				require.Contains(t, pg.Message, "append-only")
			}
		})
	}
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestArchiveTablesMatch: each archive table has the columns of its table, so a migration must add a column to both.
func TestArchiveTablesMatch(t *testing.T) {
	t.Parallel()
	_, pool := inventorytest.NewDatabase(t)
	for _, table := range []string{"reservations", "reservation_lines", "stock_ledger"} {
		columns := func(schema string) []string {
			rows, err := pool.Query(t.Context(), `
				SELECT format('%s %s %s %s', ordinal_position, column_name, data_type, is_nullable)
				FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2
				ORDER BY ordinal_position`, schema, table)
			require.NoError(t, err)
			out, err := pgx.CollectRows(rows, pgx.RowTo[string])
			require.NoError(t, err)
			require.NotEmpty(t, out)
			return out
		}
		require.Equal(t, columns("public"), columns("archive"), table)
	}
}
