package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"holdfast/db/inventorydb"
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

// CountBeside counts the reservations that hold stock, except the given ones, and the items with stock, except those of
// the given products.
func (s *Store) CountBeside(ctx context.Context, reservations, products []uuid.UUID) (holds, items int64, err error) {
	n, err := s.q.CountBeside(ctx, s.pool, inventorydb.CountBesideParams{
		Reservations: reservations, Products: products,
	})
	if err != nil {
		return 0, 0, fmt.Errorf("count other reservations and items: %w", err)
	}
	return n.Holds, n.Items, nil
}

// HasLocation reports whether a location has the given code.
func (s *Store) HasLocation(ctx context.Context, code string) (bool, error) {
	found, err := s.q.LocationExists(ctx, s.pool, code)
	if err != nil {
		return false, fmt.Errorf("look for location %s: %w", code, err)
	}
	return found, nil
}
