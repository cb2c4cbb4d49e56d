package inventoryapi

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// The sizes of answers.
const (
	DefaultPage         = 50 // rows of a page if the request names no limit
	MaxPage             = 200
	DefaultMostReserved = 10
	MaxMostReserved     = 100
	MaxThreshold        = 1<<53 - 1 // of a list of low items; JSON keeps numbers up to here exact
)

// Page selects a part of a list. The zero Page is the first part, of DefaultPage rows.
type Page struct {
	Cursor string // the NextCursor of the previous part
	Limit  int    // rows, at most MaxPage; 0 means DefaultPage
}

// LowStockFilter selects low items. The zero value selects all.
type LowStockFilter struct {
	Location  string // empty: all locations
	Threshold *int64 // for all items, in place of their own; nil: their own
}

// ReservationFilter selects reservations. The zero value selects all.
type ReservationFilter struct {
	Statuses      []Status  // empty: all
	OrderID       uuid.UUID // the owner, if it is an order; uuid.Nil: any owner
	ExpiresAfter  time.Time // the deadline is this time or later
	ExpiresBefore time.Time // the deadline is before this time; the zero time: any time
}

// Queries are the reads for operators. Service and Client both implement it, and one conformance suite (inventorytest)
// tests both. No method changes anything. A list's NextCursor is empty on its last page. A malformed cursor, limit or
// location causes an InvalidInput error that names the field; a missing answer is an UnavailableError.
type Queries interface {
	// List returns the stock of all products, by product id.
	List(ctx context.Context, page Page) (AvailabilityList, error)
	// Statistics returns figures over all stock, computed at the moment AsOf. The service keeps them for 50 times as long
	// as their computation takes, and at least for a second. The first call after that starts a new computation in the
	// background.
	Statistics(ctx context.Context) (Statistics, error)
	// MostReserved returns the products with the most reserved units, most first, as of the same moment as Statistics.
	// The limit is at most MaxMostReserved; 0 means DefaultMostReserved.
	MostReserved(ctx context.Context, limit int) (MostReserved, error)
	// LowStock returns the items at or below their threshold, of one location, or of all if the location is empty.
	LowStock(ctx context.Context, filter LowStockFilter, page Page) (LowStockList, error)
	// Holds returns what pending reservations hold of a product, the earliest deadline first. For a product without
	// items the error is ProductNotFound.
	Holds(ctx context.Context, productID uuid.UUID, page Page) (HoldList, error)
	// Reservations returns the reservations that match, the latest deadline first.
	Reservations(ctx context.Context, filter ReservationFilter, page Page) (ReservationList, error)
	// Overdue returns the pending reservations whose deadline has passed, the earliest deadline first.
	Overdue(ctx context.Context, page Page) (OverdueList, error)
	// Ledger returns the changes of a product's stock, newest first, at one location, or at all if the location is
	// empty. For a product without items the error is ProductNotFound.
	Ledger(ctx context.Context, productID uuid.UUID, location string, page Page) (Ledger, error)
	// ReorderProposals returns the proposals in a status, newest first; an empty status means open ones. Only an open
	// proposal has a suggested quantity.
	ReorderProposals(ctx context.Context, status ReorderStatus, page Page) (ReorderProposalList, error)
}
