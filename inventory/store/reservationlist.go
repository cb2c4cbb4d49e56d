package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/db/inventorydb"
	"holdfast/inventory/inventoryapi"
)

// DeadlinePosition is a place in the list of reservations.
type DeadlinePosition struct {
	ExpiresAt     time.Time `json:"e"`
	ReservationID uuid.UUID `json:"r"`
}

// allStatuses are the statuses of a list without a filter.
var allStatuses = []inventoryapi.Status{
	inventoryapi.StatusPending,
	inventoryapi.StatusConfirmed,
	inventoryapi.StatusReleased,
	inventoryapi.StatusExpired,
}

// Reservations returns up to limit reservations that match and precede a position, the latest deadline first.
// f.ExpiresBefore is part of the position.
func (s *Store) Reservations(
	ctx context.Context, f inventoryapi.ReservationFilter, before DeadlinePosition, limit int,
) ([]Row[inventoryapi.ListedReservation, DeadlinePosition], error) {
	rows, err := s.reservations(ctx, f, before, limit)
	if err != nil {
		return nil, fmt.Errorf("list reservations: %w", err)
	}
	out := make([]Row[inventoryapi.ListedReservation, DeadlinePosition], len(rows))
	for i, r := range rows {
		out[i].Position = DeadlinePosition{ExpiresAt: r.ExpiresAt.UTC(), ReservationID: r.ReservationID}
		out[i].Value = inventoryapi.ListedReservation{
			ReservationID: r.ReservationID,
			OwnerKind:     inventoryapi.OwnerKind(r.OwnerKind),
			OwnerID:       r.OwnerID,
			Number:        int(r.Number),
			Status:        inventoryapi.Status(r.Status),
			Overdue:       r.Overdue,
			WorkflowID:    r.WorkflowID,
			CreatedAt:     r.CreatedAt.UTC(),
			ExpiresAt:     r.ExpiresAt.UTC(),
		}
		if r.ResolvedAt != nil {
			out[i].Value.ResolvedAt = r.ResolvedAt.UTC()
		}
	}
	return out, nil
}

// reservations reads a page by the index that serves the filter.
func (s *Store) reservations(
	ctx context.Context, f inventoryapi.ReservationFilter, before DeadlinePosition, limit int,
) (out []inventorydb.ReservationPageRow, err error) {
	if len(f.Statuses) == 0 {
		f.Statuses = allStatuses
	}
	statuses := make([]string, len(f.Statuses))
	for i, status := range f.Statuses {
		statuses[i] = string(status)
	}

	switch {
	case f.OrderID != uuid.Nil:
		rows, err := s.q.ReservationsOfOrderPage(ctx, s.pool, inventorydb.ReservationsOfOrderPageParams{
			OwnerID:           f.OrderID,
			BeforeExpiresAt:   before.ExpiresAt,
			BeforeReservation: before.ReservationID,
			ExpiresAfter:      f.ExpiresAfter,
			Statuses:          statuses,
			PageSize:          size(limit),
		})
		for _, row := range rows {
			out = append(out, inventorydb.ReservationPageRow(row))
		}
		return out, err
	case !slices.ContainsFunc(f.Statuses, func(s inventoryapi.Status) bool { return s != inventoryapi.StatusPending }):
		rows, err := s.q.PendingReservationPage(ctx, s.pool, inventorydb.PendingReservationPageParams{
			BeforeExpiresAt:   before.ExpiresAt,
			BeforeReservation: before.ReservationID,
			ExpiresAfter:      f.ExpiresAfter,
			PageSize:          size(limit),
		})
		for _, row := range rows {
			out = append(out, inventorydb.ReservationPageRow(row))
		}
		return out, err
	}
	return s.q.ReservationPage(ctx, s.pool, inventorydb.ReservationPageParams{
		BeforeExpiresAt:   before.ExpiresAt,
		BeforeReservation: before.ReservationID,
		ExpiresAfter:      f.ExpiresAfter,
		Statuses:          statuses,
		PageSize:          size(limit),
	})
}
