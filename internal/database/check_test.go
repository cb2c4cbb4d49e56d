package database_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"holdfast/internal/database"
	"holdfast/tests/testenv"
)

// TestCheck: Check writes nothing, and its error names the database, what it lacks and what to do. A service whose
// database lacks a migration is not ready.
func TestCheck(t *testing.T) {
	t.Parallel()
	url := testenv.Database(t)
	err := database.Check(t.Context(), url, database.Orders)
	for _, part := range []string{"orders database", "ORDERS_DATABASE_URL", "00001_orders.sql", "holdfast migrate"} {
		require.ErrorContains(t, err, part)
	}
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	var tables int
	require.NoError(t, conn.QueryRow(t.Context(),
		"SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").Scan(&tables))
	require.Zero(t, tables)

	_, err = database.Migrate(t.Context(), url, database.Orders)
	require.NoError(t, err)
	require.NoError(t, database.Check(t.Context(), url, database.Orders))
	orders, err := database.Open(t.Context(), url, database.Pool{MaxConns: 1, Holds: database.Orders}, "test", nil)
	require.NoError(t, err)
	defer orders.Close()
	ready := database.Migrated(orders, database.Orders)
	require.NoError(t, ready(t.Context()))

	_, err = conn.Exec(t.Context(), "DELETE FROM goose_db_version WHERE version_id = 3")
	require.NoError(t, err)
	err = database.Check(t.Context(), url, database.Orders)
	require.ErrorContains(t, err, "lacks 1 migrations: 00003_product_version.sql;")
	require.ErrorContains(t, ready(t.Context()), "lacks 1 migrations: 00003_product_version.sql;")
	_, err = conn.Exec(t.Context(),
		"INSERT INTO goose_db_version (version_id, is_applied) VALUES (3, true), (99999, true)")
	require.NoError(t, err)
	require.NoError(t, ready(t.Context()), "a newer version has migrated the database")
	require.NoError(t, conn.Close(t.Context()))

	for _, other := range []database.Name{database.Inventory, database.Sandbox} {
		said := strings.ToUpper(string(other)) + "_DATABASE_URL leads to the orders database"
		require.ErrorContains(t, database.Check(t.Context(), url, other), said)
		for _, migrate := range []func(context.Context, string, database.Name) ([]database.Applied, error){
			database.Migrate,
			database.MigrateDown,
		} {
			done, err := migrate(t.Context(), url, other)
			require.ErrorContains(t, err, said)
			require.Empty(t, done)
		}
	}

	pool, err := database.Open(t.Context(), url, database.Pool{MaxConns: 1, Holds: database.Inventory}, "test", nil)
	require.NoError(t, err)
	defer pool.Close()
	err = pool.Ping(t.Context())
	require.ErrorContains(t, err, "INVENTORY_DATABASE_URL leads to the orders database", "a service's pool")

	cfg, err := pgx.ParseConfig(url)
	require.NoError(t, err)
	absent := strings.Replace(url, cfg.Database, "nowhere_at_all", 1)
	require.ErrorContains(t, database.Check(t.Context(), absent, database.Inventory), "does not exist")
	err = database.Check(t.Context(), "postgres://nobody@127.0.0.1:1/x", database.Inventory)
	require.ErrorContains(t, err, "the inventory database: nothing answers at 127.0.0.1:1; is the platform running")
}
