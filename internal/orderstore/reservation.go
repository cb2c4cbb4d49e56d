package orderstore

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"holdfast/db/ordersdb"
)

// Reservation is a reservation that a client requests without an order of this platform.
type Reservation struct {
	ID, OwnerID        uuid.UUID
	Issuer, CustomerID string // of the client's token
	TheirOrderID       string // the client's own id of its order
}

// RegisterReservation records who requests a reservation, before the reservation is made. It is idempotent: the id
// derives from all other fields.
func (s *Store) RegisterReservation(ctx context.Context, r Reservation) error {
	if err := s.q.RegisterReservation(ctx, s.pool, ordersdb.RegisterReservationParams{
		ReservationID: r.ID,
		OwnerID:       r.OwnerID,
		Issuer:        r.Issuer,
		CustomerID:    r.CustomerID,
		TheirOrderID:  r.TheirOrderID,
	}); err != nil {
		return fmt.Errorf("register reservation %s: %w", r.ID, err)
	}
	return nil
}

// GetReservation returns who requested a reservation. It returns ErrNotFound if no client has registered it.
func (s *Store) GetReservation(ctx context.Context, id uuid.UUID) (Reservation, error) {
	r, err := s.q.GetReservation(ctx, s.pool, id)
	if err != nil {
		return Reservation{}, fmt.Errorf("read reservation %s: %w", id, notFound(err))
	}
	return Reservation{
		ID:           r.ReservationID,
		OwnerID:      r.OwnerID,
		Issuer:       r.Issuer,
		CustomerID:   r.CustomerID,
		TheirOrderID: r.TheirOrderID,
	}, nil
}
