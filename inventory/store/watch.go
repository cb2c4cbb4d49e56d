package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// StockLevel is the available stock of a product at a location.
type StockLevel struct {
	ProductID uuid.UUID
	Location  string
	Available int64
}

// LowestStock returns the items with the least available stock among those that are low, up to the given number.
func (s *Store) LowestStock(ctx context.Context, most int) ([]StockLevel, error) {
	rows, err := s.q.LowestStock(ctx, s.pool, size(most))
	if err != nil {
		return nil, fmt.Errorf("list the lowest stock: %w", err)
	}
	out := make([]StockLevel, len(rows))
	for i, r := range rows {
		out[i] = StockLevel(r)
	}
	return out, nil
}

// CountOverdue counts the reservations that are past their deadline and still hold stock, up to most, and says how long
// the first of them has been so.
func (s *Store) CountOverdue(ctx context.Context, most int) (n int, longest time.Duration, err error) {
	rows, err := s.Overdue(ctx, OverduePosition{}, most)
	if err != nil || len(rows) == 0 {
		return 0, 0, err
	}
	return len(rows), max(0, time.Since(rows[0].Value.ExpiresAt)), nil
}
