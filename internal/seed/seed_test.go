package seed_test

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/worker"

	"holdfast/activities"
	"holdfast/internal/database"
	"holdfast/internal/orderstore"
	"holdfast/internal/seed"
	"holdfast/internal/temporalclient"
	"holdfast/inventory"
	"holdfast/inventory/inventorytest"
	"holdfast/tests/eventcheck"
	"holdfast/tests/testenv"
	"holdfast/workers"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// shop has an order store and an inventory on new databases.
type shop struct {
	t          testing.TB
	orders     *orderstore.Store
	stock      *inventory.Service
	ordersPool *pgxpool.Pool
	stockPool  *pgxpool.Pool
}

func newShop(t testing.TB) shop {
	t.Helper()
	open := func(name database.Name) *pgxpool.Pool {
		url := testenv.Database(t)
		_, err := database.Migrate(t.Context(), url, name)
		require.NoError(t, err)
		pool, err := pgxpool.New(context.WithoutCancel(t.Context()), url)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		return pool
	}
	s := shop{t: t, ordersPool: open(database.Orders), stockPool: open(database.Inventory)}
	eventcheck.AtEnd(t, s.ordersPool, "orders")
	eventcheck.AtEnd(t, s.stockPool, "inventory")
	s.orders, s.stock = orderstore.New(s.ordersPool), inventory.New(inventory.Options{Pool: s.stockPool})
	return s
}

func (s shop) seed(name string) seed.Summary {
	s.t.Helper()
	sum, err := seed.Run(s.t.Context(), name, s.orders, s.stock)
	require.NoError(s.t, err)
	return sum
}

// temporal returns a client of a new namespace, because the workers of all shops poll queues with the same names.
func (s shop) temporal() client.Client {
	s.t.Helper()
	cfg := testenv.Temporal(s.t, nil)
	cfg.Namespace = "seed-" + strings.ToLower(rand.Text()[:10])
	require.NoError(s.t, temporalclient.EnsureNamespace(s.t.Context(), cfg, 24*time.Hour, orderflow.SearchAttributes()))
	c, err := temporalclient.Dial(s.t.Context(), cfg, nil)
	require.NoError(s.t, err)
	s.t.Cleanup(c.Close)
	return c
}

// work runs a worker of the shop until the test ends.
func (s shop) work(c client.Client) {
	s.t.Helper()
	w := worker.New(c, orderflow.OrdersQueue, worker.Options{})
	workers.RegisterWorkflows(w)
	workers.Registrations{
		Inventory: activities.NewInventory(s.stock),
		Payment:   activities.NewPayment(nil, s.orders),
		Record:    activities.NewRecord(s.orders),
	}.RegisterOrderActivities(w)
	require.NoError(s.t, w.Start())
	s.t.Cleanup(w.Stop)
}

func (s shop) hold(c client.Client, name string) (seed.HoldSummary, error) {
	return seed.Holder{
		Books:     s.orders,
		Held:      s.stock,
		Temporal:  c,
		Workflows: orderclient.New(c, converter.GetDefaultDataConverter()),
	}.Hold(s.t.Context(), name)
}

func (s shop) one(pool *pgxpool.Pool, sql string) (n int64) {
	s.t.Helper()
	require.NoError(s.t, pool.QueryRow(s.t.Context(), sql).Scan(&n))
	return n
}

// TestRunAgainChangesNothing: a second run keeps the changes that an operator has made after the first.
func TestRunAgainChangesNothing(t *testing.T) {
	t.Parallel()
	for _, name := range seed.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			first := s.seed(name)
			require.EqualValues(t, first.Products, first.New)
			require.Equal(t, first.Units, s.one(s.stockPool, "SELECT sum(quantity)::bigint FROM items"))
			require.EqualValues(t, first.Locations, s.one(s.stockPool, "SELECT count(*) FROM locations"))
			_, err := s.ordersPool.Exec(t.Context(), `
				DELETE FROM product_prices WHERE currency = 'USD';
				UPDATE products SET name = 'Changed', active = NOT active`)
			require.NoError(t, err)
			again := s.seed(name)

			require.Zero(t, again.New)
			require.Zero(t, again.Units)
			require.Equal(t, first.Units, s.one(s.stockPool, "SELECT sum(quantity)::bigint FROM items"))
			changed := s.one(s.ordersPool, "SELECT count(*) FROM products WHERE name = 'Changed'")
			require.EqualValues(t, first.Products, changed)
			require.Zero(t, s.one(s.ordersPool, "SELECT count(*) FROM product_prices WHERE currency = 'USD'"))
			inventorytest.RequireConsistent(t, s.stockPool)
		})
	}
}

// TestSKUTaken: a run does not change a product that an operator has created with a SKU of the data set.
func TestSKUTaken(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	ours := orderstore.ProductFields{SKU: "TEST-01", Name: "Ours", Active: true}
	_, err := s.orders.CreateProduct(t.Context(), uuid.New(), ours, time.Now())
	require.NoError(t, err)

	require.EqualValues(t, 19, s.seed("test").New)
	require.EqualValues(t, 1, s.one(s.ordersPool,
		"SELECT count(*) FROM products WHERE sku = 'TEST-01' AND name = 'Ours'"))
}

// TestSeedersAtOnce: one seeder at a time works, and the later ones find all data in place.
func TestSeedersAtOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	var mu sync.Mutex
	var made, inside, most int64
	var wg sync.WaitGroup
	for range 4 {
		// Each seeder has its own pool, like a process: a connection holds the lock.
		pool, err := pgxpool.New(context.WithoutCancel(t.Context()), s.ordersPool.Config().ConnString())
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		wg.Go(func() {
			orders := orderstore.New(pool)
			release, err := orders.LockSeeding(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			inside++
			most = max(most, inside)
			mu.Unlock()
			sum, err := seed.Run(t.Context(), "dev", orders, s.stock)
			mu.Lock()
			inside--
			made += sum.New
			mu.Unlock()
			release()
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 100, made)
	require.EqualValues(t, 1, most, "one at a time")
	inventorytest.RequireConsistent(t, s.stockPool)
}

// TestHolds makes the reservations of a data set through workflows and finds them again in a second run. The
// reservation that the data set wants as expired expires by its own timer.
func TestHolds(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	c := s.temporal()
	s.seed("demo")
	_, err := s.hold(c, "demo")
	require.ErrorIs(t, err, seed.ErrNoWorker)
	require.Zero(t, s.one(s.stockPool, "SELECT count(*) FROM reservations"), "without a worker, Hold writes nothing")
	require.Zero(t, s.one(s.ordersPool, "SELECT count(*) FROM customer_reservations"))

	s.work(c)
	require.Eventually(t, func() bool {
		got, err := s.hold(c, "demo")
		return err == nil && got.Made == got.Planned
	}, 20*time.Second, 50*time.Millisecond, "a worker polls")
	planned, err := seed.Planned("demo")
	require.NoError(t, err)
	pending := s.one(s.stockPool, "SELECT count(*) FROM reservations WHERE status = 'pending'")
	require.EqualValues(t, planned-1, pending)
	require.EqualValues(t, 1, s.one(s.stockPool, "SELECT count(*) FROM reservations WHERE status = 'expired'"))

	rows, err := s.stockPool.Query(t.Context(), "SELECT workflow_id FROM reservations WHERE status = 'pending'")
	require.NoError(t, err)
	var id string
	for rows.Next() {
		require.NoError(t, rows.Scan(&id))
		run, err := c.DescribeWorkflowExecution(t.Context(), id, "")
		require.NoError(t, err)
		require.Equal(t, "Running", run.GetWorkflowExecutionInfo().GetStatus().String(), "its workflow owns the timer")
	}
	require.NoError(t, rows.Err())

	var reserved, quantity int64
	require.NoError(t, s.stockPool.QueryRow(t.Context(),
		"SELECT sum(reserved)::bigint, sum(quantity)::bigint FROM items").Scan(&reserved, &quantity))
	require.InDelta(t, 50, 100*reserved/quantity, 20)

	again, err := s.hold(c, "demo")
	require.NoError(t, err)
	require.Equal(t, seed.HoldSummary{Planned: planned, Existing: planned}, again)

	require.NoError(t, c.CancelWorkflow(t.Context(), id, ""))
	require.NoError(t, c.GetWorkflow(t.Context(), id, "").Get(t.Context(), nil))
	ended, err := s.hold(c, "demo")
	require.NoError(t, err)
	want := seed.HoldSummary{Planned: planned, Existing: planned, Ended: 1}
	require.Equal(t, want, ended, "Hold does not make an ended reservation again")
	inventorytest.RequireConsistent(t, s.stockPool)
}

// TestHoldRefused: a reservation of stock that is gone is refused, and Hold makes the other reservations.
func TestHoldRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	c := s.temporal()
	s.work(c)
	_, err := seed.Run(t.Context(), "demo", s.orders, s.stock)
	require.NoError(t, err)
	_, err = s.stock.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(seed.ProductID("DEMO-LOW"), 4)))
	require.NoError(t, err)

	var got seed.HoldSummary
	require.Eventually(t, func() bool {
		got, err = s.hold(c, "demo")
		return err == nil
	}, 20*time.Second, 50*time.Millisecond)

	require.Len(t, got.Refused, 1)
	require.Contains(t, got.Refused[0], "DEMO-LOW: out_of_stock")
	require.Equal(t, got.Planned-1, got.Made+got.Existing)
}

// BenchmarkSeedDev adds the 100 products of dev to empty databases, without reservations. It fails if that takes longer
// than half a second on average.
func BenchmarkSeedDev(b *testing.B) {
	s := newShop(b)
	const goal = 500 * time.Millisecond
	var took time.Duration
	defer func() { require.Less(b, took/time.Duration(b.N), goal, "a run on average") }()
	for b.Loop() {
		b.StopTimer()
		require.NoError(b, s.orders.Wipe(b.Context(), seed.Examples(), false))
		require.NoError(b, s.stock.Wipe(b.Context()))
		b.StartTimer()
		began := time.Now()
		s.seed("dev")
		took += time.Since(began)
	}
}
