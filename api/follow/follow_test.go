package follow_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"holdfast/api/follow"
	"holdfast/internal/database"
	"holdfast/internal/orderstore"
	"holdfast/tests/fault"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const patience = 30 * time.Second

// queries counts the queries of a pool.
type queries struct{ n atomic.Int64 }

func (q *queries) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	q.n.Add(1)
	return ctx
}

func (*queries) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// world is a hub on an orders database.
type world struct {
	t       *testing.T
	url     string
	pool    *pgxpool.Pool // past the hub
	queries queries       // of the hub
	hub     *follow.Hub
}

var settings = follow.Config{MaxListeners: 1000, Poll: 20 * time.Millisecond}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, url: testenv.Database(t)}
	_, err := database.Migrate(t.Context(), w.url, database.Orders)
	require.NoError(t, err)
	w.pool, err = pgxpool.New(context.WithoutCancel(t.Context()), w.url)
	require.NoError(t, err)
	t.Cleanup(w.pool.Close)
	return w
}

// start runs a hub that reaches the database at the given address.
func (w *world) start(cfg follow.Config, url string) {
	w.t.Helper()
	parsed, err := pgxpool.ParseConfig(url)
	require.NoError(w.t, err)
	parsed.ConnConfig.Tracer = &w.queries
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(w.t.Context()), parsed)
	require.NoError(w.t, err)
	w.hub = follow.New(cfg, orderstore.New(pool), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { w.hub.Run(ctx) })
	w.t.Cleanup(func() {
		cancel()
		running.Wait()
		pool.Close()
	})
}

// orders inserts n orders with one entry each, and returns their ids.
func (w *world) orders(n int) []uuid.UUID {
	w.t.Helper()
	rows, err := w.pool.Query(w.t.Context(), `
		WITH made AS (
			INSERT INTO orders (order_id, seq, state, request_hash, customer_id, total_minor, currency, workflow_id, run_id,
			                    created_at, updated_at)
			SELECT gen_random_uuid(), 1, 'reserved', sha256('x'), 'alice', 100, 'EUR', 'w' || n, 'run', now(), now()
			FROM generate_series(1, $1) n
			RETURNING order_id
		)
		INSERT INTO order_timeline (order_id, seq, event, from_state, state, at, actor)
		SELECT order_id, 1, 'reserved', '', 'reserved', now(), 'system' FROM made
		RETURNING order_id`, n)
	require.NoError(w.t, err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	require.NoError(w.t, err)
	return ids
}

// advance records another entry of every given order.
func (w *world) advance(ids ...uuid.UUID) {
	w.t.Helper()
	_, err := w.pool.Exec(w.t.Context(), `
		WITH advanced AS (
			UPDATE orders SET seq = seq + 1, updated_at = clock_timestamp() WHERE order_id = ANY ($1)
			RETURNING order_id, seq
		)
		INSERT INTO order_timeline (order_id, seq, event, from_state, state, at, actor)
		SELECT order_id, seq, 'extended', 'reserved', 'reserved', clock_timestamp(), 'system' FROM advanced`, ids)
	require.NoError(w.t, err)
}

func (w *world) listen(id uuid.UUID) *follow.Listener {
	w.t.Helper()
	l, err := w.hub.Listen(id)
	require.NoError(w.t, err)
	w.t.Cleanup(l.Close)
	return l
}

// await waits until the listener has read the entry with the given seq.
func (w *world) await(l *follow.Listener, seq int64) {
	w.t.Helper()
	timeout := time.After(patience)
	for l.Recorded().Version.Seq < seq {
		select {
		case <-l.Changed():
		case <-timeout:
			require.Fail(w.t, "an entry does not arrive", "seq %d, last %d", seq, l.Recorded().Version.Seq)
		}
	}
}

// TestThousandListeners: 1,000 listeners of 1,000 orders cost about one query per interval, and each gets its entries.
func TestThousandListeners(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := follow.Config{MaxListeners: 1000, Poll: 100 * time.Millisecond}
	w.start(cfg, w.url)
	ids, began := w.orders(1000), time.Now()
	listeners := make([]*follow.Listener, len(ids))
	for i, id := range ids {
		listeners[i] = w.listen(id)
	}
	for _, l := range listeners {
		w.await(l, 1)
	}
	for seq := int64(2); seq <= 4; seq++ {
		w.advance(ids...)
		for i, l := range listeners {
			w.await(l, seq)
			require.Len(t, l.Recorded().Entries, int(seq))
			require.Equal(t, seq, l.Recorded().Entries[seq-1].Seq, ids[i])
		}
	}

	most := int64(time.Since(began)/cfg.Poll) + 20 // and those when the listeners came
	asked := w.queries.n.Load()
	t.Logf("%d queries in %s for 1,000 listeners and 4,000 entries", asked, time.Since(began))
	require.LessOrEqual(t, asked, most)
	_, err := w.hub.Listen(ids[0])
	require.ErrorIs(t, err, follow.ErrFull)
}

// TestNobodyListens: without listeners the hub asks nothing.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(settings, w.url)
	l := w.listen(w.orders(1)[0])
	w.await(l, 1)
	l.Close()
	l.Close() // a second call changes nothing
	w.advance()

	var before int64
	require.Eventually(t, func() bool { // a query that was under way may still be counted
		was := before
		before = w.queries.n.Load()
		return was == before
	}, patience, 5*settings.Poll)
	require.Never(t, func() bool { return w.queries.n.Load() > before }, 10*settings.Poll, settings.Poll)
}

// TestConnectionThatBreaks: entries that are recorded while the hub has no database arrive when it has one again.
func TestConnectionThatBreaks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := fault.NewPostgres(t, w.url)
	w.start(settings, proxy.URL())
	id := w.orders(1)[0]
	l := w.listen(id)
	w.await(l, 1)
	proxy.Down()
	w.advance(id)
	w.advance(id)
	proxy.Up()
	w.await(l, 3)
	require.Len(t, l.Recorded().Entries, 3)
}

// TestSlowListener: a listener that does not read holds up no other, and then reads the latest timeline.
func TestSlowListener(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(settings, w.url)
	id := w.orders(1)[0]
	slow, quick := w.listen(id), w.listen(id)
	for seq := int64(2); seq <= 10; seq++ {
		w.advance(id)
		w.await(quick, seq)
	}
	<-slow.Changed()
	require.Len(t, slow.Recorded().Entries, 10)
	select {
	case <-slow.Changed():
		require.Fail(t, "one message stands for all changes")
	default:
	}
}

// TestSecondListener: a listener of an order that has a listener gets the timeline without another query.
func TestSecondListener(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(follow.Config{MaxListeners: 2, Poll: time.Hour}, w.url)
	id := w.orders(1)[0]
	w.await(w.listen(id), 1)
	asked := w.queries.n.Load()
	w.await(w.listen(id), 1)
	require.Equal(t, asked, w.queries.n.Load())
}

// TestStop: listeners are told to end, and no other is admitted.
func TestStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(settings, w.url)
	l := w.listen(uuid.New())
	w.hub.Stop()
	w.hub.Stop()
	<-l.Stopping()
	_, err := w.hub.Listen(uuid.New())
	require.ErrorIs(t, err, follow.ErrStopping)
}

// TestComingAndGoing: listeners come and go at the same time as entries are recorded, and none misses an entry.
func TestComingAndGoing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(settings, w.url)
	ids := w.orders(5)
	var writers, readers sync.WaitGroup
	const entries = 10
	writers.Go(func() {
		for range entries {
			w.advance(ids...)
		}
	})
	failures := make(chan error, 100)
	for n := range 50 {
		readers.Go(func() {
			l, err := w.hub.Listen(ids[n%len(ids)])
			if err != nil {
				failures <- err
				return
			}
			defer l.Close()
			timeout := time.After(patience)
			for l.Recorded().Version.Seq < entries+1 {
				if n%3 == 0 && len(l.Recorded().Entries) > n%entries {
					return // it leaves early
				}
				select {
				case <-l.Changed():
				case <-timeout:
					failures <- fmt.Errorf("listener %d has seen %d", n, l.Recorded().Version.Seq)
					return
				}
			}
		})
	}
	writers.Wait()
	readers.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}
}

// TestConfiguration: faults are named.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	err := follow.Config{Poll: time.Millisecond}.Validate()
	require.ErrorContains(t, err, "API_MAX_LISTENERS")
	require.ErrorContains(t, err, "API_LISTENERS_POLL")
}
