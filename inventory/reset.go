package inventory

import (
	"context"

	"github.com/google/uuid"
)

// Wipe empties the inventory in one transaction: stock, reservations, locations, and the ledger, which nothing else
// can. It is for example data: whoever calls it has ended the workflows whose timers would otherwise act on what is gone.
func (s *Service) Wipe(ctx context.Context) error {
	if err := s.store.Wipe(ctx); err != nil {
		return unavailable(err)
	}
	if c := s.availability.cache; c != nil {
		c.InvalidateAll(ctx)
	}
	return nil
}

// Beside returns how many reservations hold stock, and how many items have some, beside the given
// reservations and the items of the given products.
func (s *Service) Beside(ctx context.Context, reservations, products []uuid.UUID) (holds, items int64, err error) {
	none := []uuid.UUID{} // NULL would compare as unknown
	holds, items, err = s.store.CountBeside(ctx, append(none, reservations...), append(none, products...))
	if err != nil {
		return 0, 0, unavailable(err)
	}
	return holds, items, nil
}

// HasLocation reports whether stock can lie at a location of the given code.
func (s *Service) HasLocation(ctx context.Context, code string) (bool, error) {
	found, err := s.store.HasLocation(ctx, code)
	if err != nil {
		return false, unavailable(err)
	}
	return found, nil
}
