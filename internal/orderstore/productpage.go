package orderstore

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"holdfast/db/ordersdb"
)

// Listed is a product as the catalogue lists it for other systems.
type Listed struct {
	ProductID uuid.UUID
	SKU       string
	Active    bool
}

// PageProducts returns up to size products with ids after the given one, in the order of their ids. The first page
// comes after uuid.Nil.
func (s *Store) PageProducts(ctx context.Context, after uuid.UUID, size int) ([]Listed, error) {
	rows, err := s.q.PageProducts(ctx, s.pool, ordersdb.PageProductsParams{
		After:    after,
		PageSize: int32(size), //nolint:gosec // a page is small
	})
	if err != nil {
		return nil, fmt.Errorf("read a page of the catalogue: %w", err)
	}
	out := make([]Listed, len(rows))
	for i, r := range rows {
		out[i] = Listed{r.ProductID, r.Sku, r.Active}
	}
	return out, nil
}
