package seed_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"holdfast/internal/money"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/internal/seed"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/stock"
	"holdfast/workflows/orderflow"
)

var yes = func(seed.Lost) (bool, error) { return true, nil }

func (s shop) reset(c client.Client, force bool, confirm func(seed.Lost) (bool, error)) (seed.Lost, error) {
	reset := seed.Reset{
		Orders:    s.orders,
		Inventory: s.stock,
		Temporal:  c,
		NoClient:  errors.New("none here"),
		Force:     force,
		Confirm:   confirm,
	}
	return reset.Run(s.t.Context())
}

// placeOrder records an order as its workflow does.
func (s shop) placeOrder() {
	s.t.Helper()
	id, at, price := uuid.New(), time.Now(), money.Amount{Minor: 500, Currency: "EUR"}
	_, err := s.orders.Record(s.t.Context(), orderflow.RecordInput{
		Order: &orderflow.OrderInput{
			OrderID:     id,
			RequestHash: hex.EncodeToString(make([]byte, 32)),
			CustomerID:  "alice",
			Issuer:      "test",
			Total:       price,
			PlacedAt:    at,
			Lines: []orderflow.Line{{
				LineNo:    1,
				ProductID: seed.ProductID("TEST-02"),
				SKU:       "TEST-02",
				Name:      "x",
				Quantity:  1,
				UnitPrice: price,
				Total:     price,
			}},
		},
		View: orderflow.View{OrderID: id, Seq: 1, State: order.Reserved},
		Entries: []orderflow.TimelineEntry{{
			Seq:   1,
			Event: order.EventReserved,
			State: order.Reserved,
			At:    at,
			Actor: "system",
		}},
		WorkflowID: orderflow.OrderWorkflowID(id),
		RunID:      "run",
	})
	require.NoError(s.t, err)
}

// TestResetKeepsOtherData: a reset deletes products and stock that are not example data only with force.
func TestResetKeepsOtherData(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.seed("demo")
	s.seed("test")
	mug := uuid.New()
	_, err := s.stock.Receive(t.Context(), stock.Receive{
		OperationID: uuid.New(),
		ProductID:   mug,
		Location:    seed.Location,
		Quantity:    7,
		Actor:       "olga",
	})
	require.NoError(t, err)
	_, err = s.reset(nil, false, yes)
	require.ErrorIs(t, err, seed.ErrForeign, "stock of a product that no data set has")
	require.ErrorContains(t, err, "stock of other products at 1 places")
	require.EqualValues(t, 7, s.one(s.stockPool,
		"SELECT max(quantity) FILTER (WHERE product_id = '"+mug.String()+"') FROM items"))
	_, err = s.reset(nil, true, yes)
	require.NoError(t, err)

	s.seed("test")
	_, err = s.orders.AddProducts(t.Context(), []orderstore.NewProduct{{
		ProductID: mug,
		SKU:       "MUG",
		Name:      "Mug",
		Prices:    []money.Amount{{Minor: 500, Currency: "EUR"}},
	}}, time.Now())
	require.NoError(t, err)
	lost, err := s.reset(nil, false, yes)
	require.ErrorIs(t, err, seed.ErrForeign, "a product that no data set has")
	require.EqualValues(t, 1, lost.ForeignProducts)
	err = s.orders.Wipe(t.Context(), seed.Examples(), false)
	require.ErrorIs(t, err, orderstore.ErrOrdersLeft, "the wipe also finds a product added after the count")
	require.EqualValues(t, 21, s.one(s.ordersPool, "SELECT count(*) FROM products"))
}

// TestResetBeginsAfresh: a reset ends the workflows and wipes both databases, and the same ids can be seeded again.
func TestResetBeginsAfresh(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	c := s.temporal()
	s.work(c)
	first := s.seed("demo")
	planned, err := seed.Planned("demo")
	require.NoError(t, err)
	holdAll := func() {
		t.Helper()
		require.Eventually(t, func() bool {
			got, err := s.hold(c, "demo")
			return err == nil && got.Made == planned
		}, 20*time.Second, 50*time.Millisecond)
	}
	holdAll()
	running := orderflow.ReservationWorkflowID(s.pending()[0])

	lost, err := s.reset(c, false, yes)
	require.NoError(t, err)
	require.EqualValues(t, 11, lost.Products)

	for _, table := range []string{"items", "reservations", "reservation_lines", "stock_ledger", "outbox", "locations"} {
		require.Zero(t, s.one(s.stockPool, "SELECT count(*) FROM "+table), table)
	}
	for _, table := range []string{"products", "product_prices", "customer_reservations", "orders"} {
		require.Zero(t, s.one(s.ordersPool, "SELECT count(*) FROM "+table), table)
	}
	ended, err := c.DescribeWorkflowExecution(t.Context(), running, "")
	require.NoError(t, err)
	require.Equal(t, "Terminated", ended.GetWorkflowExecutionInfo().GetStatus().String())

	require.Equal(t, first, s.seed("demo"))
	holdAll()
	require.Len(t, s.pending(), planned-1)
	inventorytest.RequireConsistent(t, s.stockPool)
}

func (s shop) pending() (ids []uuid.UUID) {
	s.t.Helper()
	rows, err := s.stockPool.Query(s.t.Context(), "SELECT reservation_id FROM reservations WHERE status = 'pending'")
	require.NoError(s.t, err)
	for rows.Next() {
		var id uuid.UUID
		require.NoError(s.t, rows.Scan(&id))
		ids = append(ids, id)
	}
	require.NoError(s.t, rows.Err())
	return ids
}

// TestResetRefusals: a reset deletes data that is not example data only with force, and deletes nothing without
// confirmation.
func TestResetRefusals(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.seed("test")
	untouched := func() {
		t.Helper()
		require.EqualValues(t, 20, s.one(s.ordersPool, "SELECT count(*) FROM products"))
		require.EqualValues(t, 20, s.one(s.stockPool, "SELECT count(*) FROM items"))
	}
	_, err := s.reset(nil, false, func(seed.Lost) (bool, error) { return false, nil })
	require.ErrorIs(t, err, seed.ErrNotConfirmed)
	untouched()

	_, err = s.stock.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(seed.ProductID("TEST-06"), 4)))
	require.NoError(t, err)
	_, err = s.reset(nil, false, yes)
	require.ErrorIs(t, err, seed.ErrForeign, "a reservation that is not from seeding holds stock")
	untouched()

	s.placeOrder()
	_, err = s.reset(nil, false, yes)
	require.ErrorIs(t, err, seed.ErrForeign)
	require.ErrorContains(t, err, "--force")
	untouched()
	err = s.orders.Wipe(t.Context(), seed.Examples(), false)
	require.ErrorIs(t, err, orderstore.ErrOrdersLeft, "the wipe also finds an order placed after the count")
	untouched()

	lost, err := s.reset(nil, true, yes)
	require.NoError(t, err)
	require.Equal(t, []int64{1, 1}, []int64{lost.Orders, lost.ForeignHolds})
	require.Zero(t, s.one(s.ordersPool, "SELECT count(*) FROM order_timeline"))

	require.NoError(t, s.orders.RegisterReservation(t.Context(), orderstore.Reservation{
		ID:           uuid.New(),
		OwnerID:      uuid.New(),
		Issuer:       seed.Issuer,
		CustomerID:   seed.Actor,
		TheirOrderID: strings.Repeat("x", 8),
	}))
	_, err = s.reset(nil, false, yes)
	require.ErrorContains(t, err, "none here", "a workflow that still runs would act on new stock")
}
