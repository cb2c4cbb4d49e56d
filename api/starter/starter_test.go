package starter_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"holdfast/api/starter"
	"holdfast/internal/database"
	"holdfast/internal/money"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/tests/eventcheck"
	"holdfast/tests/testenv"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// workflows stands in for Temporal: it answers each start as the test says, and records the order in the database as
// the workflow's first step does.
type workflows struct {
	store  *orderstore.Store
	answer func(ctx context.Context, in orderflow.OrderInput) error

	mu      sync.Mutex
	started []uuid.UUID
}

func (w *workflows) Place(ctx context.Context, in orderflow.OrderInput) (orderflow.PlaceResult, error) {
	w.mu.Lock()
	w.started = append(w.started, in.OrderID)
	w.mu.Unlock()
	if w.answer != nil {
		if err := w.answer(ctx, in); err != nil {
			return orderflow.PlaceResult{}, err
		}
	}
	view := orderflow.View{OrderID: in.OrderID, RequestHash: in.RequestHash, Seq: 1, State: order.Reserved}
	_, err := w.store.Record(ctx, orderflow.RecordInput{
		Order: &in,
		View:  view,
		Entries: []orderflow.TimelineEntry{{
			Seq:   1,
			Event: order.EventReserved,
			From:  order.Pending,
			State: order.Reserved,
			At:    time.Now(),
			Actor: orderflow.ActorSystem,
		}},
		WorkflowID: orderflow.OrderWorkflowID(in.OrderID),
		RunID:      "run",
	})
	return orderflow.PlaceResult{View: view}, err
}

func (w *workflows) ids() []uuid.UUID {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]uuid.UUID{}, w.started...)
}

type world struct {
	t         *testing.T
	pool      *pgxpool.Pool
	store     *orderstore.Store
	workflows *workflows
}

func newWorld(t *testing.T) *world {
	t.Helper()
	url := testenv.Database(t)
	_, err := database.Migrate(t.Context(), url, database.Orders)
	require.NoError(t, err)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	eventcheck.AtEnd(t, pool, "orders")
	store := orderstore.New(pool)
	return &world{t: t, pool: pool, store: store, workflows: &workflows{store: store}}
}

// starter returns a starter that starts at most 8 workflows at once. Its loop runs until stop is called.
func (w *world) starter(maxWaiting int) (s *starter.Starter, stop func()) {
	w.t.Helper()
	cfg := starter.Config{MaxConcurrent: 8, MaxWaiting: maxWaiting}
	require.NoError(w.t, cfg.Validate())
	s = starter.New(cfg, w.store, w.workflows, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(w.t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	stop = func() { cancel(); running.Wait() }
	w.t.Cleanup(stop)
	return s, stop
}

func newOrder() orderflow.OrderInput {
	price := money.Amount{Minor: 500, Currency: "EUR"}
	return orderflow.OrderInput{
		OrderID:     uuid.New(),
		RequestHash: strings.Repeat("ab", 32),
		CustomerID:  "alice",
		Issuer:      "test",
		Total:       price,
		PlacedAt:    time.Now().UTC().Truncate(time.Microsecond),
		Lines: []orderflow.Line{{
			LineNo:    1,
			ProductID: uuid.New(),
			SKU:       "A",
			Name:      "A thing",
			Quantity:  1,
			UnitPrice: price,
			Total:     price,
		}},
	}
}

// place inserts an order, as the api does, and waits until it is recorded.
func place(t *testing.T, s *starter.Starter, in orderflow.OrderInput, wait time.Duration) (result, error) {
	t.Helper()
	leave, err := s.Admit(t.Context())
	require.NoError(t, err)
	defer leave()
	placed, err := s.Place(t.Context(), in)
	if err != nil {
		return result{}, err
	}
	leave()
	return result{placed.New, placed.Await(t.Context(), wait)}, nil
}

type result struct {
	New bool
	starter.Result
}

func (w *world) waiting() int {
	w.t.Helper()
	n, _, err := w.store.CountStarts(w.t.Context(), 1_000_000)
	require.NoError(w.t, err)
	return n
}

func (w *world) awaitState(id uuid.UUID, state order.State) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		o, err := w.store.Get(w.t.Context(), id)
		return err == nil && o.State == state && !o.Waits()
	}, 20*time.Second, 10*time.Millisecond)
}

// TestOrderIsStartedAtOnce: while Temporal keeps up, Place starts the order itself and returns what the workflow has
// recorded. A repeat inserts and starts nothing.
func TestOrderIsStartedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, _ := w.starter(10)
	in := newOrder()

	out, err := place(t, s, in, time.Minute)
	require.NoError(t, err)
	require.True(t, out.New)
	require.Equal(t, order.Reserved, out.View.State)
	require.Zero(t, w.waiting(), "the first record takes the order from the line")

	again, err := place(t, s, in, time.Minute)
	require.NoError(t, err)
	require.False(t, again.New)
	require.Equal(t, []uuid.UUID{in.OrderID}, w.workflows.ids())
}

// TestOrdersStartInTurn: while as many starts are under way as the limit allows, orders wait as rows. They start in the
// order in which they came.
func TestOrdersStartInTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	release := make(chan struct{})
	w.workflows.answer = func(context.Context, orderflow.OrderInput) error { <-release; return nil }
	s, _ := w.starter(1000)

	var ids []uuid.UUID
	for range 40 {
		in := newOrder()
		ids = append(ids, in.OrderID)
		out, err := place(t, s, in, 0)
		require.NoError(t, err)
		require.True(t, out.New)
		require.Nil(t, out.View)
	}
	require.Eventually(t, func() bool { return len(w.workflows.ids()) == 8 }, 10*time.Second, time.Millisecond)
	position, err := w.store.PositionInLine(t.Context(), ids[39])
	require.NoError(t, err)
	require.Equal(t, 40, position)

	close(release)
	for _, id := range ids {
		w.awaitState(id, order.Reserved)
	}
	started := w.workflows.ids()
	require.Len(t, started, 40)
	place := map[uuid.UUID]int{}
	for i, id := range started {
		place[id] = i
	}
	for i, id := range ids {
		require.InDelta(t, i, place[id], 8, "an order is passed by those that start at the same time at most")
	}
	require.Zero(t, w.waiting())
}

// TestAnotherProcessStartsTheOrder: the process that inserted an order has died before it started the workflow.
func TestAnotherProcessStartsTheOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := newOrder()
	number, err := w.store.Place(t.Context(), in, true)
	require.NoError(t, err)
	require.NotEmpty(t, number)

	leased, err := w.store.LeaseStarts(t.Context(), 10)
	require.NoError(t, err)
	require.Empty(t, leased, "while the lease lasts, the order belongs to the process that inserted it")
	_, err = w.pool.Exec(t.Context(), "UPDATE order_starts SET available_at = now()") // the lease ends
	require.NoError(t, err)
	w.starter(10)
	w.awaitState(in.OrderID, order.Reserved)
}

// TestStartBelongsToTheRequest: an order that waits in line, also for another process, starts in the trace of the
// request that placed it.
func TestStartBelongsToTheRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	traces := make(chan string, 1)
	w.workflows.answer = func(ctx context.Context, _ orderflow.OrderInput) error {
		traces <- trace.SpanContextFromContext(ctx).TraceID().String()
		return nil
	}
	in := newOrder()
	in.Traceparent = parent
	_, err := w.store.Place(t.Context(), in, false)
	require.NoError(t, err)
	w.starter(10)
	require.Equal(t, strings.Split(parent, "-")[1], <-traces)
	w.awaitState(in.OrderID, order.Reserved)
}

// TestStartWithoutAnOutcomeIsRepeated: Temporal is down when the order comes, and the order starts when it is back.
func TestStartWithoutAnOutcomeIsRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var down sync.Mutex
	isDown := true
	w.workflows.answer = func(context.Context, orderflow.OrderInput) error {
		down.Lock()
		defer down.Unlock()
		if isDown {
			return errors.New("connection refused")
		}
		return nil
	}
	s, _ := w.starter(10)

	in := newOrder()
	for _, in := range []orderflow.OrderInput{in, newOrder()} {
		began := time.Now()
		out, err := place(t, s, in, time.Minute)
		require.NoError(t, err)
		require.Equal(t, result{New: true}, out, "accepted, and not decided")
		require.Less(t, time.Since(began), 30*time.Second, "the caller does not wait for an outage to end")
	}
	require.Equal(t, 2, w.waiting())

	down.Lock()
	isDown = false
	down.Unlock()
	w.awaitState(in.OrderID, order.Reserved)
	require.Eventually(t, func() bool { return w.waiting() == 0 }, 20*time.Second, 10*time.Millisecond)
}

// TestOrderWhoseWorkflowHasEnded: an operator has ended the workflow before it recorded the order. Starting it again
// cannot help, so the order leaves the line.
func TestOrderWhoseWorkflowHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.workflows.answer = func(context.Context, orderflow.OrderInput) error { return orderclient.ErrEnded }
	s, _ := w.starter(10)
	out, err := place(t, s, newOrder(), time.Minute)
	require.NoError(t, err)
	require.ErrorIs(t, out.Err, orderclient.ErrEnded)
	require.Eventually(t, func() bool { return w.waiting() == 0 }, 10*time.Second, time.Millisecond)
}

// TestLineIsBounded: an order that would wait behind too many others is not inserted.
func TestLineIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	release := make(chan struct{})
	defer close(release)
	w.workflows.answer = func(ctx context.Context, _ orderflow.OrderInput) error {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return ctx.Err()
	}
	s, _ := w.starter(3)
	for {
		in := newOrder()
		_, err := place(t, s, in, 0)
		if errors.Is(err, starter.ErrFull) {
			_, err := w.store.Get(t.Context(), in.OrderID)
			require.ErrorIs(t, err, orderstore.ErrNotFound)
			break
		}
		require.NoError(t, err)
		require.LessOrEqual(t, w.waiting(), 8+3)
	}
}

// TestStopGivesOrdersBack: a process that stops leaves the orders that it has not started to the others at once.
func TestStopGivesOrdersBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.workflows.answer = func(ctx context.Context, _ orderflow.OrderInput) error { <-ctx.Done(); return ctx.Err() }
	s, stop := w.starter(10)
	out, err := place(t, s, newOrder(), 0)
	require.NoError(t, err)
	require.True(t, out.New)
	stop()
	leased, err := w.store.LeaseStarts(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, leased, 1)
}

// TestStartersShareTheLine: several processes start the orders that wait, each order once.
func TestStartersShareTheLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var ids []uuid.UUID
	for range 100 {
		in := newOrder()
		ids = append(ids, in.OrderID)
		_, err := w.store.Place(t.Context(), in, false)
		require.NoError(t, err)
	}
	for range 3 {
		w.starter(1000)
	}
	for _, id := range ids {
		w.awaitState(id, order.Reserved)
	}
	require.ElementsMatch(t, ids, w.workflows.ids())
}

// TestLineOfAnEarlierProcess: a process that finds orders from before starts them first, and one batch after the other.
func TestLineOfAnEarlierProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var ids []uuid.UUID
	for range 100 {
		in := newOrder()
		ids = append(ids, in.OrderID)
		_, err := w.store.Place(t.Context(), in, false)
		require.NoError(t, err)
	}
	began := time.Now()
	s, _ := w.starter(1000)
	fresh := newOrder()
	_, err := place(t, s, fresh, 0)
	require.NoError(t, err)
	w.awaitState(fresh.OrderID, order.Reserved)
	require.Less(t, time.Since(began), 8*time.Second, "at one batch a second it takes 13 s")
	started := w.workflows.ids()
	require.Subset(t, started[:len(started)-1], ids[:90], "a new order starts behind those that wait")
}

// TestLeaseTakesNoMore: PostgreSQL plans the lease by statistics that autovacuum takes while the table is all but
// empty. It must not take more orders than it is asked for.
func TestLeaseTakesNoMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	insert := func(n int) {
		for range n {
			_, err := w.store.Place(t.Context(), newOrder(), false)
			require.NoError(t, err)
		}
	}
	insert(200)
	_, err := w.pool.Exec(t.Context(),
		"DELETE FROM order_starts WHERE position < (SELECT max(position) FROM order_starts)")
	require.NoError(t, err)
	_, err = w.pool.Exec(t.Context(), "VACUUM ANALYZE order_starts")
	require.NoError(t, err)
	insert(150)
	for _, n := range []int{1, 4, 50} {
		leased, err := w.store.LeaseStarts(t.Context(), n)
		require.NoError(t, err)
		require.Len(t, leased, n)
	}
}

// TestUnreadableOrderHoldsUpNobody: an order that cannot be decoded does not keep the orders beside it from starting.
func TestUnreadableOrderHoldsUpNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bad, good := newOrder(), newOrder()
	for _, in := range []orderflow.OrderInput{bad, good} {
		_, err := w.store.Place(t.Context(), in, false)
		require.NoError(t, err)
	}
	_, err := w.pool.Exec(t.Context(),
		`UPDATE order_starts SET input = jsonb_set(input, '{ttl_seconds}', '"soon"') WHERE order_id = $1`, bad.OrderID)
	require.NoError(t, err)
	w.starter(10)
	w.awaitState(good.OrderID, order.Reserved)
	require.Equal(t, 1, w.waiting(), "the bad order stays for an operator")
}

// TestHurry: an order that waits is started before its turn, because its customer cancels it.
func TestHurry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := starter.New(starter.Config{MaxConcurrent: 8, MaxWaiting: 10}, w.store, w.workflows, slog.New(slog.DiscardHandler))
	in := newOrder()
	_, err := w.store.Place(t.Context(), in, true)
	require.NoError(t, err)
	start := func(ctx context.Context, in orderflow.OrderInput) error {
		_, err := w.workflows.Place(ctx, in)
		return err
	}
	require.NoError(t, s.Hurry(t.Context(), in.OrderID, start))
	w.awaitState(in.OrderID, order.Reserved)
	require.ErrorIs(t, s.Hurry(t.Context(), in.OrderID, start), orderstore.ErrNotFound)
}

// TestLimited: reservations without an order share the limit of concurrent starts. One that finds no place in time
// starts nothing.
func TestLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := starter.New(starter.Config{MaxConcurrent: 4, MaxWaiting: 10}, w.store, w.workflows, slog.New(slog.DiscardHandler))
	began, finish := make(chan struct{}), make(chan struct{})
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			assert.NoError(t, s.Limited(t.Context(), func(context.Context) error {
				began <- struct{}{}
				<-finish
				return nil
			}))
		})
	}
	for range 4 {
		<-began
	}

	started := false
	start := func(context.Context) error {
		started = true
		return nil
	}
	require.ErrorIs(t, s.Limited(t.Context(), start), starter.ErrBusy)
	require.False(t, started)

	close(finish)
	running.Wait()
	require.NoError(t, s.Limited(t.Context(), start))
	require.True(t, started)
}
