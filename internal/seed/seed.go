// Package seed fills the catalogue and the stock with example products. Everything is derived from
// the product's number, so that every machine has the same products under the same ids.
package seed

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/google/uuid"

	"holdfast/internal/money"
	"holdfast/internal/orderstore"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

// Catalogue takes products in.
type Catalogue interface {
	AddProducts(ctx context.Context, products []orderstore.NewProduct, at time.Time) (added int64, err error)
}

// Stock takes stock in.
type Stock interface {
	PutLocations(ctx context.Context, locations ...store.Location) error
	Receive(ctx context.Context, in ...stock.Receive) ([]stock.Receipt, error)
}

// Summary says what a run did.
type Summary struct {
	Products int
	New      int64 // not in the catalogue before
	Units    int64 // of stock received now
}

// Location is the code of the warehouse that example products lie in.
const Location = "main"

// products and receipts of seeding have ids of these namespaces.
var (
	productIDs   = uuid.MustParse("0d9b1c1e-5a33-5f0c-9a52-3f4d5f6e7a01")
	operationIDs = uuid.MustParse("0d9b1c1e-5a33-5f0c-9a52-3f4d5f6e7a02")
)

// ProductID returns the id of the example product with the given SKU.
func ProductID(sku string) uuid.UUID { return uuid.NewSHA1(productIDs, []byte(sku)) }

type item struct {
	orderstore.NewProduct
	stock int64
}

var datasets = map[string]func() []item{"dev": dev, "test": test}

// Run puts a data set in place. It is idempotent: products that are there stay as they are, and each
// is stocked once, however often it runs.
func Run(ctx context.Context, dataset string, catalogue Catalogue, warehouse Stock) (Summary, error) {
	make, ok := datasets[dataset]
	if !ok {
		names := []string{}
		for n := range datasets {
			names = append(names, n)
		}
		sort.Strings(names)
		return Summary{}, fmt.Errorf("there is no data set %q; choose one of: %s", dataset, strings.Join(names, ", "))
	}
	items := make()
	sum := Summary{Products: len(items)}
	products := []orderstore.NewProduct{}
	receipts := []stock.Receive{}
	for _, it := range items {
		products = append(products, it.NewProduct)
		receipts = append(receipts, stock.Receive{
			OperationID: uuid.NewSHA1(operationIDs, it.ProductID[:]), ProductID: it.ProductID, Location: Location,
			Quantity: it.stock, Actor: "seed", Reason: "data set " + dataset,
		})
	}
	var err error
	if sum.New, err = catalogue.AddProducts(ctx, products, time.Now().UTC()); err != nil {
		return sum, fmt.Errorf("seed the catalogue: %w", err)
	}
	if err := warehouse.PutLocations(ctx, store.Location{Code: Location, Name: "Main warehouse", Priority: 1}); err != nil {
		return sum, fmt.Errorf("seed the location: %w", err)
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

// dev is 100 products: every fifth is low on stock, every fifth has plenty, the rest lie between.
func dev() []item {
	kinds := []struct {
		code, name, category string
		cents                int64
	}{
		{"MUG", "Stoneware mug", "kitchen", 1490}, {"TEE", "Organic cotton T-shirt", "clothing", 2490},
		{"LMP", "Desk lamp", "home", 5990}, {"NTB", "Dotted notebook", "paper", 1190},
		{"BAG", "Canvas backpack", "travel", 7990}, {"HPH", "Wireless headphones", "audio", 12900},
		{"KTL", "Gooseneck kettle", "kitchen", 8900}, {"PLT", "Potted fern", "garden", 1990},
		{"BLK", "Wool blanket", "home", 9900}, {"PEN", "Fountain pen", "paper", 3490},
	}
	colours := []string{"Graphite", "Forest", "Sand", "Cobalt", "Rust", "Ivory", "Plum", "Teal", "Amber", "Slate"}
	items := make([]item, 0, len(kinds)*len(colours))
	for i := range cap(items) {
		k, colour := kinds[i%len(kinds)], colours[i/len(kinds)]
		quantity := int64(50 + i)
		switch i % 5 {
		case 0:
			quantity = int64(1 + i%9)
		case 4:
			quantity = int64(500 + 5*i)
		}
		sku := fmt.Sprintf("%s-%s", k.code, strings.ToUpper(colour[:3]))
		items = append(items, product(sku, fmt.Sprintf("%s, %s", k.name, strings.ToLower(colour)), k.category, k.cents+int64(i/10)*50, quantity))
	}
	return items
}

// test is 20 products whose stock goes 0, 1, 5, 10, 50, 100 and around again.
func test() []item {
	levels := []int64{0, 1, 5, 10, 50, 100}
	items := make([]item, 20)
	for i := range items {
		items[i] = product(fmt.Sprintf("TEST-%02d", i+1), fmt.Sprintf("Test product %d", i+1), "test", int64(1000+i), levels[i%len(levels)])
	}
	return items
}

func product(sku, name, category string, cents, quantity int64) item {
	return item{stock: quantity, NewProduct: orderstore.NewProduct{
		ProductID: ProductID(sku), SKU: sku, Name: name, Category: category, Description: name + ".",
		Prices: []money.Amount{{Minor: cents, Currency: "EUR"}, {Minor: cents * 11 / 10, Currency: "USD"}},
	}}
}
