package orderstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"holdfast/db/ordersdb"
	"holdfast/internal/money"
)

// Priced is a product with its price in one currency.
type Priced struct {
	ProductID uuid.UUID
	SKU       string
	Name      string
	Price     money.Amount
}

// PriceProducts returns the given products with their prices in currency, by id. It leaves out unknown products,
// inactive products and products without a price in the currency; only the last are in known.
func (s *Store) PriceProducts(
	ctx context.Context,
	ids []uuid.UUID,
	currency string,
) (priced map[uuid.UUID]Priced, known map[uuid.UUID]bool, err error) {
	rows, err := s.q.PriceProducts(ctx, s.pool, ordersdb.PriceProductsParams{ProductIds: ids, Currency: currency})
	if err != nil {
		return nil, nil, fmt.Errorf("price products: %w", err)
	}
	priced, known = make(map[uuid.UUID]Priced, len(rows)), make(map[uuid.UUID]bool, len(rows))
	for _, r := range rows {
		known[r.ProductID] = true
		priced[r.ProductID] = Priced{
			ProductID: r.ProductID,
			SKU:       r.Sku,
			Name:      r.Name,
			Price:     money.Amount{Minor: r.AmountMinor, Currency: currency},
		}
	}
	if len(priced) == len(ids) {
		return priced, known, nil
	}
	existing, err := s.q.ExistingProducts(ctx, s.pool, ids)
	if err != nil {
		return nil, nil, fmt.Errorf("look for products: %w", err)
	}
	for _, id := range existing {
		known[id] = true
	}
	return priced, known, nil
}

// Product is a product with its prices, one for each currency in which it is sold.
type Product struct {
	ProductID   uuid.UUID
	SKU         string
	Name        string
	Description string
	Category    string
	Active      bool
	Version     int64 // grows with every change of the product or its prices
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Untold      bool // inventory has not confirmed yet whether the product is sold
	SoldOut     bool // no stock was available when inventory last told; inventory decides each order
	Prices      []money.Amount
}

func productOf(r ordersdb.Product, prices []money.Amount) Product {
	return Product{
		ProductID:   r.ProductID,
		SKU:         r.Sku,
		Name:        r.Name,
		Description: r.Description,
		Category:    r.Category,
		Active:      r.Active,
		Version:     r.Version,
		CreatedAt:   r.CreatedAt,
		UpdatedAt:   r.UpdatedAt,
		Untold:      r.Untold,
		SoldOut:     r.SoldOut,
		Prices:      prices,
	}
}

// GetProduct returns an active product, or ErrNotFound.
func (s *Store) GetProduct(ctx context.Context, id uuid.UUID) (Product, error) {
	row, err := s.q.GetProduct(ctx, s.pool, id)
	if err != nil {
		return Product{}, fmt.Errorf("read product %s: %w", id, notFound(err))
	}
	list, err := s.withPrices(ctx, []ordersdb.Product{row})
	if err != nil {
		return Product{}, err
	}
	return list[0], nil
}

// ListProducts returns up to size active products that come after the given row in the listing, newest first.
func (s *Store) ListProducts(
	ctx context.Context,
	beforeCreated time.Time, beforeID uuid.UUID,
	size int,
) ([]Product, error) {
	rows, err := s.q.ListProducts(ctx, s.pool, ordersdb.ListProductsParams{
		BeforeCreatedAt: beforeCreated,
		BeforeID:        beforeID,
		PageSize:        int32(size), //nolint:gosec // bounded by the contract
	})
	if err != nil {
		return nil, fmt.Errorf("list products: %w", err)
	}
	return s.withPrices(ctx, rows)
}

// ListAllProducts is ListProducts for operators. It lists products that are active, inactive, or both, by actives.
func (s *Store) ListAllProducts(
	ctx context.Context,
	actives []bool,
	beforeCreated time.Time, beforeID uuid.UUID,
	size int,
) ([]Product, error) {
	rows, err := s.q.ListAllProducts(ctx, s.pool, ordersdb.ListAllProductsParams{
		Actives:         actives,
		BeforeCreatedAt: beforeCreated,
		BeforeID:        beforeID,
		PageSize:        int32(size), //nolint:gosec // bounded by the contract
	})
	if err != nil {
		return nil, fmt.Errorf("list products: %w", err)
	}
	return s.withPrices(ctx, rows)
}

// ProductState is what a reservation without an order needs of a product.
type ProductState struct {
	SKU    string
	Active bool // the catalogue sells it
}

// ProductStates returns the states of those of the given products that the catalogue has.
func (s *Store) ProductStates(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]ProductState, error) {
	rows, err := s.q.ProductStates(ctx, s.pool, ids)
	if err != nil {
		return nil, fmt.Errorf("look for products: %w", err)
	}
	out := make(map[uuid.UUID]ProductState, len(rows))
	for _, r := range rows {
		out[r.ProductID] = ProductState{SKU: r.Sku, Active: r.Active}
	}
	return out, nil
}

// Activity says whether a product is sold, as of one of its versions.
type Activity struct {
	ProductID uuid.UUID
	Active    bool
	Version   int64
}

// Untold returns up to size products whose activity inventory has not confirmed, in the order of their ids and after
// the given one.
func (s *Store) Untold(ctx context.Context, after uuid.UUID, size int) ([]Activity, error) {
	rows, err := s.q.UntoldProducts(ctx, s.pool, ordersdb.UntoldProductsParams{
		After:    after,
		PageSize: int32(size), //nolint:gosec // a small number
	})
	if err != nil {
		return nil, fmt.Errorf("list products to tell of: %w", err)
	}
	out := make([]Activity, len(rows))
	for i, r := range rows {
		out[i] = Activity(r)
	}
	return out, nil
}

// MarkTold records that inventory has confirmed a product's activity. If the product has another version by now, it
// stays untold.
func (s *Store) MarkTold(ctx context.Context, a Activity) error {
	told := ordersdb.MarkProductToldParams{ProductID: a.ProductID, Version: a.Version}
	if err := s.q.MarkProductTold(ctx, s.pool, told); err != nil {
		return fmt.Errorf("mark product %s as told: %w", a.ProductID, err)
	}
	return nil
}

func (s *Store) withPrices(ctx context.Context, rows []ordersdb.Product) ([]Product, error) {
	return s.withPricesIn(ctx, s.pool, rows)
}

func (s *Store) withPricesIn(ctx context.Context, db ordersdb.DBTX, rows []ordersdb.Product) ([]Product, error) {
	ids := make([]uuid.UUID, len(rows))
	for i, r := range rows {
		ids[i] = r.ProductID
	}
	prices, err := s.q.ListPrices(ctx, db, ids)
	if err != nil {
		return nil, fmt.Errorf("read prices: %w", err)
	}
	byProduct := make(map[uuid.UUID][]money.Amount, len(rows))
	for _, p := range prices {
		price := money.Amount{Minor: p.AmountMinor, Currency: p.Currency}
		byProduct[p.ProductID] = append(byProduct[p.ProductID], price)
	}

	out := make([]Product, len(rows))
	for i, r := range rows {
		out[i] = productOf(r, byProduct[r.ProductID])
	}
	return out, nil
}

// NewProduct is a product to add to the catalogue.
type NewProduct struct {
	ProductID                        uuid.UUID
	SKU, Name, Description, Category string
	Inactive                         bool
	Prices                           []money.Amount
}

// AddProducts adds products to the catalogue in one transaction and returns how many were new. It does not change
// products that exist already, nor their prices.
func (s *Store) AddProducts(ctx context.Context, products []NewProduct, at time.Time) (added int64, err error) {
	p := ordersdb.SeedProductsParams{CreatedAt: at}
	for _, n := range products {
		p.ProductIds = append(p.ProductIds, n.ProductID)
		p.Skus = append(p.Skus, n.SKU)
		p.Names = append(p.Names, n.Name)
		p.Descriptions = append(p.Descriptions, n.Description)
		p.Categories = append(p.Categories, n.Category)
		p.Actives = append(p.Actives, !n.Inactive)
	}

	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		made, err := s.q.SeedProducts(ctx, tx, p)
		if err != nil {
			return fmt.Errorf("add products: %w", err)
		}
		added = int64(len(made))

		var prices ordersdb.InsertPricesParams
		for _, n := range products {
			if slices.Contains(made, n.ProductID) {
				addPrices(&prices, n.ProductID, n.Prices)
			}
		}
		if err := s.q.InsertPrices(ctx, tx, prices); err != nil {
			return fmt.Errorf("add prices: %w", err)
		}
		return nil
	})
	return added, err
}
