package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

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

// mostRead is how many reservations one page reads in search of some statuses. It takes about 30 ms.
const mostRead = 20_000

// Reservations returns up to limit reservations that match and precede a position, the latest deadline first.
// f.ExpiresBefore is part of the position. If it stopped reading before it found as many, it returns where: the list
// goes on there.
func (s *Store) Reservations(
	ctx context.Context, f inventoryapi.ReservationFilter, before DeadlinePosition, limit int,
) (out []Row[inventoryapi.ListedReservation, DeadlinePosition], stopped *DeadlinePosition, err error) {
	rows, stopped, err := s.reservations(ctx, f, before, limit)
	if err != nil {
		return nil, nil, fmt.Errorf("list reservations: %w", err)
	}
	out = make([]Row[inventoryapi.ListedReservation, DeadlinePosition], len(rows))
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
	return out, stopped, nil
}

// reservations reads a page by the index that serves the filter.
func (s *Store) reservations(
	ctx context.Context, f inventoryapi.ReservationFilter, before DeadlinePosition, limit int,
) (out []inventorydb.ReservationPageRow, stopped *DeadlinePosition, err error) {
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
		return out, nil, err
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
		return out, nil, err
	}
	return s.searchReservations(ctx, inventorydb.ReservationPageParams{
		BeforeExpiresAt:   before.ExpiresAt,
		BeforeReservation: before.ReservationID,
		ExpiresAfter:      f.ExpiresAfter,
		MostRows:          mostRead,
		Statuses:          statuses,
		PageSize:          size(limit),
	})
}

// searchReservations reads a page through the index of deadlines, and where it stopped. Both come from one snapshot, so
// that no reservation is left out or returned twice.
func (s *Store) searchReservations(
	ctx context.Context, params inventorydb.ReservationPageParams,
) (out []inventorydb.ReservationPageRow, stopped *DeadlinePosition, err error) {
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, s.pool, snapshot, func(tx pgx.Tx) error {
		if out, err = s.q.ReservationPage(ctx, tx, params); err != nil || len(out) == int(params.PageSize) {
			return err
		}
		end, err := s.q.ReservationPageEnd(ctx, tx, inventorydb.ReservationPageEndParams{
			BeforeExpiresAt:   params.BeforeExpiresAt,
			BeforeReservation: params.BeforeReservation,
			ExpiresAfter:      params.ExpiresAfter,
			Skipped:           params.MostRows - 1,
		})
		if err == nil && len(end) > 0 {
			stopped = &DeadlinePosition{ExpiresAt: end[0].ExpiresAt.UTC(), ReservationID: end[0].ReservationID}
		}
		return err
	})
	return out, stopped, err
}
