package orderstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"holdfast/db/ordersdb"
	"holdfast/internal/database"
	"holdfast/internal/money"
)

// Errors of product administration.
var (
	// ErrSKUTaken says that another product has the SKU.
	ErrSKUTaken = errors.New("another product has this SKU")
	// ErrStale says that the row's version is not the version that the caller gave.
	ErrStale = errors.New("it has changed since it was read")
)

// AnyVersion makes a write accept every version of the row.
const AnyVersion int64 = 0

// ProductFields are the fields of a product that an operator sets. Prices has one entry for each currency.
type ProductFields struct {
	SKU, Name, Description, Category string
	Active                           bool
	Prices                           []money.Amount
}

// FindProduct returns a product, active or inactive, or ErrNotFound.
func (s *Store) FindProduct(ctx context.Context, id uuid.UUID) (Product, error) {
	row, err := s.q.FindProduct(ctx, s.pool, id)
	if err != nil {
		return Product{}, fmt.Errorf("read product %s: %w", id, notFound(err))
	}
	list, err := s.withPrices(ctx, []ordersdb.Product{row})
	if err != nil {
		return Product{}, err
	}
	return list[0], nil
}

// CreateProduct adds a product with its prices to the catalogue. It returns ErrSKUTaken if another product has the SKU.
func (s *Store) CreateProduct(ctx context.Context, id uuid.UUID, p ProductFields, at time.Time) (Product, error) {
	return s.writeProduct(ctx, p, func(tx pgx.Tx) (ordersdb.Product, error) {
		row, err := s.q.CreateProduct(ctx, tx, ordersdb.CreateProductParams{
			ProductID:   id,
			Sku:         p.SKU,
			Name:        p.Name,
			Description: p.Description,
			Category:    p.Category,
			Active:      p.Active,
			At:          at,
		})
		if err != nil {
			return row, fmt.Errorf("create product %s: %w", p.SKU, err)
		}
		return row, nil
	})
}

// ReplaceProduct replaces all fields of a product if the product has the given version, or any version with AnyVersion.
// If the product has these fields already, it changes nothing, at any version, and changed is false. It returns
// ErrNotFound, ErrStale or ErrSKUTaken if it cannot replace them.
func (s *Store) ReplaceProduct(
	ctx context.Context,
	id uuid.UUID, version int64,
	p ProductFields,
	at time.Time,
) (out Product, changed bool, err error) {
	p.Prices = slices.SortedFunc(slices.Values(p.Prices), func(x, y money.Amount) int {
		return strings.Compare(x.Currency, y.Currency)
	})
	errUnchanged := errors.New("unchanged")
	out, err = s.writeProduct(ctx, p, func(tx pgx.Tx) (ordersdb.Product, error) {
		row, err := s.q.LockProduct(ctx, tx, id)
		if err != nil {
			return row, fmt.Errorf("replace product %s: %w", id, notFound(err))
		}
		old, err := s.withPricesIn(ctx, tx, []ordersdb.Product{row})
		switch {
		case err != nil:
			return row, err
		case old[0].SKU == p.SKU && old[0].has(p):
			return row, errUnchanged
		case version != AnyVersion && row.Version != version:
			return row, fmt.Errorf("replace product %s: %w", id, ErrStale)
		}

		row, err = s.q.ReplaceProduct(ctx, tx, ordersdb.ReplaceProductParams{
			ProductID:   id,
			Version:     version,
			Sku:         p.SKU,
			Name:        p.Name,
			Description: p.Description,
			Category:    p.Category,
			Active:      p.Active,
			At:          at,
		})
		if err != nil {
			return row, fmt.Errorf("replace product %s: %w", id, err)
		}
		if err := s.q.DeletePrices(ctx, tx, []uuid.UUID{id}); err != nil {
			return row, fmt.Errorf("replace the prices of product %s: %w", id, err)
		}
		return row, nil
	})
	if errors.Is(err, errUnchanged) {
		return out, false, nil
	}
	return out, true, err
}

// writeProduct writes a product's row with the function row, and then its prices, in one transaction.
func (s *Store) writeProduct(
	ctx context.Context,
	p ProductFields,
	row func(pgx.Tx) (ordersdb.Product, error),
) (Product, error) {
	var out Product
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		written, err := row(tx)
		if out = productOf(written, p.Prices); err != nil {
			return err
		}
		var prices ordersdb.InsertPricesParams
		addPrices(&prices, out.ProductID, p.Prices)
		if err := s.q.InsertPrices(ctx, tx, prices); err != nil {
			return fmt.Errorf("write the prices of product %s: %w", out.ProductID, err)
		}
		return nil
	})
	if database.IsUniqueViolation(err, "products_sku_key") {
		return Product{}, s.skuTaken(ctx, p.SKU)
	}
	return out, err
}

// SKUTakenError is ErrSKUTaken with the product that has it.
type SKUTakenError struct {
	SKU       string
	ProductID uuid.UUID // zero if no product has the SKU any more
	Active    bool
}

func (e *SKUTakenError) Error() string { return fmt.Sprintf("%s: %s", ErrSKUTaken, e.SKU) }

// Is makes errors.Is(err, ErrSKUTaken) work.
func (e *SKUTakenError) Is(target error) bool { return target == ErrSKUTaken }

// skuTaken returns a SKUTakenError with the product that has the SKU.
func (s *Store) skuTaken(ctx context.Context, sku string) error {
	row, err := s.q.FindProductBySKU(ctx, s.pool, sku)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("look for SKU %s: %w", sku, err)
	}
	return &SKUTakenError{SKU: sku, ProductID: row.ProductID, Active: row.Active}
}

func addPrices(to *ordersdb.InsertPricesParams, id uuid.UUID, prices []money.Amount) {
	for _, a := range prices {
		to.ProductIds = append(to.ProductIds, id)
		to.Currencies = append(to.Currencies, a.Currency)
		to.Amounts = append(to.Amounts, a.Minor)
	}
}

// DeactivateProduct takes a product out of the catalogue if the product has the given version, or any version with
// AnyVersion. It changes nothing if the product is inactive already. It returns ErrNotFound or ErrStale if it cannot
// deactivate the product.
func (s *Store) DeactivateProduct(ctx context.Context, id uuid.UUID, version int64, at time.Time) error {
	n, err := s.q.DeactivateProduct(ctx, s.pool, ordersdb.DeactivateProductParams{
		ProductID: id,
		Version:   version,
		At:        at,
	})
	if err != nil {
		return fmt.Errorf("deactivate product %s: %w", id, err)
	}
	if n == 1 {
		return nil
	}

	row, err := s.q.FindProduct(ctx, s.pool, id)
	if err != nil {
		return fmt.Errorf("deactivate product %s: %w", id, notFound(err))
	}
	if row.Active {
		return fmt.Errorf("deactivate product %s: %w", id, ErrStale)
	}
	return nil
}
