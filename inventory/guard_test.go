package inventory_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"holdfast/internal/auth/authtest"
	"holdfast/internal/correlation"
	"holdfast/internal/database"
	"holdfast/internal/events"
	"holdfast/internal/servicetoken"
	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventoryclient"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

// TestStaleVersionRefused: of two writers that read the same version, the second writes nothing.
func TestStaleVersionRefused(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	p := s.Stock(t, 1)
	st := store.New(s.Pool)

	request, err := stock.NewReserve(inventorytest.NewReserve(inventorytest.Line(p, 1)), time.Minute, "")
	require.NoError(t, err)
	var reads stock.Reads
	request.Reads(&reads)
	var stale stock.Changes
	require.NoError(t, st.Decide(t.Context(), reads, func(b *stock.Book) (stock.Changes, error) {
		_, err := stock.Decide(b, request)
		stale = b.Changes()
		return stock.Changes{}, err
	}))

	_, err = s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 1)))
	require.NoError(t, err)
	err = st.Decide(t.Context(), reads, func(*stock.Book) (stock.Changes, error) { return stale, nil })
	require.ErrorIs(t, err, store.ErrVersionConflict)
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestConflictIsReported: if every attempt at an item loses a race, the answer is 409 version_conflict, which is
// retryable.
func TestConflictIsReported(t *testing.T) {
	t.Parallel()
	s, base := inventorytest.NewServer(t)
	p := s.Stock(t, 10)
	_, err := s.Pool.Exec(t.Context(), `
		CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
		CREATE TRIGGER lose BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION lose();`)
	require.NoError(t, err)

	_, err = s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 1)))
	require.ErrorIs(t, err, inventoryapi.VersionConflict)
	require.True(t, inventoryapi.Retryable(err))
	require.Equal(t, http.StatusConflict, inventoryapi.Table["version_conflict"].Status)
	inventorytest.RequireConsistent(t, s.Pool)

	res, err := http.Get(base + "/metrics")
	require.NoError(t, err)
	body := new(strings.Builder)
	require.NoError(t, res.Write(body))
	require.NoError(t, res.Body.Close())
	require.Contains(t, body.String(), `inventory_operations_total{kind="reserve",outcome="version_conflict"} 1`)
	require.Contains(t, body.String(), `inventory_batch_retries_total{cause="conflict"} 12`)
	require.Contains(t, body.String(), "db_pool_acquired_connections")
}

// TestDatabaseGuards: the database itself refuses these changes, also if the service does not.
func TestDatabaseGuards(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	p := s.Stock(t, 5)
	in := inventorytest.NewReserve(inventorytest.Line(p, 2))
	_, err := s.API.Reserve(t.Context(), in)
	require.NoError(t, err)
	_, err = s.API.Release(t.Context(), in.ReservationID, inventorytest.ReleaseOf(in))
	require.NoError(t, err)
	for _, c := range []struct {
		constraint string
		sql        string
	}{
		{"items_quantity_not_negative", "UPDATE items SET quantity = -1, reserved = -1"},
		{"items_reserved_within_quantity", "UPDATE items SET reserved = quantity + 1"},
		{
			"reservations_terminal_is_final",
			"UPDATE reservations SET status = 'pending', resolved_at = NULL, resolve_operation = NULL",
		},
		{"reservations_resolved_once", "UPDATE reservations SET resolved_at = NULL"},
		{"reservation_lines_returned_within_quantity", "UPDATE reservation_lines SET returned = quantity + 1"},
		{
			"stock_ledger_operation_key",
			`INSERT INTO stock_ledger (operation_id, item_id, line, kind, quantity_delta, reserved_delta,
				quantity_after, reserved_after, version_after, actor, created_at)
			SELECT operation_id, item_id, line, kind, quantity_delta, reserved_delta,
				quantity_after, reserved_after, version_after, actor, created_at
			FROM stock_ledger`,
		},
	} {
		_, err := s.Pool.Exec(t.Context(), c.sql)
		var pg *pgconn.PgError
		require.ErrorAs(t, err, &pg, c.constraint)
		require.Equal(t, c.constraint, pg.ConstraintName)
	}

	for _, sql := range []string{
		"UPDATE stock_ledger SET reason = 'x'",
		"DELETE FROM stock_ledger",
		"TRUNCATE stock_ledger",
	} {
		_, err := s.Pool.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "append-only", sql)
	}
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestOutbox: each change writes an event with its data, stock levels and correlation id.
func TestOutbox(t *testing.T) {
	t.Parallel()
	s, _ := inventorytest.NewServer(t)
	ctx := correlation.With(t.Context(), "corr-1")
	p := s.Stock(t, 5)
	in := inventorytest.NewReserve(inventorytest.Line(p, 2))
	_, err := s.API.Reserve(ctx, in)
	require.NoError(t, err)
	_, err = s.API.Confirm(ctx, in.ReservationID, inventorytest.Resolve())
	require.NoError(t, err)
	back := inventorytest.ReturnOf(inventoryapi.ReturnLine{LineNo: 1, Quantity: 1})
	_, err = s.API.Return(ctx, in.ReservationID, back)
	require.NoError(t, err)

	rows, err := s.Pool.Query(t.Context(),
		"SELECT event_type, aggregate_id, payload, headers FROM outbox ORDER BY event_id")
	require.NoError(t, err)
	defer rows.Close()
	var types []string
	for rows.Next() {
		var eventType string
		var aggregate uuid.UUID
		var payload, raw []byte
		require.NoError(t, rows.Scan(&eventType, &aggregate, &payload, &raw))
		types = append(types, eventType)
		require.NotContains(t, string(payload), inventorytest.Actor, "events carry no actor")
		if eventType == inventoryapi.EventRestocked {
			continue
		}

		var headers events.Headers
		require.NoError(t, json.Unmarshal(raw, &headers))
		require.Equal(t, "corr-1", headers.CorrelationID)
		require.Equal(t, in.ReservationID, aggregate)
		var data inventoryapi.ReservationEvent
		require.NoError(t, json.Unmarshal(payload, &data))
		require.Equal(t, in.OwnerID, data.OwnerID)
		require.Empty(t, data.Reason, "events carry no words of a person")
		require.Len(t, data.Lines, 1)
		want := map[string]inventoryapi.Stock{
			inventoryapi.EventReserved:  {Quantity: 5, Reserved: 2, Available: 3, Version: 2},
			inventoryapi.EventConfirmed: {Quantity: 3, Reserved: 0, Available: 3, Version: 3},
			inventoryapi.EventReturned:  {Quantity: 4, Reserved: 0, Available: 4, Version: 4},
		}[eventType]
		require.Equal(t, want, data.Lines[0].Stock)
	}
	require.NoError(t, rows.Err())
	require.Equal(t, []string{
		inventoryapi.EventRestocked,
		inventoryapi.EventReserved,
		inventoryapi.EventConfirmed,
		inventoryapi.EventReturned,
	}, types)
}

// TestMigrations: after data, a migration down, and two migrations up at once, the second schema works like the first.
func TestMigrations(t *testing.T) {
	t.Parallel()
	url, pool := inventorytest.NewDatabase(t)
	fill := func() {
		pool.Reset() // its prepared statements may be for tables that were dropped
		s := inventorytest.NewSubject(t, inventory.New(inventory.Options{Pool: pool}), pool)
		p := s.Stock(t, 5, 3)
		in := inventorytest.NewReserve(inventorytest.Line(p, 7))
		_, err := s.API.Reserve(t.Context(), in)
		require.NoError(t, err)
		_, err = s.API.Confirm(t.Context(), in.ReservationID, inventorytest.Resolve())
		require.NoError(t, err)
		inventorytest.RequireConsistent(t, pool)
	}

	fill()
	_, err := database.MigrateDown(t.Context(), url, database.Inventory)
	require.NoError(t, err)
	var left int
	require.NoError(t, pool.QueryRow(t.Context(), `
		SELECT (SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'goose_db_version')
			+ (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace)`).Scan(&left))
	require.Zero(t, left, "tables and functions left after the migration down")

	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := database.Migrate(t.Context(), url, database.Inventory); err != nil {
				t.Errorf("migrate: %v", err)
			}
		})
	}
	wg.Wait()
	fill()
}

// TestDatabaseDown: without a database the service is alive, not ready, and answers 503 at once.
func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	base := inventorytest.StartProcess(t, "postgres://nobody@127.0.0.1:1/none?sslmode=disable")
	client := inventorytest.NewClient(t, base)

	begin := time.Now()
	_, err := client.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(uuid.New(), 1)))
	require.ErrorIs(t, err, inventoryapi.Unavailable)
	require.True(t, inventoryapi.Retryable(err))
	_, err = client.Availability(t.Context(), uuid.New(), 1)
	require.ErrorIs(t, err, inventoryapi.Unavailable)
	_, err = client.GetReservation(t.Context(), uuid.New())
	require.ErrorIs(t, err, inventoryapi.Unavailable)
	require.Error(t, client.Ping(t.Context()))
	require.Less(t, time.Since(begin), 5*time.Second)

	res, err := http.Get(base + "/health")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)
}

// TestClientWithoutAnswer: refused connections, hung peers and corrupt answers are all retryable, and a call returns as
// soon as its caller's context ends.
func TestClientWithoutAnswer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	gone := "http://" + l.Addr().String()
	require.NoError(t, l.Close())
	release := make(chan struct{})
	hung := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(hung.Close)
	t.Cleanup(func() { close(release) })
	corrupt := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/reserve") {
			w.WriteHeader(http.StatusBadGateway)
		}
		_, _ = w.Write([]byte("<html>"))
	}))
	t.Cleanup(corrupt.Close)

	for _, tc := range []struct {
		name string
		base string
	}{
		{"gone", gone},
		{"hung", hung.URL},
		{"corrupt", corrupt.URL},
	} {
		c := inventorytest.NewClient(t, tc.base)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		begin := time.Now()
		_, err := c.Reserve(ctx, inventorytest.NewReserve(inventorytest.Line(uuid.New(), 1)))
		require.ErrorIs(t, err, inventoryapi.Unavailable, tc.name)
		require.True(t, inventoryapi.Retryable(err), tc.name)
		_, err = c.Availability(ctx, uuid.New(), 1)
		require.ErrorIs(t, err, inventoryapi.Unavailable, tc.name)
		require.Less(t, time.Since(begin), time.Second, tc.name)
		cancel()
	}

	wrong := inventoryclient.New(corrupt.URL, servicetoken.NewSigner(authtest.Internal, "test"), nil)
	_, err = wrong.GetReservation(t.Context(), uuid.New())
	require.ErrorIs(t, err, inventoryapi.Unavailable)
}
