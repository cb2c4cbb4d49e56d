package database_test

import (
	"database/sql"
	"errors"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"holdfast/db/migrations"
	"holdfast/internal/database"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// TestUpDownUp migrates every database up, down and up again, with data in it.
func TestUpDownUp(t *testing.T) {
	t.Parallel()
	rows := map[database.Name]string{
		database.Orders: `
			INSERT INTO products (product_id, sku, name) VALUES (gen_random_uuid(), 'A', 'A thing');
			INSERT INTO product_prices SELECT product_id, 'EUR', 100 FROM products;
			INSERT INTO orders (order_id, seq, state, request_hash, customer_id, total_minor, currency,
				workflow_id, run_id, created_at, updated_at)
			VALUES (gen_random_uuid(), 1, 'reserved', decode(repeat('ab', 32), 'hex'), 'alice', 100, 'EUR',
				'w', 'r', now(), now());
			INSERT INTO order_timeline (order_id, seq, event, from_state, state, at, actor)
			SELECT order_id, 1, 'reserved', '', 'reserved', now(), 'system' FROM orders`,
		database.Inventory: `
			INSERT INTO locations (code, name, priority) VALUES ('main', 'Main', 1);
			INSERT INTO items (product_id, location_id, quantity) SELECT gen_random_uuid(), location_id, 5 FROM locations`,
		database.Sandbox: `
			INSERT INTO charges (payment_key, provider_ref, method, amount_minor, currency, state)
			VALUES ('k', 'r', 'pm_ok', 1, 'EUR', 'authorised'), ('a', 's', 'pm_action_required', 1, 'EUR', 'requires_action');
			INSERT INTO webhooks (event_id, body, due_at) VALUES (gen_random_uuid(), '{}', now())`,
	}
	for _, name := range database.Names() {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			url := testenv.Database(t)
			up, err := database.Migrate(t.Context(), url, name)
			require.NoError(t, err)
			require.NotEmpty(t, up)

			conn, err := pgx.Connect(t.Context(), url)
			require.NoError(t, err)
			_, err = conn.Exec(t.Context(), rows[name])
			require.NoError(t, err)
			require.NoError(t, conn.Close(t.Context()))

			down, err := database.MigrateDown(t.Context(), url, name)
			require.NoError(t, err)
			require.Len(t, down, len(up))
			again, err := database.Migrate(t.Context(), url, name)
			require.NoError(t, err)
			require.Len(t, again, len(up))

			none, err := database.Migrate(t.Context(), url, name)
			require.NoError(t, err)
			require.Empty(t, none)
		})
	}
}

// TestEveryMigrationGoesBack migrates each database one version up, back and up again: the way down of a migration
// leaves the schema that was there before it.
func TestEveryMigrationGoesBack(t *testing.T) {
	t.Parallel()
	for _, name := range database.Names() {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			url := testenv.Database(t)
			files, err := fs.Sub(migrations.FS, string(name))
			require.NoError(t, err)
			db, err := sql.Open("pgx", url)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, db.Close()) })
			p, err := goose.NewProvider(goose.DialectPostgres, db, files)
			require.NoError(t, err)

			for {
				before := schemaOf(t, db)
				up, err := p.UpByOne(t.Context())
				if errors.Is(err, goose.ErrNoNextVersion) {
					return
				}
				require.NoError(t, err)
				after := schemaOf(t, db)

				_, err = p.Down(t.Context())
				require.NoError(t, err)
				if up.Source.Version > 1 { // goose makes its own table with the first
					requireSame(t, before, schemaOf(t, db), "the way down of "+up.Source.Path)
				}
				_, err = p.UpByOne(t.Context())
				require.NoError(t, err)
				requireSame(t, after, schemaOf(t, db), "the way up again of "+up.Source.Path)
			}
		})
	}
}

// TestFailedMigrationLeavesNothing: of a migration that fails, nothing stays; those before it stay, and the corrected
// file goes on from there. The guide on migrations promises that there is no dirty state.
func TestFailedMigrationLeavesNothing(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("pgx", testenv.Database(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	file := func(up string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("-- +goose Up\n" + up + "\n-- +goose Down\nSELECT 1;\n")}
	}
	files := fstest.MapFS{
		"00001_first.sql":  file("CREATE TABLE first (n int);"),
		"00002_second.sql": file("CREATE TABLE second (n int); ALTER TABLE second ADD CHECK (no_such_column > 0);"),
	}
	up := func() error {
		p, err := goose.NewProvider(goose.DialectPostgres, db, files)
		require.NoError(t, err)
		_, err = p.Up(t.Context())
		return err
	}
	tables := func() (n int) {
		require.NoError(t, db.QueryRowContext(t.Context(),
			"SELECT count(*) FROM pg_tables WHERE tablename IN ('first', 'second')").Scan(&n))
		return n
	}

	require.ErrorContains(t, up(), "no_such_column")
	require.Equal(t, 1, tables())
	files["00002_second.sql"] = file("CREATE TABLE second (n int);")
	require.NoError(t, up())
	require.Equal(t, 2, tables())
}

// TestMigrationsRunInTransactions: a migration outside of a transaction could stop half done.
func TestMigrationsRunInTransactions(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(migrations.FS, "*/*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := fs.ReadFile(migrations.FS, file)
		require.NoError(t, err)
		require.NotContains(t, string(text), "NO TRANSACTION", file)
		require.Contains(t, string(text), "-- +goose Down", file)
	}
}

// TestIndexesCanBeMadeBefore: a migration that indexes a table of an earlier migration accepts the index that an
// operator created CONCURRENTLY, and changes nothing else, because its locks last as long as the index takes. Older
// migrations are released as they are.
func TestIndexesCanBeMadeBefore(t *testing.T) {
	t.Parallel()
	first := map[string]int{"orders": 29, "inventory": 16, "sandbox": 3}
	index := regexp.MustCompile(`(?is)CREATE\s+(?:UNIQUE\s+)?INDEX\s+(.*?)\s+ON\s+(?:ONLY\s+)?(\w+)`)
	files, err := fs.Glob(migrations.FS, "*/*.sql")
	require.NoError(t, err)
	checked := 0
	for _, file := range files {
		number, err := strconv.Atoi(path.Base(file)[:5])
		require.NoError(t, err)
		if number < first[path.Dir(file)] {
			continue
		}
		text, err := fs.ReadFile(migrations.FS, file)
		require.NoError(t, err)
		up, _, _ := strings.Cut(string(text), "-- +goose Down")
		for _, found := range index.FindAllStringSubmatch(up, -1) {
			if regexp.MustCompile(`(?i)CREATE\s+TABLE\s+(IF NOT EXISTS\s+)?` + found[2] + `\b`).MatchString(up) {
				continue // a new table is empty
			}
			require.Regexp(t, `(?i)^IF NOT EXISTS\s+\w+$`, found[1], "%s: see docs/guides/migrations.md", file)
			require.NotRegexp(t, `(?i)\bALTER\s+TABLE\b`, up, "%s: put the index into a migration of its own", file)
			checked++
		}
	}
	require.NotZero(t, checked)
}

// requireSame compares two schemas and shows only where they differ.
func requireSame(t *testing.T, want, got []string, where string) {
	t.Helper()
	without := func(a, b []string) []string {
		return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
	}
	require.Empty(t, without(want, got), "%s lacks these", where)
	require.Empty(t, without(got, want), "%s leaves these", where)
}

// schemaOf describes the columns, constraints, indexes and triggers of a database. A constraint that is not checked for
// rows that were there before it (NOT VALID) counts as the same constraint.
func schemaOf(t *testing.T, db *sql.DB) (out []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `
		SELECT concat_ws(' ', 'column', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull,
			pg_get_expr(adbin, adrelid))
		FROM pg_attribute
		JOIN pg_class c ON c.oid = attrelid AND relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
		LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
		WHERE attnum > 0 AND NOT attisdropped
		UNION ALL
		SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, replace(pg_get_constraintdef(oid), ' NOT VALID', ''))
		FROM pg_constraint WHERE connamespace = 'public'::regnamespace
		UNION ALL
		SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
		UNION ALL
		SELECT 'trigger ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
		ORDER BY 1`)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	for rows.Next() {
		var one string
		require.NoError(t, rows.Scan(&one))
		out = append(out, one)
	}
	require.NoError(t, rows.Err())
	return out
}

// TestMigratorsAtOnce lets eight goroutines migrate one database: one of them applies each migration.
func TestMigratorsAtOnce(t *testing.T) {
	t.Parallel()
	url := testenv.Database(t)
	counts, errs := make([]int, 8), make([]error, 8)
	var wg sync.WaitGroup
	for i := range counts {
		wg.Go(func() {
			applied, err := database.Migrate(t.Context(), url, database.Orders)
			counts[i], errs[i] = len(applied), err
		})
	}
	wg.Wait()

	total := 0
	for i := range counts {
		require.NoError(t, errs[i])
		total += counts[i]
	}
	files, err := fs.Glob(migrations.FS, "orders/*.sql")
	require.NoError(t, err)
	require.Len(t, files, total)
}

// TestEnsureDatabaseAtOnce lets four goroutines create the same database: one of them creates it.
func TestEnsureDatabaseAtOnce(t *testing.T) {
	t.Parallel()
	url := testenv.Database(t)
	cfg, err := pgx.ParseConfig(url)
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), testenv.Postgres(t))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	_, err = conn.Exec(t.Context(), "DROP DATABASE "+pgx.Identifier{cfg.Database}.Sanitize())
	require.NoError(t, err)

	created := make([]bool, 4)
	var wg sync.WaitGroup
	for i := range created {
		wg.Go(func() {
			var err error
			created[i], err = database.EnsureDatabase(t.Context(), url)
			require.NoError(t, err)
		})
	}
	wg.Wait()

	n := 0
	for _, c := range created {
		if c {
			n++
		}
	}
	require.Equal(t, 1, n)
}
