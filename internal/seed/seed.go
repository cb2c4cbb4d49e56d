// Package seed fills the catalogue and the stock with example products, and makes reservations of some of the stock
// through workflows. All ids derive from names, so that every machine has the same data under the same ids.
package seed

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"holdfast/internal/orderstore"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

// Catalogue is where Run adds products.
type Catalogue interface {
	AddProducts(ctx context.Context, products []orderstore.NewProduct, at time.Time) (added int64, err error)
}

// Stock is the inventory that receives the stock.
type Stock interface {
	PutLocations(ctx context.Context, locations ...store.Location) error
	Receive(ctx context.Context, in ...stock.Receive) ([]stock.Receipt, error)
}

// Summary counts what a run has done.
type Summary struct {
	Products  int
	New       int64 // products that were not in the catalogue before
	Units     int64 // of stock that this run has received
	Locations int
}

// The namespaces of the ids of products, of receipts, and of the order ids that the seeder's customer gives.
var (
	productIDs   = uuid.MustParse("0d9b1c1e-5a33-5f0c-9a52-3f4d5f6e7a01")
	operationIDs = uuid.MustParse("0d9b1c1e-5a33-5f0c-9a52-3f4d5f6e7a02")
	orderIDs     = uuid.MustParse("0d9b1c1e-5a33-5f0c-9a52-3f4d5f6e7a03")
)

// ProductID returns the id of the example product with the given SKU.
func ProductID(sku string) uuid.UUID { return uuid.NewSHA1(productIDs, []byte(sku)) }

// operationID returns the id of the only receipt of a product at a location.
func operationID(product uuid.UUID, location string) uuid.UUID {
	key := product[:]
	if location != Location { // ids of the main warehouse have no location: they are older than the other locations
		key = append(key[:len(key):len(key)], location...)
	}
	return uuid.NewSHA1(operationIDs, key)
}

// Run adds the products and the stock of a data set. It is idempotent: it does not change existing products, and it
// adds the stock of a product only once.
func Run(ctx context.Context, name string, catalogue Catalogue, warehouse Stock) (Summary, error) {
	set, err := find(name)
	if err != nil {
		return Summary{}, err
	}
	sum := Summary{Products: len(set.items), Locations: len(set.locations)}
	products := []orderstore.NewProduct{}
	receipts := []stock.Receive{}
	for _, it := range set.items {
		products = append(products, it.NewProduct)
		for _, p := range it.stock {
			receipts = append(receipts, stock.Receive{
				OperationID: operationID(it.ProductID, p.location),
				ProductID:   it.ProductID,
				Location:    p.location,
				Quantity:    p.quantity,
				Actor:       Actor,
				Reason:      "data set " + name,
			})
		}
	}
	if sum.New, err = catalogue.AddProducts(ctx, products, time.Now().UTC()); err != nil {
		return sum, fmt.Errorf("seed the catalogue: %w", err)
	}
	if err := warehouse.PutLocations(ctx, set.locations...); err != nil {
		return sum, fmt.Errorf("seed the locations: %w", err)
	}
	done, err := warehouse.Receive(ctx, receipts...)
	if err != nil {
		return sum, fmt.Errorf("seed the stock: %w", err)
	}
	for _, r := range done {
		if !r.Replayed {
			sum.Units += r.Quantity
		}
	}
	return sum, nil
}
