package inventory

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
)

// Waiting returns how many requests wait for their batch; requests of a batch under way are not among them.
func (s *Service) Waiting() int { return s.writer.Waiting() }

// Refusals counts refusals without a background task.
type Refusals struct{ r *refusals }

// NewRefusals returns refusals that announce writes.
func NewRefusals(announce func(context.Context, []stock.Event) error, reg prometheus.Registerer) Refusals {
	return Refusals{newRefusals(announce, slog.New(slog.DiscardHandler), reg)}
}

// Add counts a refused reservation.
func (r Refusals) Add(in inventoryapi.ReserveRequest, short []inventoryapi.ShortLine) {
	r.r.add(in, short)
}

// Flush writes the events.
func (r Refusals) Flush() { r.r.flush() }
