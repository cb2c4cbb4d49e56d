package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/internal/database"
	"holdfast/tests/testenv"
)

// TestMigrateCommand goes up, back by one, to a version and to the newest again, as an operator does.
func TestMigrateCommand(t *testing.T) {
	orders, inventory := testenv.Database(t), testenv.Database(t)
	t.Setenv("ORDERS_DATABASE_URL", orders)
	t.Setenv("INVENTORY_DATABASE_URL", inventory)
	t.Setenv("SANDBOX_DATABASE_URL", "")
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		root := newRoot()
		root.SetArgs(append([]string{"migrate"}, args...))
		root.SetOut(&out)
		root.SetErr(&out)
		err := root.ExecuteContext(t.Context())
		return out.String(), err
	}
	pending := func() int {
		out, err := run("status", "--database", "orders")
		require.NoError(t, err)
		return strings.Count(out, "not applied")
	}

	_, err := run()
	require.NoError(t, err)
	status, err := run("status")
	require.NoError(t, err)
	require.NotContains(t, status, "not applied")
	lines := strings.Split(strings.TrimSpace(status), "\n")
	require.True(t, strings.HasPrefix(lines[0], "orders "), lines[0])
	require.True(t, strings.HasPrefix(lines[len(lines)-1], "inventory "), "both databases are listed")

	for _, wrong := range []struct{ args, says string }{
		{"down --yes", "name the database"},
		{"down --database orders", "add --yes"},
		{"down --database prices --yes", "there is no database"},
		{"down --database sandbox --yes", "SANDBOX_DATABASE_URL is not set"},
		{"to 5", "name the database"},
		{"to 5 --database orders", "add --yes"},
		{"to five --database orders", "is not a version"},
		{"to 9999 --database orders", "there is no migration 9999"},
		{"to -1 --database orders", "unknown shorthand flag"},
	} {
		_, err := run(strings.Fields(wrong.args)...)
		require.ErrorContains(t, err, wrong.says, wrong.args)
		require.Zero(t, pending(), "%s changes nothing", wrong.args)
	}

	out, err := run("down", "--database", "orders", "--yes")
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(out, "orders     down"), out)
	require.Equal(t, 1, pending())
	require.ErrorContains(t, database.Check(t.Context(), orders, database.Orders), "lacks 1 migrations")
	require.NoError(t, database.Check(t.Context(), inventory, database.Inventory), "the other is untouched")

	out, err = run("to", "3", "--database", "orders", "--yes")
	require.NoError(t, err)
	require.Contains(t, out, "down 00004_")
	require.NotContains(t, out, "down 00003_")
	out, err = run("to", "5", "--database", "orders")
	require.NoError(t, err, "the way up needs no confirmation")
	require.Contains(t, out, "up   00005_")

	_, err = run()
	require.NoError(t, err)
	require.Zero(t, pending())
	_, err = run("to", "0", "--database", "orders", "--yes")
	require.NoError(t, err)
	out, err = run("down", "--database", "orders", "--yes")
	require.NoError(t, err, "there is nothing left to take back")
	require.Contains(t, out, "is current")
}
