package main

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/internal/database"
	"holdfast/inventory"
	"holdfast/inventory/inventorytest"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// TestArchiveCommand runs the command as an operator does.
func TestArchiveCommand(t *testing.T) {
	url := testenv.Database(t)
	t.Setenv("INVENTORY_DATABASE_URL", url)
	run := func(ctx context.Context, args ...string) (out, progress string, err error) {
		var stdout, stderr bytes.Buffer
		root := newRoot()
		root.SetArgs(append([]string{"archive"}, args...))
		root.SetOut(&stdout)
		root.SetErr(&stderr)
		err = root.ExecuteContext(ctx)
		return stdout.String(), stderr.String(), err
	}

	_, _, err := run(t.Context())
	require.ErrorContains(t, err, "holdfast migrate", "it needs the schema")

	_, err = database.Migrate(t.Context(), url, database.Inventory)
	require.NoError(t, err)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	defer pool.Close()
	s := inventorytest.NewSubject(t, nil, pool)
	svc := inventory.New(inventory.Options{Pool: pool})
	defer svc.Close()

	p := s.Stock(t, 10)
	for range 3 {
		in := inventorytest.NewReserve(inventorytest.Line(p, 1))
		_, err = svc.Reserve(t.Context(), in)
		require.NoError(t, err)
		_, err = svc.Release(t.Context(), in.ReservationID, inventorytest.ReleaseOf(in))
		require.NoError(t, err)
	}
	inventorytest.Backdate(t, pool, 72*time.Hour)

	_, _, err = run(t.Context(), "--older-than", "47h")
	require.ErrorContains(t, err, "at least 48h")

	out, _, err := run(t.Context())
	require.NoError(t, err)
	require.Contains(t, out, "reservations  0: ", "by default nothing is that old")

	out, _, err = run(t.Context(), "--older-than", "49h", "--dry-run")
	require.NoError(t, err)
	require.Contains(t, out, "dry run: nothing was written")
	require.Contains(t, out, "reservations  3: 0 confirmed, 3 released, 0 expired, 0 tombstones; 3 lines")
	require.Contains(t, out, "ledger        7 entries")

	stopped, stop := context.WithCancel(t.Context())
	stop()
	_, _, err = run(stopped, "--older-than", "49h")
	require.Error(t, err, "the command was told to stop before it began")

	out, progress, err := run(t.Context(),
		"--older-than", "49h", "--outbox-older-than", "48h", "--batch", "2", "--pause", "1ms")
	require.NoError(t, err)
	require.Contains(t, out, "reservations  3: 0 confirmed, 3 released, 0 expired, 0 tombstones; 3 lines\n"+
		"ledger        7 entries\n"+
		"deleted       7 published events")
	require.Contains(t, progress, "reservations: ")
	inventorytest.RequireConsistent(t, pool)
}
