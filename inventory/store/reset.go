package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Wipe empties the database in one transaction: items, reservations, ledger, events and locations.
func (s *Store) Wipe(ctx context.Context) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := s.q.AllowReset(ctx, tx); err != nil {
			return fmt.Errorf("allow the reset: %w", err)
		}
		if err := s.q.WipeInventory(ctx, tx); err != nil {
			return fmt.Errorf("wipe: %w", err)
		}
		return nil
	})
}

// CountPending returns how many reservations hold stock, beside the known ones.
func (s *Store) CountPending(ctx context.Context, known []uuid.UUID) (int64, error) {
	n, err := s.q.CountPending(ctx, s.pool, known)
	if err != nil {
		return 0, fmt.Errorf("count pending reservations: %w", err)
	}
	return n, nil
}

// HasLocation reports whether there is a location of the given code.
func (s *Store) HasLocation(ctx context.Context, code string) (bool, error) {
	found, err := s.q.LocationExists(ctx, s.pool, code)
	if err != nil {
		return false, fmt.Errorf("look for location %s: %w", code, err)
	}
	return found, nil
}
