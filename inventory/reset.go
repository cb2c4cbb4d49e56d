package inventory

import (
	"context"

	"github.com/google/uuid"
)

// Wipe empties the inventory in one transaction: stock, reservations, locations, and the ledger, which no other
// operation can delete. It is meant for example data only. The caller must have ended the workflows of the
// reservations, because their timers would act on reservations that no longer exist.
func (s *Service) Wipe(ctx context.Context) error {
	if err := s.store.Wipe(ctx); err != nil {
		return unavailable(err)
	}
	s.availability.InvalidateAll(ctx)
	return nil
}

// Beside counts the reservations that hold stock, without the given reservations, and the items that have stock,
// without those of the given products.
func (s *Service) Beside(ctx context.Context, reservations, products []uuid.UUID) (holds, items int64, err error) {
	none := []uuid.UUID{} // NULL would compare as unknown
	holds, items, err = s.store.CountBeside(ctx, append(none, reservations...), append(none, products...))
	if err != nil {
		return 0, 0, unavailable(err)
	}
	return holds, items, nil
}

// HasLocation reports whether there is a location with the given code.
func (s *Service) HasLocation(ctx context.Context, code string) (bool, error) {
	found, err := s.store.HasLocation(ctx, code)
	if err != nil {
		return false, unavailable(err)
	}
	return found, nil
}
