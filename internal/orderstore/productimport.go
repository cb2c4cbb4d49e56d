package orderstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"holdfast/db/ordersdb"
	"holdfast/internal/database"
	"holdfast/internal/money"
)

// ProductUpsert creates the product with the SKU or changes it. A nil field does not change an existing product; in a
// new product it has its default: no text, active.
type ProductUpsert struct {
	SKU, Name             string
	Description, Category *string
	Active                *bool
	// Prices are minor units by currency. nil means that the product is not sold in the currency. Prices in other
	// currencies do not change.
	Prices map[string]*int64
}

// Outcome is the effect of an upsert.
type Outcome string

// The outcomes.
const (
	Created   Outcome = "created"
	Updated   Outcome = "updated"
	Unchanged Outcome = "unchanged"
)

// Upserted is the result of an upsert.
type Upserted struct {
	ProductID uuid.UUID // zero for a product that a dry run would create
	Outcome   Outcome
}

// maxImportAttempts bounds how often an import is tried because another transaction creates one of its new SKUs at the
// same time. The next attempt finds that SKU and updates it.
const maxImportAttempts = 5

// errImportRaced rolls an import back that must be tried again.
var errImportRaced = fmt.Errorf("another transaction created a product with one of these SKUs: %w", database.ErrBusy)

// errDryRun rolls a finished dry run back.
var errDryRun = errors.New("dry run")

// UpsertProducts carries out all upserts in one transaction. With dryRun it writes nothing and returns what it would
// do. The results are in the order of the upserts, whose SKUs must differ. It is idempotent: when it is repeated, every
// outcome is Unchanged.
func (s *Store) UpsertProducts(ctx context.Context, in []ProductUpsert, at time.Time, dryRun bool) ([]Upserted, error) {
	var out []Upserted
	for attempt := 1; ; attempt++ {
		err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			var err error
			if out, err = s.upsert(ctx, tx, in, at); err == nil && dryRun {
				err = errDryRun
			}
			return err
		})

		switch {
		case err == nil:
			return out, nil
		case errors.Is(err, errDryRun):
			for i := range out {
				if out[i].Outcome == Created {
					out[i].ProductID = uuid.Nil // the dry run has not created the product
				}
			}
			return out, nil
		case !errors.Is(err, errImportRaced) || attempt == maxImportAttempts:
			return nil, fmt.Errorf("import %d products: %w", len(in), err)
		}
	}
}

func (s *Store) upsert(ctx context.Context, tx pgx.Tx, in []ProductUpsert, at time.Time) ([]Upserted, error) {
	bySKU, err := s.lockBySKU(ctx, tx, in)
	if err != nil {
		return nil, err
	}

	inserts, updates := ordersdb.InsertProductsParams{At: at}, ordersdb.UpdateProductsParams{At: at}
	var prices ordersdb.InsertPricesParams
	out := make([]Upserted, len(in))
	for i, u := range in {
		old, exists := bySKU[u.SKU]
		p := u.apply(old, exists)
		switch {
		case !exists:
			id := uuid.New()
			out[i] = Upserted{id, Created}
			inserts.ProductIds = append(inserts.ProductIds, id)
			inserts.Skus = append(inserts.Skus, p.SKU)
			inserts.Names = append(inserts.Names, p.Name)
			inserts.Descriptions = append(inserts.Descriptions, p.Description)
			inserts.Categories = append(inserts.Categories, p.Category)
			inserts.Actives = append(inserts.Actives, p.Active)
			addPrices(&prices, id, p.Prices)
		case old.has(p):
			out[i] = Upserted{old.ProductID, Unchanged}
		default:
			out[i] = Upserted{old.ProductID, Updated}
			updates.ProductIds = append(updates.ProductIds, old.ProductID)
			updates.Names = append(updates.Names, p.Name)
			updates.Descriptions = append(updates.Descriptions, p.Description)
			updates.Categories = append(updates.Categories, p.Category)
			updates.Actives = append(updates.Actives, p.Active)
			addPrices(&prices, old.ProductID, p.Prices)
		}
	}
	if made, err := s.q.InsertProducts(ctx, tx, inserts); err != nil {
		return nil, fmt.Errorf("insert products: %w", err)
	} else if made != int64(len(inserts.Skus)) {
		return nil, errImportRaced
	}
	if _, err := s.q.UpdateProducts(ctx, tx, updates); err != nil {
		return nil, fmt.Errorf("update products: %w", err)
	}
	if err := s.q.DeletePrices(ctx, tx, updates.ProductIds); err != nil {
		return nil, fmt.Errorf("replace prices: %w", err)
	}
	if err := s.q.InsertPrices(ctx, tx, prices); err != nil {
		return nil, fmt.Errorf("write prices: %w", err)
	}
	return out, nil
}

// lockBySKU locks and returns the products that exist already. The lock of a product's row protects its prices too.
func (s *Store) lockBySKU(ctx context.Context, tx pgx.Tx, in []ProductUpsert) (map[string]Product, error) {
	skus := make([]string, len(in))
	for i, u := range in {
		skus[i] = u.SKU
	}
	rows, err := s.q.LockProductsBySKU(ctx, tx, skus)
	if err != nil {
		return nil, fmt.Errorf("lock products: %w", err)
	}
	products, err := s.withPricesIn(ctx, tx, rows)
	if err != nil {
		return nil, err
	}

	out := make(map[string]Product, len(products))
	for _, p := range products {
		out[p.SKU] = p
	}
	return out, nil
}

// apply returns the fields of the product after the upsert. Prices are in the order of their currencies, as in a read.
func (u ProductUpsert) apply(old Product, exists bool) ProductFields {
	p := ProductFields{
		SKU:         u.SKU,
		Name:        u.Name,
		Description: old.Description,
		Category:    old.Category,
		Active:      old.Active || !exists,
	}
	for _, set := range []struct{ to, from *string }{{&p.Description, u.Description}, {&p.Category, u.Category}} {
		if set.from != nil {
			*set.to = *set.from
		}
	}
	if u.Active != nil {
		p.Active = *u.Active
	}

	minor := map[string]int64{}
	for _, a := range old.Prices {
		minor[a.Currency] = a.Minor
	}
	for currency, amount := range u.Prices {
		if delete(minor, currency); amount != nil {
			minor[currency] = *amount
		}
	}
	for _, currency := range slices.Sorted(maps.Keys(minor)) {
		p.Prices = append(p.Prices, money.Amount{Minor: minor[currency], Currency: currency})
	}
	return p
}

// has reports whether the product has the fields f; it does not compare the SKU.
func (p Product) has(f ProductFields) bool {
	return p.Name == f.Name && p.Description == f.Description && p.Category == f.Category &&
		p.Active == f.Active && slices.Equal(p.Prices, f.Prices)
}
