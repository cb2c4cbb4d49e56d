package orderstore

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"holdfast/db/ordersdb"
)

// SoldOut returns those of the products that are marked as sold out.
func (s *Store) SoldOut(ctx context.Context, products []uuid.UUID) ([]uuid.UUID, error) {
	out, err := s.q.SoldOutProducts(ctx, s.pool, products)
	if err != nil {
		return nil, fmt.Errorf("find the products that are sold out: %w", err)
	}
	return out, nil
}

// SetSoldOut marks a product as sold out or not, in the caller's transaction. stockVersion is the version of the
// product's stock in inventory for which that is true. If the mark was made for the same or a newer version, or if
// there is no such product, SetSoldOut changes nothing.
func (s *Store) SetSoldOut(ctx context.Context, tx pgx.Tx, product uuid.UUID, soldOut bool, stockVersion int64) error {
	err := s.q.SetSoldOut(ctx, tx, ordersdb.SetSoldOutParams{
		ProductID: product, SoldOut: soldOut, StockVersion: stockVersion,
	})
	if err != nil {
		return fmt.Errorf("mark product %s as sold out (%t): %w", product, soldOut, err)
	}
	return nil
}
