package orderconsumer

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"holdfast/internal/consumer"
	"holdfast/internal/events"
	"holdfast/inventory/inventoryapi"
)

// A product is sold out if no location has available stock of it. An event tells of one location at one moment, and may
// come late. So an event only says when to look: the handler reads the product's availability, which has a version, and
// a mark for an older version does not replace one for a newer version.

// runsLow tells operators that an item runs low or out, and marks the product if nothing is left.
func (h *Handler) runsLow(ctx context.Context, e events.Envelope) (consumer.Effect, error) {
	level, err := consumer.Data[inventoryapi.LevelEvent](e)
	if err != nil {
		return nil, err
	}
	kind, effect := "low_stock", consumer.Effect(nil)
	if e.EventType == inventoryapi.EventDepleted {
		kind = "depleted"
		if effect, err = h.mark(ctx, level.ProductID); err != nil {
			return nil, err
		}
	}
	h.alerts.WithLabelValues(kind).Inc()
	h.log.WarnContext(ctx, "stock runs low or out", "kind", kind, "event_id", e.EventID,
		"product_id", level.ProductID, "location", level.Location, "available", level.Stock.Available,
		"threshold", level.LowStockThreshold)
	return effect, nil
}

// backInStock removes the mark of products that have stock again. It asks inventory only about products that are
// marked.
func (h *Handler) backInStock(ctx context.Context, lines ...inventoryapi.EventLine) (consumer.Effect, error) {
	var products []uuid.UUID
	for _, l := range lines {
		if l.Stock.Available > 0 {
			products = append(products, l.ProductID)
		}
	}
	if len(products) == 0 {
		return nil, nil
	}
	marked, err := h.orders.SoldOut(ctx, products)
	if err != nil || len(marked) == 0 {
		return nil, err
	}
	return h.mark(ctx, marked...)
}

// mark reads the availability of products and returns the effect that marks each of them accordingly.
func (h *Handler) mark(ctx context.Context, products ...uuid.UUID) (consumer.Effect, error) {
	found := make([]inventoryapi.Availability, 0, len(products))
	for _, p := range products {
		a, err := h.stock.Availability(ctx, p, 1)
		switch {
		case errors.Is(err, inventoryapi.ProductNotFound): // its last item was deleted meanwhile
			continue
		case err != nil:
			return nil, fmt.Errorf("read the availability of product %s: %w", p, err)
		}
		found = append(found, a)
	}
	return func(ctx context.Context, tx pgx.Tx) error {
		for _, a := range found {
			if err := h.orders.SetSoldOut(ctx, tx, a.ProductID, a.AvailableQuantity == 0, a.Version); err != nil {
				return err
			}
		}
		return nil
	}, nil
}
