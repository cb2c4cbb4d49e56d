package merchantwebhook

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"holdfast/db/ordersdb"
	"holdfast/internal/consumer"
	"holdfast/internal/eventcatalogue"
	"holdfast/internal/events"
)

// Name is the consumer's name in the inbox. It must not change: the inbox would no longer know what was processed.
const Name = "webhooks"

// Types lists the events that merchants can subscribe to: all that are published.
func Types() []string {
	all := eventcatalogue.All()
	out := make([]string, len(all))
	for i, t := range all {
		out[i] = t.Name
	}
	return out
}

// Handler turns events into deliveries.
type Handler struct{ store *Store }

// NewHandler returns a handler that writes into the store's database.
func NewHandler(store *Store) *Handler { return &Handler{store} }

// Handle returns the effect that writes the deliveries of an event. The subscriptions at the time of the effect count.
// If none gets the event, Handle returns consumer.ErrNothingToDo.
func (h *Handler) Handle(ctx context.Context, e events.Envelope) (consumer.Effect, error) {
	subscribed, err := h.store.q.SubscribesToWebhookEvent(ctx, h.store.pool, e.EventType)
	if err != nil {
		return nil, fmt.Errorf("look for subscriptions to %s: %w", e.EventType, err)
	}
	if !subscribed {
		return nil, consumer.ErrNothingToDo
	}

	// A merchant gets what other consumers get: the schemas of docs/events hold for webhooks too.
	body, err := json.Marshal(e)
	if err != nil {
		return nil, consumer.Poison(fmt.Errorf("encode event %s: %w", e.EventID, err))
	}
	in := ordersdb.AddWebhookDeliveriesParams{
		EventID:          e.EventID,
		EventType:        e.EventType,
		AggregateID:      e.AggregateID,
		AggregateVersion: e.AggregateVersion,
		Body:             body,
	}
	return func(ctx context.Context, tx pgx.Tx) error {
		if _, err := h.store.q.AddWebhookDeliveries(ctx, tx, in); err != nil {
			return fmt.Errorf("write the deliveries of event %s: %w", e.EventID, err)
		}
		return nil
	}, nil
}
