// Package backstop gives back the stock of orders that have ended. An order's workflow gives the stock back itself;
// this package finds the stock that it has not. Every release that it makes is a fault somewhere else, so it is
// counted.
package backstop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"holdfast/internal/consumer"
	"holdfast/internal/events"
	"holdfast/inventory/inventoryapi"
)

// Name is the consumer's name in the inbox. It must not change: the inbox would no longer know what was processed.
const Name = "inventory"

// Actor is the actor of a release in the ledger.
const Actor = "backstop"

// Types lists the events that the handler knows. After each of them the order holds no stock.
func Types() []string {
	return []string{
		events.TypeOrderCancelled,
		events.TypeOrderExpired,
		events.TypeOrderFailed,
	}
}

// Inventory is what the handler needs of the inventory service.
type Inventory interface {
	GetReservation(ctx context.Context, id uuid.UUID) (inventoryapi.Reservation, error)
	Release(ctx context.Context, id uuid.UUID, in inventoryapi.ReleaseRequest) (inventoryapi.ReleaseResult, error)
}

// Handler applies the events of orders.
type Handler struct {
	inventory Inventory
	log       *slog.Logger
	releases  prometheus.Counter
}

// New returns a handler and registers its metric.
func New(inventory Inventory, log *slog.Logger, reg prometheus.Registerer) *Handler {
	return &Handler{inventory: inventory, log: log, releases: promauto.With(reg).NewCounter(prometheus.CounterOpts{
		Name: "inventory_backstop_releases_total",
		Help: "Reservations of ended orders that still held stock and were released. Each needs an operator's look.",
	})}
}

// Handle releases the reservation of an order that has ended, if it still holds stock. It implements consumer.Handler.
func (h *Handler) Handle(ctx context.Context, e events.Envelope) (consumer.Effect, error) {
	switch e.EventType {
	case events.TypeOrderCancelled, events.TypeOrderExpired, events.TypeOrderFailed:
	default:
		return nil, nil
	}
	data, err := consumer.Data[events.OrderChanged](e)
	if err != nil || data.ReservationID == nil {
		return nil, err
	}

	held, err := h.inventory.GetReservation(ctx, *data.ReservationID)
	switch {
	case errors.Is(err, inventoryapi.ReservationNotFound): // it was never made, or is archived
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read reservation %s: %w", *data.ReservationID, err)
	case held.Status != inventoryapi.StatusPending:
		return nil, nil
	case held.OwnerKind != inventoryapi.OwnerOrder || held.OwnerID != data.OrderID:
		return nil, consumer.Poison(fmt.Errorf("reservation %s does not belong to order %s",
			held.ReservationID, data.OrderID))
	}
	return nil, h.release(ctx, e, held)
}

// release releases a reservation. The operation id derives from the event, so that a repeat finds the first release.
func (h *Handler) release(ctx context.Context, e events.Envelope, held inventoryapi.Reservation) error {
	_, err := h.inventory.Release(ctx, held.ReservationID, inventoryapi.ReleaseRequest{
		OperationID: uuid.NewSHA1(e.EventID, []byte("backstop")),
		Actor:       Actor,
		Reason:      "the order has ended and still held stock",
	})
	var otherwise *inventoryapi.StatusError
	switch {
	case errors.As(err, &otherwise): // the workflow was faster
		return nil
	case err != nil:
		return fmt.Errorf("release reservation %s: %w", held.ReservationID, err)
	}
	h.releases.Inc()
	h.log.ErrorContext(ctx, "an order has ended and still held stock, which is released now", "event_id", e.EventID,
		"event_type", e.EventType, "order_id", held.OwnerID, "reservation_id", held.ReservationID)
	return nil
}
