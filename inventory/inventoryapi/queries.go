package inventoryapi

import (
	"context"

	"github.com/google/uuid"
)

// The sizes of answers.
const (
	DefaultPage         = 50 // rows of a page whose size is left open
	MaxPage             = 200
	DefaultMostReserved = 10
	MaxMostReserved     = 100
)

// Page says which part of a list is asked for. The zero Page is the first part, of DefaultPage rows.
type Page struct {
	Cursor string // the NextCursor of the part before
	Limit  int    // rows, at most MaxPage; 0 means DefaultPage
}

// Queries is what operators ask of the stock; Service and Client both implement it, and one
// conformance suite (inventorytest) holds them to it. Nothing here changes anything. A list's
// NextCursor is empty on its last page. A malformed cursor, limit or location is an InvalidInput
// error that names the field; no answer is an UnavailableError.
type Queries interface {
	// List returns the stock of all products, by product id.
	List(ctx context.Context, page Page) (AvailabilityList, error)
	// Statistics returns figures over all stock. They are remembered, and renewed aside when they are
	// asked for and older than 50 times what computing them takes, at least a second; AsOf tells of when
	// they are.
	Statistics(ctx context.Context) (Statistics, error)
	// MostReserved returns the products of which most units are reserved, most first, as of the same
	// moment as Statistics; limit is at most MaxMostReserved, and DefaultMostReserved where 0.
	MostReserved(ctx context.Context, limit int) (MostReserved, error)
	// LowStock returns the items at or below their threshold, of one location or, where that is empty,
	// of all.
	LowStock(ctx context.Context, location string, page Page) (LowStockList, error)
	// Holds returns what pending reservations hold of a product, the earliest deadline first. A product
	// without items is ProductNotFound.
	Holds(ctx context.Context, productID uuid.UUID, page Page) (HoldList, error)
	// Ledger returns the changes of a product's stock, newest first, at one location or, where that is
	// empty, at all. A product without items is ProductNotFound.
	Ledger(ctx context.Context, productID uuid.UUID, location string, page Page) (Ledger, error)
}
