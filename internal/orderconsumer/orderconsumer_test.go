package orderconsumer_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"holdfast/internal/consumer"
	"holdfast/internal/correlation"
	"holdfast/internal/database"
	"holdfast/internal/events"
	"holdfast/internal/money"
	"holdfast/internal/order"
	"holdfast/internal/orderconsumer"
	"holdfast/internal/orderstore"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/tests/testenv"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// cancels notes the cancellations that reach Temporal, and answers each with err. tests/e2e has a real Temporal.
type cancels struct {
	err     error
	seen    []orderflow.CancelInput
	granted []uuid.UUID // the orders that were told of their stock
}

func (c *cancels) StockGranted(_ context.Context, id, _ uuid.UUID, _ orderflow.StockGrantedInput) error {
	c.granted = append(c.granted, id)
	return c.err
}

func (c *cancels) Cancel(
	_ context.Context, _ uuid.UUID, in orderflow.CancelInput,
) (orderflow.CancelResult, error) {
	c.seen = append(c.seen, in)
	return orderflow.CancelResult{}, c.err
}

// world is a handler on an orders database with one reserved order.
type world struct {
	t           *testing.T
	handler     *orderconsumer.Handler
	workflows   *cancels
	registry    *prometheus.Registry
	store       *orderstore.Store
	pool        *pgxpool.Pool
	stock       inventorytest.Subject
	order       uuid.UUID
	reservation uuid.UUID
}

func newWorld(t *testing.T) *world {
	t.Helper()
	url := testenv.Database(t)
	_, err := database.Migrate(t.Context(), url, database.Orders)
	require.NoError(t, err)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)

	w := &world{
		t:         t,
		workflows: &cancels{},
		registry:  prometheus.NewRegistry(),
		store:     orderstore.New(pool),
		pool:      pool,
		stock:     inventorytest.NewService(t),
		order:     uuid.New(),
	}
	w.reservation = inventoryapi.NewReservationID(inventoryapi.OwnerOrder, w.order, 1)
	w.handler = orderconsumer.New(w.store, w.stock.API, w.workflows, slog.New(slog.DiscardHandler), w.registry)
	price := money.Amount{Minor: 500, Currency: "EUR"}
	w.record(1, order.New, order.Reserved, order.EventReserved, &orderflow.OrderInput{
		OrderID: w.order, RequestHash: strings.Repeat("ab", 32), CustomerID: "alice", Issuer: "test", Total: price,
		PlacedAt: time.Now(),
		Lines: []orderflow.Line{{
			LineNo: 1, ProductID: uuid.New(), SKU: "A", Name: "A", Quantity: 1, UnitPrice: price, Total: price,
		}},
	})
	return w
}

func (w *world) record(seq int64, from, to order.State, event order.Event, in *orderflow.OrderInput) {
	w.t.Helper()
	_, err := w.store.Record(w.t.Context(), orderflow.RecordInput{
		Order: in,
		View:  orderflow.View{OrderID: w.order, Seq: seq, State: to, ReservationID: &w.reservation},
		Entries: []orderflow.TimelineEntry{{
			Seq: seq, Event: event, From: from, State: to, At: time.Now().Add(time.Duration(seq) * time.Second),
			Actor: orderflow.ActorSystem,
		}},
		WorkflowID: orderflow.OrderWorkflowID(w.order),
		RunID:      "run",
	})
	require.NoError(w.t, err)
}

// change returns an event of the order's reservation.
func (w *world) change(eventType string, operation uuid.UUID) inventoryapi.ReservationEvent {
	return inventoryapi.ReservationEvent{
		ReservationID: w.reservation,
		OwnerKind:     inventoryapi.OwnerOrder,
		OwnerID:       w.order,
		Number:        1,
		OperationID:   operation,
		Status:        inventoryapi.Status(strings.TrimPrefix(eventType, "inventory.")),
		ExpiresAt:     time.Now(),
	}
}

func (w *world) handle(eventType string, data any) error {
	w.t.Helper()
	raw, err := json.Marshal(data)
	require.NoError(w.t, err)
	effect, err := w.handler.Handle(correlation.With(w.t.Context(), "corr-1"), events.Envelope{
		EventType: eventType, EventID: uuid.Must(uuid.NewV7()), Version: 1, Data: raw,
	})
	if effect != nil {
		require.NoError(w.t, pgx.BeginFunc(w.t.Context(), w.pool, func(tx pgx.Tx) error {
			return effect(w.t.Context(), tx)
		}))
	}
	return err
}

func (w *world) mismatches() int {
	w.t.Helper()
	families, err := w.registry.Gather()
	require.NoError(w.t, err)
	sum := 0.0
	for _, f := range families {
		if f.GetName() == "orders_event_mismatches_total" {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return int(sum)
}

func (w *world) byWorkflow(step string) uuid.UUID {
	return orderflow.OperationID(w.reservation, step, 1)
}

// TestWorkflowsOwnChangesMatch: what the workflow did itself is no mismatch, although the order's row may be behind.
func TestWorkflowsOwnChangesMatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for eventType, step := range map[string]string{
		inventoryapi.EventReserved:  orderflow.ReserveStock,
		inventoryapi.EventConfirmed: orderflow.ConfirmReservation,
		inventoryapi.EventReleased:  orderflow.ReleaseStock,
		inventoryapi.EventExpired:   orderflow.ExpireReservation,
		inventoryapi.EventReturned:  orderflow.ReturnStock,
	} {
		require.NoError(t, w.handle(eventType, w.change(eventType, w.byWorkflow(step))), eventType)
	}
	// Inventory expires an overdue reservation itself if a reserve needs the stock.
	require.NoError(t, w.handle(inventoryapi.EventExpired, w.change(inventoryapi.EventExpired, uuid.New())))
	require.Zero(t, w.mismatches())
	require.Empty(t, w.workflows.seen)
}

// TestChangeOfLinesMatches: the order's workflow has replaced its reservation. The events of both reservations match,
// also while the row still names the old one, and the order is not cancelled for the release.
func TestChangeOfLinesMatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	released := w.change(inventoryapi.EventReleased, inventoryapi.ReplaceOperation(w.reservation))
	next := w.change(inventoryapi.EventReserved, uuid.UUID{})
	next.Number = 2
	next.ReservationID = inventoryapi.NewReservationID(inventoryapi.OwnerOrder, w.order, 2)
	reserved, confirmed := next, next
	reserved.OperationID = orderflow.OperationID(next.ReservationID, orderflow.ReplaceReservation, 1)
	confirmed.OperationID = orderflow.OperationID(next.ReservationID, orderflow.ConfirmReservation, 1)

	for range 2 { // before and after the change is recorded
		require.NoError(t, w.handle(inventoryapi.EventReserved, reserved))
		require.NoError(t, w.handle(inventoryapi.EventReleased, released))
		require.NoError(t, w.handle(inventoryapi.EventConfirmed, confirmed))
		require.Zero(t, w.mismatches())
		require.Empty(t, w.workflows.seen)
		w.reservation = next.ReservationID
		w.record(2, order.Reserved, order.Reserved, order.EventLinesChanged, nil)
	}
	foreign := next
	foreign.ReservationID, foreign.OperationID = uuid.New(), uuid.New()
	require.NoError(t, w.handle(inventoryapi.EventReserved, foreign))
	require.Equal(t, 1, w.mismatches(), "a reservation that no step of the workflow has made")
}

// TestOperatorsReleaseCancelsTheOrder: the order is cancelled through its workflow. The outcome of the update decides
// whether the message comes again.
func TestOperatorsReleaseCancelsTheOrder(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		answer error
		again  bool
	}{
		{"cancelled", nil, false},
		{"the workflow has ended", orderclient.ErrEnded, false},
		{"accepted", orderclient.ErrUnderWay, false},
		{"refused, because the order has ended", &orderclient.RefusedError{Kind: string(order.InvalidState)}, false},
		{"Temporal is down", errors.New("connection refused"), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.workflows.err = test.answer
			err := w.handle(inventoryapi.EventReleased, w.change(inventoryapi.EventReleased, uuid.New()))
			require.Equal(t, test.again, err != nil, "%v", err)
			require.Equal(t, []orderflow.CancelInput{{
				Actor: orderflow.ActorSystem, Reason: "its stock was released by an operator", CorrelationID: "corr-1",
			}}, w.workflows.seen)
			require.Equal(t, 1, w.mismatches())
		})
	}
}

// TestReleaseOfASettledOrder: the backstop's release of an order that has ended changes nothing.
func TestReleaseOfASettledOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.record(2, order.Reserved, order.Cancelled, order.EventCancelled, nil)
	require.NoError(t, w.handle(inventoryapi.EventReleased, w.change(inventoryapi.EventReleased, uuid.New())))
	require.Empty(t, w.workflows.seen)
	require.Zero(t, w.mismatches())
}

// TestMismatches: what does not belong to the order is counted, and changes no order.
func TestMismatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	unknown := w.change(inventoryapi.EventReserved, uuid.New())
	unknown.OwnerID = uuid.New()
	require.NoError(t, w.handle(inventoryapi.EventReserved, unknown))
	other := w.change(inventoryapi.EventReleased, uuid.New())
	other.ReservationID = uuid.New()
	require.NoError(t, w.handle(inventoryapi.EventReleased, other))
	require.NoError(t, w.handle(inventoryapi.EventConfirmed, w.change(inventoryapi.EventConfirmed, uuid.New())))
	customers := w.change(inventoryapi.EventReleased, uuid.New())
	customers.OwnerKind = inventoryapi.OwnerCustomer
	require.NoError(t, w.handle(inventoryapi.EventReleased, customers))

	require.Equal(t, 3, w.mismatches(), "a reservation without an order is no mismatch")
	require.Empty(t, w.workflows.seen)
}

// TestUnreadableDataIsPoison: another attempt would read the same.
func TestUnreadableDataIsPoison(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var poison *consumer.PoisonError
	require.ErrorAs(t, w.handle(inventoryapi.EventReleased, map[string]any{"ownerId": 7}), &poison)
	require.NoError(t, w.handle("inventory.invented_later", map[string]any{"ownerId": 7}), "an unknown type is ignored")
}

// TestAlerts: depleted and low stock are counted.
func TestAlerts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	level := inventoryapi.LevelEvent{ProductID: uuid.New(), Location: "main"}
	require.NoError(t, w.handle(inventoryapi.EventDepleted, level))
	require.NoError(t, w.handle(inventoryapi.EventLowStock, level))
	require.NoError(t, testutil.GatherAndCompare(w.registry, strings.NewReader(`
# HELP orders_stock_alerts_total Items whose available stock fell to 0 (depleted) or to their threshold (low_stock).
# TYPE orders_stock_alerts_total counter
orders_stock_alerts_total{kind="depleted"} 1
orders_stock_alerts_total{kind="low_stock"} 1
`), "orders_stock_alerts_total"))
}

// TestSoldOut: a product is marked while no location has stock of it. Events in any order and late ones lead to the
// same mark, because the stock itself is read, and a change of the mark is a version of the product.
func TestSoldOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	product := w.stock.Stock(t, 2, 1) // at two locations
	_, err := w.pool.Exec(t.Context(),
		"INSERT INTO products (product_id, sku, name) VALUES ($1, 'MUG', 'A mug')", product)
	require.NoError(t, err)
	requireSoldOut := func(want bool, version int64) {
		t.Helper()
		p, err := w.store.GetProduct(t.Context(), product)
		require.NoError(t, err)
		require.Equal(t, []any{want, version}, []any{p.SoldOut, p.Version})
	}
	depleted := inventoryapi.LevelEvent{ProductID: product, Location: "near"}
	released := inventoryapi.ReservationEvent{OwnerKind: inventoryapi.OwnerCustomer, Lines: []inventoryapi.EventLine{{
		ProductID: product, Stock: inventoryapi.Stock{Quantity: 2, Available: 2},
	}}}

	require.NoError(t, w.handle(inventoryapi.EventDepleted, depleted))
	requireSoldOut(false, 1)

	all := inventorytest.NewReserve(inventorytest.Line(product, 3))
	_, err = w.stock.API.Reserve(t.Context(), all)
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, w.handle(inventoryapi.EventDepleted, depleted))
	}
	requireSoldOut(true, 2)
	require.NoError(t, w.handle(inventoryapi.EventReleased, released), "of earlier stock")
	requireSoldOut(true, 2)

	_, err = w.stock.API.Release(t.Context(), all.ReservationID, inventorytest.ReleaseOf(all))
	require.NoError(t, err)
	require.NoError(t, w.handle(inventoryapi.EventReleased, released))
	requireSoldOut(false, 3)
	require.NoError(t, w.handle(inventoryapi.EventDepleted, depleted), "it comes late")
	requireSoldOut(false, 3)
	require.NoError(t, w.handle(inventoryapi.EventDepleted, inventoryapi.LevelEvent{ProductID: uuid.New()}))
}

// TestOlderStockDoesNotOverwrite: a mark of an older version of the stock changes nothing.
func TestOlderStockDoesNotOverwrite(t *testing.T) {
	t.Parallel()
	w, product := newWorld(t), uuid.New()
	_, err := w.pool.Exec(t.Context(),
		"INSERT INTO products (product_id, sku, name) VALUES ($1, 'MUG', 'A mug')", product)
	require.NoError(t, err)
	for _, mark := range []struct {
		soldOut bool
		version int64
	}{{true, 5}, {false, 4}, {false, 5}} {
		require.NoError(t, pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
			return w.store.SetSoldOut(t.Context(), tx, product, mark.soldOut, mark.version)
		}))
	}
	marked, err := w.store.SoldOut(t.Context(), []uuid.UUID{product})
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{product}, marked)
}

// TestGrantWakesItsOrder: the order that waits for stock is told of the grant; an outage of Temporal makes the event
// come again, and an order that has ended does not.
func TestGrantWakesItsOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	granted := inventoryapi.BackorderGrantedEvent{
		ReservationID: w.reservation, OwnerKind: inventoryapi.OwnerOrder, OwnerID: w.order, Number: 1,
	}
	require.NoError(t, w.handle(inventoryapi.EventBackorderGranted, granted))
	require.Equal(t, []uuid.UUID{w.order}, w.workflows.granted)

	w.workflows.err = errors.New("no connection")
	require.ErrorContains(t, w.handle(inventoryapi.EventBackorderGranted, granted), "no connection")
	w.workflows.err = orderclient.ErrEnded
	require.NoError(t, w.handle(inventoryapi.EventBackorderGranted, granted))

	granted.OwnerKind = inventoryapi.OwnerCustomer
	w.workflows.granted = nil
	require.NoError(t, w.handle(inventoryapi.EventBackorderGranted, granted))
	require.Empty(t, w.workflows.granted, "a reservation without an order has no order to wake")
}
