package database_test

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"holdfast/db/migrations"
	"holdfast/internal/database"
	"holdfast/tests/testenv"
)

// inventoryRows fill every table of the inventory database, in the form that the table has from the given version on. A
// migration that adds a table adds its rows here.
var inventoryRows = []struct {
	from, until int64 // versions; until 0 means all later ones
	sql         string
}{
	{1, 0, `
		INSERT INTO locations (code, name, priority) VALUES ('main', 'Main', 1), ('far', 'Far', 2);
		INSERT INTO items (product_id, location_id, quantity, reserved)
		SELECT gen_random_uuid(), location_id, 9, 2 FROM locations`},
	{2, 0, `
		INSERT INTO reservations (reservation_id, owner_kind, owner_id, number, request_hash, status, expires_at, actor,
			reserve_operation, resolve_operation, created_at, resolved_at)
		SELECT gen_random_uuid(), 'order', gen_random_uuid(), 1,
			CASE WHEN s <> 'released' THEN decode(repeat('ab', 32), 'hex') END, s, now(), 'alice', gen_random_uuid(),
			CASE WHEN s <> 'pending' THEN gen_random_uuid() END, now(), CASE WHEN s <> 'pending' THEN now() END
		FROM unnest(ARRAY['pending', 'confirmed', 'released', 'expired']) s`},
	{2, 6, `
		INSERT INTO reservation_lines (reservation_id, line_no, item_id, quantity)
		SELECT reservation_id, 1, item_id, 2 FROM reservations, items WHERE status <> 'released'`},
	{7, 0, `
		INSERT INTO reservation_lines (reservation_id, line_no, item_id, quantity, open)
		SELECT reservation_id, 1, item_id, 2, status = 'pending' FROM reservations, items WHERE status <> 'released'`},
	{3, 0, `
		INSERT INTO stock_ledger (operation_id, item_id, line, kind, quantity_delta, reserved_delta,
			quantity_after, reserved_after, version_after, actor, created_at)
		SELECT gen_random_uuid(), item_id, 1, 'received', 9, 0, 9, 0, 1, 'alice', now() FROM items`},
	{4, 4, `
		INSERT INTO outbox (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, schema_version,
			payload, headers, created_at, available_at)
		SELECT gen_random_uuid(), 'reservation', reservation_id, 1, 'inventory.reserved', 1,
			'{"eventType": "inventory.reserved", "data": {"quantity": 2},
				"metadata": {"service": "inventory", "correlationId": "c-1"}}', '{}', now(), now()
		FROM reservations`},
	{4, 0, `
		INSERT INTO processed_events (consumer, event_id) VALUES ('someone', gen_random_uuid())`},
	{5, 0, `
		INSERT INTO outbox (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, schema_version,
			payload, headers, created_at, available_at)
		SELECT gen_random_uuid(), 'reservation', reservation_id, 1, 'inventory.reserved', 1,
			'{"quantity": 2}', '{"correlationId": "c-1"}', now(), now()
		FROM reservations`},
	{6, 0, `
		INSERT INTO stock_imports (import_id, content_hash, settled_rows)
		VALUES (gen_random_uuid(), decode(repeat('cd', 32), 'hex'), '{2, 3}');
		INSERT INTO items (product_id, location_id, deleted_at)
		SELECT gen_random_uuid(), location_id, now() FROM locations`},
	{11, 0, `
		INSERT INTO products (product_id, low_stock_threshold, sellable, catalogue_version)
		VALUES (gen_random_uuid(), 7, false, 3)`},
	{13, 0, `
		INSERT INTO backorders (backorder_id, owner_kind, owner_id, number, request_hash, status, deadline, ttl_seconds,
			actor, place_operation, resolve_operation, created_at, resolved_at)
		SELECT gen_random_uuid(), 'order', gen_random_uuid(), 1,
			CASE WHEN s <> 'cancelled' THEN decode(repeat('ab', 32), 'hex') END, s, now(), 900, 'alice', gen_random_uuid(),
			CASE WHEN s <> 'waiting' THEN gen_random_uuid() END, now(), CASE WHEN s <> 'waiting' THEN now() END
		FROM unnest(ARRAY['waiting', 'granted', 'cancelled', 'expired']) s;
		INSERT INTO backorder_lines (backorder_id, line_no, product_id, quantity, position, deadline, waiting)
		SELECT backorder_id, 1, product_id, 2, position, deadline, status = 'waiting'
		FROM backorders, (SELECT product_id FROM items LIMIT 1) i WHERE status <> 'cancelled';
		INSERT INTO incoming_stock (incoming_id, product_id, location_id, quantity, expected_at, status, actor,
			created_at, updated_at)
		SELECT gen_random_uuid(), product_id, location_id, 9, now(), 'expected', 'alice', now(), now() FROM items`},
	{10, 0, `
		INSERT INTO stock_operations (operation_id, request_hash, answer)
		VALUES (gen_random_uuid(), decode(repeat('ef', 32), 'hex'), '{"replayed": false}')`},
	{15, 0, `
		INSERT INTO reorder_proposals (item_id, cause, status, closed_at, closed_by, reason)
		SELECT item_id, 'low_stock', 'dismissed', now(), 'olga', 'ordered' FROM items LIMIT 1`},
}

// inventoryAt migrates a new database to a version and fills it.
func inventoryAt(t *testing.T, version int64) (url string, p *goose.Provider, conn *pgx.Conn) {
	t.Helper()
	url = testenv.Database(t)
	files, err := fs.Sub(migrations.FS, string(database.Inventory))
	require.NoError(t, err)
	db, err := sql.Open("pgx", url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	p, err = goose.NewProvider(goose.DialectPostgres, db, files)
	require.NoError(t, err)
	if version > 0 {
		_, err = p.UpTo(t.Context(), version)
		require.NoError(t, err)
	}
	conn, err = pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) })
	for _, r := range inventoryRows {
		if version >= r.from && (r.until == 0 || version <= r.until) {
			_, err := conn.Exec(t.Context(), r.sql)
			require.NoError(t, err, "version %d: %s", version, r.sql)
		}
	}

	for table := range columnsOf(t, conn) {
		if table == "ledger_balances" {
			continue // only the archive's trigger writes it; inventory's TestArchiveGoesBack takes it down and up
		}
		var filled bool
		require.NoError(t, conn.QueryRow(t.Context(),
			"SELECT EXISTS (SELECT 1 FROM "+pgx.Identifier{table}.Sanitize()+")").Scan(&filled))
		require.True(t, filled, "version %d has table %s: add rows of it", version, table)
	}
	return url, p, conn
}

// columnsOf returns the columns of each table of the database.
func columnsOf(t *testing.T, conn *pgx.Conn) map[string][]string {
	t.Helper()
	rows, err := conn.Query(t.Context(), `
		SELECT table_name, column_name FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name <> 'goose_db_version'
		ORDER BY 1, 2`)
	require.NoError(t, err)

	out := map[string][]string{}
	var table, column string
	_, err = pgx.ForEachRow(rows, []any{&table, &column}, func() error {
		out[table] = append(out[table], column)
		return nil
	})
	require.NoError(t, err)
	return out
}

// contents returns the rows of each table, with only the given columns.
func contents(t *testing.T, conn *pgx.Conn, columns map[string][]string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for table, names := range columns {
		rows, err := conn.Query(t.Context(), fmt.Sprintf(`
			SELECT (SELECT jsonb_object_agg(key, value) FROM jsonb_each(to_jsonb(r)) WHERE key = ANY ($1))::text
			FROM %s r ORDER BY 1`, pgx.Identifier{table}.Sanitize()), names)
		require.NoError(t, err)
		out[table], err = pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
	}
	return out
}

// TestInventoryFromEveryVersion migrates a filled inventory database from each version up to the newest, down to before
// that version and up again. It keeps all data that the older schema can hold.
func TestInventoryFromEveryVersion(t *testing.T) {
	t.Parallel()
	for _, n := range inventoryVersions(t) {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			_, p, conn := inventoryAt(t, n)
			filled := contents(t, conn, columnsOf(t, conn))

			_, err := p.Up(t.Context())
			require.NoError(t, err)
			newest := columnsOf(t, conn)
			for table, rows := range filled {
				now := contents(t, conn, map[string][]string{table: newest[table]})[table]
				require.Len(t, now, len(rows), "%s on the way up", table)
			}

			_, _, older := inventoryAt(t, n-1)
			both := columnsOf(t, older) // the columns that both the older and the newest schema have
			for table, columns := range both {
				both[table] = slices.DeleteFunc(columns, func(c string) bool {
					return !slices.Contains(newest[table], c)
				})
			}
			before := contents(t, conn, both)

			_, err = p.DownTo(t.Context(), n-1)
			require.NoError(t, err)
			require.Equal(t, columnsOf(t, older), columnsOf(t, conn), "the way down leads to the older schema")

			_, err = p.Up(t.Context())
			require.NoError(t, err)
			require.Equal(t, before, contents(t, conn, both))

			again, err := p.Up(t.Context())
			require.NoError(t, err)
			require.Empty(t, again)
		})
	}
}

func inventoryVersions(t *testing.T) (versions []int64) {
	t.Helper()
	files, err := fs.Glob(migrations.FS, string(database.Inventory)+"/*.sql")
	require.NoError(t, err)
	for _, file := range files { // sorted by name, and the numbers have leading zeros
		number, _, _ := strings.Cut(filepath.Base(file), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		require.NoError(t, err)
		versions = append(versions, version)
	}
	return versions
}

// TestMigratorsAtOnceOnFilledInventory: of two processes that migrate a filled database at the same time, one applies
// the migration, the other has nothing to do, and neither fails.
func TestMigratorsAtOnceOnFilledInventory(t *testing.T) {
	t.Parallel()
	versions := inventoryVersions(t)
	url, _, conn := inventoryAt(t, versions[len(versions)-2])
	before := contents(t, conn, columnsOf(t, conn))

	applied := make([]int, 2)
	var wg sync.WaitGroup
	for i := range applied {
		wg.Go(func() {
			done, err := database.Migrate(context.WithoutCancel(t.Context()), url, database.Inventory)
			if err != nil {
				t.Error(err)
			}
			applied[i] = len(done)
		})
	}
	wg.Wait()

	slices.Sort(applied)
	require.Equal(t, []int{0, 1}, applied)
	after := contents(t, conn, columnsOf(t, conn))
	for table := range before {
		require.Len(t, after[table], len(before[table]), table)
	}
}
