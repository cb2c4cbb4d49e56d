package catalogsync_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/internal/catalogsync"
	"holdfast/internal/database"
	"holdfast/internal/orderstore"
	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

type shop struct {
	t         testing.TB
	orders    *orderstore.Store
	stock     *inventory.Service
	stockPool *pgxpool.Pool
	products  []uuid.UUID
}

// newShop has the given number of products, of which every tenth is inactive, and an empty inventory.
func newShop(t testing.TB, products int) *shop {
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
	orders, stocks := open(database.Orders), open(database.Inventory)
	s := &shop{
		t:         t,
		orders:    orderstore.New(orders),
		stock:     inventory.New(inventory.Options{Pool: stocks}),
		stockPool: stocks,
	}
	require.NoError(t, s.stock.PutLocations(t.Context(),
		store.Location{Code: "main", Name: "Main", Priority: 1},
		store.Location{Code: "far", Name: "Far", Priority: 2}))

	list := make([]orderstore.NewProduct, products)
	for i := range list {
		list[i] = orderstore.NewProduct{
			ProductID: uuid.New(),
			SKU:       fmt.Sprintf("SYNC-%d", i),
			Name:      "Product",
			Inactive:  i%10 == 9,
		}
		s.products = append(s.products, list[i].ProductID)
	}
	_, err := s.orders.AddProducts(t.Context(), list, time.Now())
	require.NoError(t, err)
	return s
}

var plain = catalogsync.Options{Quantity: 100, Location: "main", PageSize: 40}

func (s *shop) sync(o catalogsync.Options) catalogsync.Summary {
	s.t.Helper()
	sum, err := catalogsync.Run(s.t.Context(), s.orders, s.stock, o)
	require.NoError(s.t, err)
	return sum
}

func (s *shop) receive(product uuid.UUID, location string, quantity int64) {
	s.t.Helper()
	_, err := s.stock.Receive(s.t.Context(), stock.Receive{
		OperationID: uuid.New(),
		ProductID:   product,
		Location:    location,
		Quantity:    quantity,
		Actor:       "test",
	})
	require.NoError(s.t, err)
}

func (s *shop) rows(sql string) (n int64) {
	s.t.Helper()
	require.NoError(s.t, s.stockPool.QueryRow(s.t.Context(), sql).Scan(&n))
	return n
}

// TestSync: a run copies new products and leaves existing stock unchanged, and a second run changes nothing.
func TestSync(t *testing.T) {
	t.Parallel()
	s := newShop(t, 250)
	s.receive(s.products[0], "main", 7)
	s.receive(s.products[1], "far", 3)
	s.receive(s.products[2], "main", 0) // an item that an operator left empty
	s.receive(s.products[3], "main", 2) // this item is deleted below: readers do not see it, and still it is not new
	_, err := s.stock.DeleteItem(t.Context(), s.products[3], "main",
		inventoryapi.DeleteItemRequest{Reason: "r"}, inventoryapi.WriteOptions{Actor: "test"})
	require.NoError(t, err)

	dry := plain
	dry.DryRun = true
	want := catalogsync.Summary{New: 221, Existing: 4, Skipped: 25}
	require.Equal(t, want, s.sync(dry))
	require.EqualValues(t, 4, s.rows("SELECT count(*) FROM items"), "a dry run writes nothing")

	require.Equal(t, want, s.sync(plain))
	require.EqualValues(t, 225, s.rows("SELECT count(*) FROM items"))
	require.EqualValues(t, 221*100+10, s.rows("SELECT sum(quantity)::bigint FROM items"))
	require.EqualValues(t, 221, s.rows("SELECT count(*) FROM stock_ledger WHERE actor = 'sync'"))

	require.Equal(t, catalogsync.Summary{Existing: 225, Skipped: 25}, s.sync(plain))
	require.EqualValues(t, 221*100+10, s.rows("SELECT sum(quantity)::bigint FROM items"))
	inventorytest.RequireConsistent(t, s.stockPool)
}

// TestFailedProductsDoNotStopTheRun: the run copies all other products and names each one that failed.
func TestFailedProductsDoNotStopTheRun(t *testing.T) {
	t.Parallel()
	s := newShop(t, 60)
	_, err := s.stockPool.Exec(t.Context(), fmt.Sprintf(`
		CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a broken product'; END $$;
		CREATE TRIGGER refuse BEFORE INSERT ON items FOR EACH ROW
			WHEN (NEW.product_id IN ('%s', '%s')) EXECUTE FUNCTION refuse()`,
		s.products[3], s.products[40]))
	require.NoError(t, err)

	dry := plain
	dry.DryRun = true
	would := s.sync(dry)
	require.Equal(t, []int{52, 0, 6, 2}, []int{would.New, would.Existing, would.Skipped, len(would.Failed)})
	sum := s.sync(plain)
	require.Equal(t, []int{52, 0, 6, 2}, []int{sum.New, sum.Existing, sum.Skipped, len(sum.Failed)})
	require.ElementsMatch(t, []string{"SYNC-3", "SYNC-40"}, []string{sum.Failed[0].SKU, sum.Failed[1].SKU})
	require.ErrorContains(t, sum.Failed[0].Err, "a broken product")

	_, err = s.stockPool.Exec(t.Context(), "DROP TRIGGER refuse ON items")
	require.NoError(t, err)
	require.Equal(t, catalogsync.Summary{New: 2, Existing: 52, Skipped: 6}, s.sync(plain))
}

// TestStopped: a run that is stopped ends between two pages, and the next run copies the rest.
func TestStopped(t *testing.T) {
	t.Parallel()
	s := newShop(t, 100)
	ctx, stop := context.WithCancel(t.Context())
	o := plain
	o.Progress = func(int) { stop() }
	sum, err := catalogsync.Run(ctx, s.orders, s.stock, o)
	require.ErrorIs(t, err, catalogsync.ErrStopped)
	require.Equal(t, 40, sum.Seen())
	require.EqualValues(t, sum.New, s.rows("SELECT count(*) FROM items"))

	rest := s.sync(plain)
	require.Equal(t, sum.New, rest.Existing)
	require.Equal(t, 90, rest.New+rest.Existing)
}

// TestWrongOptions: a run with wrong options is refused before it writes anything.
func TestWrongOptions(t *testing.T) {
	t.Parallel()
	s := newShop(t, 5)
	for part, change := range map[string]func(*catalogsync.Options){
		`no location "moon"`: func(o *catalogsync.Options) { o.Location = "moon" },
		"the quantity lies":  func(o *catalogsync.Options) { o.Quantity = -1 },
	} {
		o := plain
		change(&o)
		_, err := catalogsync.Run(t.Context(), s.orders, s.stock, o)
		require.ErrorContains(t, err, part)
	}
	require.Zero(t, s.rows("SELECT count(*) FROM items"))
}

// TestAtOnce lets three runs copy the catalogue at the same time: each product gets its first stock once.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t, 200)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := catalogsync.Run(t.Context(), s.orders, s.stock, plain); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 180*100, s.rows("SELECT sum(quantity)::bigint FROM items"))
	inventorytest.RequireConsistent(t, s.stockPool)
}

// late is an inventory that receives stock after Run has read it and before Run writes to it.
type late struct {
	*inventory.Service
	arrive func()
}

func (l late) Introduce(ctx context.Context, in ...stock.Receive) ([]stock.Receipt, []error) {
	l.arrive()
	return l.Service.Introduce(ctx, in...)
}

// TestStockThatComesFirst: stock that arrives during a run stays unchanged, in every location.
func TestStockThatComesFirst(t *testing.T) {
	t.Parallel()
	s := newShop(t, 3)
	sum, err := catalogsync.Run(t.Context(), s.orders, late{s.stock, func() {
		s.receive(s.products[0], "main", 7)
		s.receive(s.products[1], "far", 3)
	}}, plain)
	require.NoError(t, err)
	require.Equal(t, catalogsync.Summary{New: 1, Existing: 2}, sum)
	for i, want := range []int64{7, 3, 100} {
		a, err := s.stock.Availability(t.Context(), s.products[i], 1)
		require.NoError(t, err)
		require.Equal(t, want, a.TotalStock)
	}
}

// TestDatabaseGone: a database that does not answer fails the run and not each product.
func TestDatabaseGone(t *testing.T) {
	t.Parallel()
	s := newShop(t, 5)
	s.stockPool.Close()
	_, err := catalogsync.Run(t.Context(), s.orders, s.stock, plain)
	require.Error(t, err)
}
