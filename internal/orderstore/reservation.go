package orderstore

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"holdfast/db/ordersdb"
)

// Reservation is one from outside: who asked for it, and for which order in their own books.
type Reservation struct {
	ID, OwnerID        uuid.UUID
	Issuer, CustomerID string
	TheirOrderID       string
}

// RegisterReservation remembers who asks for a reservation, before there is one. It is idempotent: the
// id derives from everything else.
func (s *Store) RegisterReservation(ctx context.Context, r Reservation) error {
	if err := s.q.RegisterReservation(ctx, s.pool, ordersdb.RegisterReservationParams{
		ReservationID: r.ID, OwnerID: r.OwnerID, Issuer: r.Issuer, CustomerID: r.CustomerID, TheirOrderID: r.TheirOrderID,
	}); err != nil {
		return fmt.Errorf("register reservation %s: %w", r.ID, err)
	}
	return nil
}

// GetReservation returns who asked for a reservation; ErrNotFound where nobody outside did.
func (s *Store) GetReservation(ctx context.Context, id uuid.UUID) (Reservation, error) {
	r, err := s.q.GetReservation(ctx, s.pool, id)
	if err != nil {
		return Reservation{}, fmt.Errorf("read reservation %s: %w", id, notFound(err))
	}
	return Reservation{ID: r.ReservationID, OwnerID: r.OwnerID, Issuer: r.Issuer, CustomerID: r.CustomerID, TheirOrderID: r.TheirOrderID}, nil
}
