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

// PendingBeside returns how many reservations hold stock beside the known ones.
func (s *Service) PendingBeside(ctx context.Context, known []uuid.UUID) (int64, error) {
	if known == nil {
		known = []uuid.UUID{} // NULL would compare as unknown
	}
	n, err := s.store.CountPending(ctx, known)
	if err != nil {
		return 0, unavailable(err)
	}
	return n, nil
}

// HasLocation reports whether stock can lie at a location of the given code.
func (s *Service) HasLocation(ctx context.Context, code string) (bool, error) {
	found, err := s.store.HasLocation(ctx, code)
	if err != nil {
		return false, unavailable(err)
	}
	return found, nil
}
