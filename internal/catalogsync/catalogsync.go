// Package catalogsync copies the catalogue of the order side to inventory: each active product that inventory does not
// know gets a first stock. It never changes stock that inventory has already.
package catalogsync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/internal/orderstore"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
)

// PageSize is how many products are read at once.
const PageSize = 1000

// pageBudget bounds the work on one page. A run that is told to stop finishes its page first.
const pageBudget = time.Minute

// actor is the actor of the receipts in the ledger.
const actor = "sync"

// operationIDs is the namespace of the receipts' ids.
var operationIDs = uuid.MustParse("0d9b1c1e-5a33-5f0c-9a52-3f4d5f6e7a04")

// Catalogue is where Run reads products from, page by page.
type Catalogue interface {
	PageProducts(ctx context.Context, after uuid.UUID, size int) ([]orderstore.Listed, error)
}

// Stock is the inventory that Run copies products to.
type Stock interface {
	HasLocation(ctx context.Context, code string) (bool, error)
	Availabilities(ctx context.Context, productIDs []uuid.UUID) ([]inventoryapi.Availability, error)
	Introduce(ctx context.Context, in ...stock.Receive) ([]stock.Receipt, []error)
	// DryRunIntroduce says what Introduce would do, and writes nothing.
	DryRunIntroduce(ctx context.Context, in ...stock.Receive) ([]stock.Receipt, []error)
}

// Options says how to copy.
type Options struct {
	DryRun   bool   // only say what would happen
	Quantity int64  // of each new product; 0 makes an item without stock
	Location string // that receives it
	PageSize int    // in products; 0 means the constant PageSize
	Progress func(done int)
}

// Summary says what a run did, or with DryRun would do.
type Summary struct {
	New      int
	Existing int
	Skipped  int // inactive
	Failed   []Failure
}

// Failure is a product that could not be copied.
type Failure struct {
	orderstore.Listed
	Err error
}

// Seen is how many products a run has looked at.
func (s Summary) Seen() int { return s.New + s.Existing + s.Skipped + len(s.Failed) }

// ErrStopped says that a run was told to stop before the end of the catalogue.
var ErrStopped = errors.New("stopped before the end of the catalogue; run it again to go on")

// Run copies the whole catalogue. A product that fails is in the summary, and the run goes on. The error is about the
// run as a whole; the summary is right also with an error. Run is idempotent. When ctx ends, it finishes its page and
// returns ErrStopped.
func Run(ctx context.Context, catalogue Catalogue, warehouse Stock, o Options) (Summary, error) {
	var sum Summary
	if o.PageSize == 0 {
		o.PageSize = PageSize
	}
	if o.Quantity < 0 || o.Quantity > stock.MaxStock {
		return sum, fmt.Errorf("the quantity lies between 0 and %d", int64(stock.MaxStock))
	}

	known, err := warehouse.HasLocation(ctx, o.Location)
	if err != nil {
		return sum, fmt.Errorf("look for the location: %w", err)
	}
	if !known {
		return sum, fmt.Errorf("inventory has no location %q; choose a location that exists", o.Location)
	}
	after := uuid.Nil
	for {
		if ctx.Err() != nil {
			return sum, ErrStopped
		}
		last, more, err := page(ctx, catalogue, warehouse, o, after, &sum)
		if err != nil {
			return sum, err
		}
		if o.Progress != nil {
			o.Progress(sum.Seen())
		}
		if !more {
			return sum, nil
		}
		after = last
	}
}

// page copies one page and returns its last product and whether there may be more.
func page(
	ctx context.Context,
	catalogue Catalogue, warehouse Stock,
	o Options,
	after uuid.UUID,
	sum *Summary,
) (last uuid.UUID, more bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pageBudget)
	defer cancel()

	products, err := catalogue.PageProducts(ctx, after, o.PageSize)
	if err != nil || len(products) == 0 {
		return after, false, err
	}
	active := make([]orderstore.Listed, 0, len(products))
	for _, p := range products {
		if p.Active {
			active = append(active, p)
		}
	}
	sum.Skipped += len(products) - len(active)

	for some := range slices.Chunk(active, inventoryapi.MaxProducts) {
		if err := introduce(ctx, warehouse, o, some, sum); err != nil {
			return after, false, err
		}
	}
	return products[len(products)-1].ProductID, len(products) == o.PageSize, nil
}

// introduce gives a first stock to each of the products that inventory does not know.
func introduce(ctx context.Context, warehouse Stock, o Options, products []orderstore.Listed, sum *Summary) error {
	ids := make([]uuid.UUID, len(products))
	for i, p := range products {
		ids[i] = p.ProductID
	}
	found, err := warehouse.Availabilities(ctx, ids)
	if err != nil {
		return fmt.Errorf("read the stock of products: %w", err)
	}
	there := make(map[uuid.UUID]bool, len(found))
	for _, a := range found {
		there[a.ProductID] = true
	}
	var unknown []orderstore.Listed
	var receipts []stock.Receive
	for _, p := range products {
		if !there[p.ProductID] {
			unknown = append(unknown, p)
			receipts = append(receipts, stock.Receive{
				OperationID: uuid.NewSHA1(operationIDs, p.ProductID[:]),
				ProductID:   p.ProductID,
				Location:    o.Location,
				Quantity:    o.Quantity,
				Actor:       actor,
				Reason:      "first stock, from the catalogue",
			})
		}
	}
	sum.Existing += len(products) - len(unknown)

	introduce := warehouse.Introduce
	if o.DryRun {
		introduce = warehouse.DryRunIntroduce // the same rules apply: a product that ever had stock is not new
	}
	_, errs := introduce(ctx, receipts...)
	return sum.count(unknown, errs)
}

// count adds the results of the products to the summary. An inventory that does not answer is an error of the run, not
// a failure of a product.
func (s *Summary) count(products []orderstore.Listed, errs []error) error {
	var down error
	for i, err := range errs {
		switch {
		case err == nil:
			s.New++
		case errors.Is(err, inventoryapi.AlreadyExists):
			s.Existing++ // another caller added stock first
		case errors.Is(err, inventoryapi.Unavailable):
			down = err
		default:
			s.Failed = append(s.Failed, Failure{products[i], err})
		}
	}
	return down
}
