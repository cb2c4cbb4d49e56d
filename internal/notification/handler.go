package notification

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"holdfast/internal/consumer"
	"holdfast/internal/events"
	"holdfast/internal/money"
	"holdfast/internal/orderstore"
)

// ConsumerName is the consumer's name in the inbox. It must not change: the inbox would no longer know what was
// processed.
const ConsumerName = "notifications"

// answeredWithin is how long the api lets a client that says nothing else wait for the answer to an order. A refusal
// within that time is in the answer.
const answeredWithin = 2 * time.Second

// Why a notification is skipped.
const (
	skipNoAddress = "the order has no email address"
	skipAnswered  = "the order was refused in the answer to its request"
)

// Orders reads orders.
type Orders interface {
	Get(ctx context.Context, id uuid.UUID) (orderstore.Order, error)
}

// Handler turns events of orders into notifications.
//
// A refused order is a notification only if it was refused later than the api waits by default: otherwise the customer
// has the refusal as the answer. A client that asked for an answer at once (Prefer: respond-async) reads the order, and
// is not told of a refusal within that time. A client that asked for a longer wait may be told twice.
type Handler struct {
	orders Orders
	store  *Store
	log    *slog.Logger
}

// NewHandler returns a handler.
func NewHandler(orders Orders, store *Store, log *slog.Logger) *Handler {
	return &Handler{orders: orders, store: store, log: log}
}

// Handle returns the effect that adds the event's notification. It implements consumer.Handler.
func (h *Handler) Handle(ctx context.Context, e events.Envelope) (consumer.Effect, error) {
	kind, told := kinds[e.EventType]
	if !told {
		return nil, nil
	}
	data, err := consumer.Data[struct {
		Amount *money.Amount `json:"amount"` // of the events about money
	}](e)
	if err != nil {
		return nil, err
	}
	o, err := h.orders.Get(ctx, e.AggregateID)
	switch {
	case errors.Is(err, orderstore.ErrNotFound):
		h.log.ErrorContext(ctx, "an event is about an order that the database does not have", "event_id", e.EventID,
			"event_type", e.EventType, "order_id", e.AggregateID)
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the order of %s: %w", e.EventType, err)
	}

	n := New{
		EventID:    e.EventID,
		OrderID:    o.OrderID,
		Kind:       kind,
		OccurredAt: e.Timestamp,
		Amount:     data.Amount,
	}
	switch {
	case o.Email == "":
		n.Skip = skipNoAddress
	case kind == Rejected && e.Timestamp.Sub(o.CreatedAt) <= answeredWithin:
		n.Skip = skipAnswered
	}
	return func(ctx context.Context, tx pgx.Tx) error { return h.store.Add(ctx, tx, n) }, nil
}
