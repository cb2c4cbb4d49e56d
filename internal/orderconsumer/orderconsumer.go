// Package orderconsumer applies the events of inventory to orders. It compares each event of a reservation with its
// order, and tells the order's workflow if stock was moved that the workflow has not moved.
package orderconsumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"holdfast/internal/consumer"
	"holdfast/internal/correlation"
	"holdfast/internal/events"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/inventory/inventoryapi"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

// Name is the consumer's name in the inbox. It must not change: the inbox would no longer know what was processed.
const Name = "orders"

// Types lists the events that the handler knows.
func Types() []string {
	return []string{
		inventoryapi.EventReserved,
		inventoryapi.EventConfirmed,
		inventoryapi.EventReleased,
		inventoryapi.EventExpired,
		inventoryapi.EventReturned,
		inventoryapi.EventDepleted,
		inventoryapi.EventLowStock,
		inventoryapi.EventRestocked,
		inventoryapi.EventAdjusted,
		inventoryapi.EventTransferred,
		inventoryapi.EventBackorderGranted,
	}
}

// Orders reads and marks what the orders database has.
type Orders interface {
	Get(ctx context.Context, id uuid.UUID) (orderstore.Order, error)
	SoldOut(ctx context.Context, products []uuid.UUID) ([]uuid.UUID, error)
	SetSoldOut(ctx context.Context, tx pgx.Tx, product uuid.UUID, soldOut bool, stockVersion int64) error
}

// Stock reads the stock.
type Stock interface {
	Availability(ctx context.Context, product uuid.UUID, quantity int64) (inventoryapi.Availability, error)
}

// Workflows changes orders.
type Workflows interface {
	Cancel(ctx context.Context, id uuid.UUID, in orderflow.CancelInput) (orderflow.CancelResult, error)
	StockGranted(ctx context.Context, id, event uuid.UUID, in orderflow.StockGrantedInput) error
}

// Handler applies the events of inventory.
type Handler struct {
	orders    Orders
	stock     Stock
	workflows Workflows
	log       *slog.Logger

	mismatches *prometheus.CounterVec
	alerts     *prometheus.CounterVec
}

// The ways in which an event does not match its order.
const (
	unknownOrder  = "unknown_order"       // the reservation belongs to no order
	foreignStock  = "other_reservation"   // the order has another reservation
	foreignEnd    = "released_by_another" // the workflow has not released the stock
	foreignTaking = "confirmed_by_another"
)

// New returns a handler and registers its metrics.
func New(
	orders Orders, stock Stock, workflows Workflows, log *slog.Logger, reg prometheus.Registerer,
) *Handler {
	f := promauto.With(reg)
	h := &Handler{
		orders:    orders,
		stock:     stock,
		workflows: workflows,
		log:       log,
		mismatches: f.NewCounterVec(prometheus.CounterOpts{
			Name: "orders_event_mismatches_total",
			Help: "Events of inventory that do not match their order, by kind. Each needs an operator's look.",
		}, []string{"kind"}),
		alerts: f.NewCounterVec(prometheus.CounterOpts{
			Name: "orders_stock_alerts_total",
			Help: "Items whose available stock fell to 0 (depleted) or to their threshold (low_stock).",
		}, []string{"kind"}),
	}
	// An alert sees the first mismatch of a kind only if its series has begun before.
	for _, kind := range []string{unknownOrder, foreignStock, foreignEnd, foreignTaking} {
		h.mismatches.WithLabelValues(kind)
	}
	return h
}

// Handle applies an event. It implements consumer.Handler.
func (h *Handler) Handle(ctx context.Context, e events.Envelope) (consumer.Effect, error) {
	switch e.EventType {
	case inventoryapi.EventReserved, inventoryapi.EventConfirmed, inventoryapi.EventReleased,
		inventoryapi.EventExpired, inventoryapi.EventReturned:
		change, err := consumer.Data[inventoryapi.ReservationEvent](e)
		if err != nil {
			return nil, err
		}
		if err := h.compare(ctx, e, change); err != nil {
			return nil, err
		}
		return h.backInStock(ctx, change.Lines...)
	case inventoryapi.EventRestocked, inventoryapi.EventAdjusted, inventoryapi.EventTransferred:
		change, err := consumer.Data[inventoryapi.AdjustedEvent](e)
		if err != nil {
			return nil, err
		}
		return h.backInStock(ctx, inventoryapi.EventLine{ProductID: change.ProductID, Stock: change.Stock})
	case inventoryapi.EventBackorderGranted:
		return nil, h.wake(ctx, e)
	case inventoryapi.EventDepleted, inventoryapi.EventLowStock:
		return h.runsLow(ctx, e)
	default:
		return nil, nil
	}
}

// wake tells an order that waits for stock that inventory has reserved it.
func (h *Handler) wake(ctx context.Context, e events.Envelope) error {
	granted, err := consumer.Data[inventoryapi.BackorderGrantedEvent](e)
	if err != nil || granted.OwnerKind != inventoryapi.OwnerOrder {
		return err
	}
	err = h.workflows.StockGranted(ctx, granted.OwnerID, e.EventID, orderflow.StockGrantedInput{
		CorrelationID: correlation.From(ctx),
	})
	switch {
	case orderclient.OutcomeUnknown(err):
		return fmt.Errorf("tell order %s of its stock: %w", granted.OwnerID, err)
	case err != nil: // the order has ended, and gives the stock back or has done so; or its workflow will be taken up
		h.log.WarnContext(ctx, "an order did not take the stock for which it waited", "event_id", e.EventID,
			"order_id", granted.OwnerID, "error", err)
	}
	return nil
}

// compare compares a change of a reservation with its order.
func (h *Handler) compare(ctx context.Context, e events.Envelope, change inventoryapi.ReservationEvent) error {
	if change.OwnerKind != inventoryapi.OwnerOrder {
		return nil
	}
	o, err := h.orders.Get(ctx, change.OwnerID)
	switch {
	case errors.Is(err, orderstore.ErrNotFound):
		h.mismatch(ctx, unknownOrder, e, change, "")
		return nil
	case err != nil:
		return fmt.Errorf("compare %s with order %s: %w", e.EventType, change.OwnerID, err)
	case change.OperationID == inventoryapi.ReplaceOperation(change.ReservationID): // the lines were changed
		return nil
	case o.ReservationID != nil && *o.ReservationID != change.ReservationID && !madeByAnyStep(change):
		h.mismatch(ctx, foreignStock, e, change, o.State)
		return nil
	case e.EventType == inventoryapi.EventConfirmed && !madeBy(change, orderflow.ConfirmReservation):
		h.mismatch(ctx, foreignTaking, e, change, o.State)
		return nil
	case e.EventType == inventoryapi.EventReleased && !madeBy(change, orderflow.ReleaseStock):
		return h.cancel(ctx, e, change, o.State)
	}
	return nil
}

// madeByAnyStep reports whether the order's workflow has made the change. An order has another reservation than its row
// names while a change of its lines is not recorded yet, and for units that it brings from elsewhere.
func madeByAnyStep(change inventoryapi.ReservationEvent) bool {
	return slices.ContainsFunc([]string{
		orderflow.ReserveStock,
		orderflow.ReplaceReservation,
		orderflow.ConfirmReservation,
		orderflow.ReleaseStock,
		orderflow.ExpireReservation,
		orderflow.ReturnStock,
	}, func(step string) bool { return madeBy(change, step) })
}

// madeBy reports whether the order's workflow has made the change: its operation ids derive from the reservation and
// the step. (An expiry needs no such look: the deadline has passed, and the workflow's own timer finds the same.)
func madeBy(change inventoryapi.ReservationEvent, step string) bool {
	return change.OperationID == orderflow.OperationID(change.ReservationID, step, 1)
}

// cancel cancels the order whose stock an operator, or the backstop, has released. It is idempotent, because an order
// is cancelled once. If the workflow has ended or refuses, the order has ended in its own way already.
func (h *Handler) cancel(
	ctx context.Context, e events.Envelope, change inventoryapi.ReservationEvent, state order.State,
) error {
	if state.Settled() {
		return nil
	}
	h.mismatch(ctx, foreignEnd, e, change, state)
	_, err := h.workflows.Cancel(ctx, change.OwnerID, orderflow.CancelInput{
		Actor:         orderflow.ActorSystem,
		Reason:        "its stock was released by an operator",
		CorrelationID: correlation.From(ctx),
	})
	if orderclient.OutcomeUnknown(err) {
		return fmt.Errorf("cancel order %s: %w", change.OwnerID, err)
	}
	if err != nil {
		h.log.WarnContext(ctx, "the order was not cancelled", "event_id", e.EventID, "order_id", change.OwnerID,
			"error", err)
	}
	return nil
}

func (h *Handler) mismatch(
	ctx context.Context, kind string, e events.Envelope, change inventoryapi.ReservationEvent, state order.State,
) {
	h.mismatches.WithLabelValues(kind).Inc()
	h.log.ErrorContext(ctx, "an event of inventory does not match its order", "kind", kind, "event_id", e.EventID,
		"event_type", e.EventType, "order_id", change.OwnerID, "order_state", state,
		"reservation_id", change.ReservationID, "operation_id", change.OperationID)
}
