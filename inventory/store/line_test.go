package store_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/db/migrations"
	"holdfast/internal/database"
	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

// TestHotItemStaysHeapOnly: the index on low items does not make updates of a busy item slower. All its updates stay
// heap-only, except the update that takes it below its threshold.
func TestHotItemStaysHeapOnly(t *testing.T) {
	t.Parallel()
	url, observer := inventorytest.NewDatabase(t)
	busy, err := database.Open(context.WithoutCancel(t.Context()), url, database.Pool{MaxConns: 1}, "busy", nil)
	require.NoError(t, err)
	defer busy.Close()
	s := inventorytest.NewSubject(t, inventory.New(inventory.Options{Pool: busy}), busy)
	p := s.Stock(t, 60)

	const reserves = 100 // half of them while the item is low
	for range reserves / 2 {
		in, err := s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 1)))
		require.NoError(t, err)
		require.NotEmpty(t, in.Lines)
	}
	var low bool
	require.NoError(t, busy.QueryRow(t.Context(), "SELECT low_stock FROM items WHERE product_id = $1", p).Scan(&low))
	require.True(t, low, "10 of 60 are left")
	for range reserves / 2 {
		in := inventorytest.NewReserve(inventorytest.Line(p, 1))
		_, err := s.API.Reserve(t.Context(), in)
		require.NoError(t, err)
		_, err = s.API.Release(t.Context(), in.ReservationID, inventorytest.ReleaseOf(in))
		require.NoError(t, err)
	}

	busy.Close() // a server process reports its counts when it ends
	const updates = 1 + reserves/2 + reserves
	var all, heapOnly int
	require.Eventually(t, func() bool {
		err := observer.QueryRow(t.Context(),
			"SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'items'").Scan(&all, &heapOnly)
		return err == nil && all == updates
	}, 10*time.Second, 10*time.Millisecond, "%d updates are counted", updates)

	// One update changes the boolean: the reserve that reaches the threshold. A few others may find no room on their
	// page while another transaction still sees the old versions there. With an index on the counters, no update would
	// be heap-only.
	require.LessOrEqual(t, heapOnly, updates-1)
	require.Greater(t, heapOnly, updates*9/10)
}

// TestEndedInTheSameBatch: if one batch makes and ends a reservation, it writes the lines closed. If a later batch ends
// the reservation, that batch closes the lines. The database refuses to open a closed line.
func TestEndedInTheSameBatch(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	p := s.Stock(t, 10, 10)
	in := inventorytest.NewReserve(inventorytest.Line(p, 15))
	decideTogether(t, s.Pool, in, inventorytest.ReleaseOf(in))
	inventorytest.RequireConsistent(t, s.Pool)
	require.Zero(t, openLines(t, s.Pool))

	later := inventorytest.NewReserve(inventorytest.Line(p, 15))
	_, err := s.API.Reserve(t.Context(), later)
	require.NoError(t, err)
	require.Equal(t, 2, openLines(t, s.Pool), "the line is split over two locations")
	_, err = s.API.Confirm(t.Context(), later.ReservationID, inventorytest.Resolve())
	require.NoError(t, err)
	require.Zero(t, openLines(t, s.Pool))
	_, err = s.API.Return(t.Context(), later.ReservationID, inventorytest.ReturnOf())
	require.NoError(t, err, "a return does not close the lines again")
	require.Zero(t, openLines(t, s.Pool))
	inventorytest.RequireConsistent(t, s.Pool)

	_, err = s.Pool.Exec(t.Context(), "UPDATE reservation_lines SET open = true")
	var refused *pgconn.PgError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "reservation_lines_closed_is_final", refused.ConstraintName)
}

// TestLinesThatExistedAreClosed: the migrations that add the boolean and the deadline set them by the status and the
// deadline of the reservations.
func TestLinesThatExistedAreClosed(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	p := s.Stock(t, 10)
	ended := inventorytest.NewReserve(inventorytest.Line(p, 1))
	for _, in := range []inventoryapi.ReserveRequest{ended, inventorytest.NewReserve(inventorytest.Line(p, 2))} {
		_, err := s.API.Reserve(t.Context(), in)
		require.NoError(t, err)
	}
	_, err := s.API.Confirm(t.Context(), ended.ReservationID, inventorytest.Resolve())
	require.NoError(t, err)

	var ups, downs []string
	for _, name := range []string{"00007_queries.sql", "00012_overdue.sql"} {
		script, err := migrations.FS.ReadFile("inventory/" + name)
		require.NoError(t, err)
		up, down, found := strings.Cut(string(script), "-- +goose Down")
		require.True(t, found)
		ups, downs = append(ups, up), append(downs, down)
	}
	for _, sql := range []string{downs[1], downs[0], ups[0], ups[1]} {
		_, err = s.Pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	require.Equal(t, 1, openLines(t, s.Pool))
	inventorytest.RequireConsistent(t, s.Pool)
}

// decideTogether commits a reserve and a release as one batch.
func decideTogether(
	t *testing.T, pool *pgxpool.Pool, reserve inventoryapi.ReserveRequest, release inventoryapi.ReleaseRequest,
) {
	t.Helper()
	first, err := stock.NewReserve(reserve, time.Minute, "")
	require.NoError(t, err)
	second, err := stock.NewRelease(reserve.ReservationID, release, "")
	require.NoError(t, err)
	var reads stock.Reads
	first.Reads(&reads)
	second.Reads(&reads)

	require.NoError(t, store.New(pool).Decide(t.Context(), reads, func(b *stock.Book) (stock.Changes, error) {
		if _, err := stock.Decide(b, first); err != nil {
			return stock.Changes{}, err
		}
		if _, err := stock.Decide(b, second); err != nil {
			return stock.Changes{}, err
		}
		return b.Changes(), nil
	}))
}

func openLines(t *testing.T, pool *pgxpool.Pool) (n int) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM reservation_lines WHERE open").Scan(&n))
	return n
}
