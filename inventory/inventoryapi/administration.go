package inventoryapi

import (
	"context"
	"io"
	"time"

	"github.com/google/uuid"

	"holdfast/internal/etag"
)

// MaxImportRows bounds the rows of one import, without the header.
const MaxImportRows = 10_000

// MaxImportBytes bounds the file of one import, which may be larger than other bodies.
const MaxImportBytes = 8 << 20

// ImportTimeout bounds the duration of an import: ten thousand rows are fifty transactions.
const ImportTimeout = time.Minute

// ImportPath is the route of the import.
const ImportPath = "/api/inventory/import"

// WriteOptions is what a write carries in addition to its request, in headers over HTTP.
type WriteOptions struct {
	// Actor is the X-Actor. If it is empty, the request's own actor applies; one of them is required.
	Actor string
	// Key is the Idempotency-Key. It names the write, per actor, if the request has no operation id. It may be empty.
	Key string
	// IfMatch is the If-Match: entity tags of the product, or "*". For another version the error is PreconditionFailed.
	IfMatch string
}

// ImportOptions configures an import.
type ImportOptions struct {
	Actor string // required
	// Key names the import, per actor (Idempotency-Key over HTTP). A repeated import with the same key and content does
	// not repeat rows that succeeded. Without a key, every run compares its counts with the stock.
	Key    string
	DryRun bool // report the outcome, and change nothing
}

// Administration is the part of the contract with which operators change stock. Service and Client implement it, and
// one conformance suite (inventorytest) tests both.
//
// A write acts once per operation id, or per key of the options. A repeated request gets the first answer, marked as
// replayed. For a different request under the same id the error is AlreadyExists, under the same key
// IdempotencyKeyReused. Without an id or a key, a repeated request is a second operation. A request whose result is
// already in place changes nothing. If a request has an expected version and the product has another version, the error
// is VersionConflict. It is not retryable, because the caller decided on stock that has changed.
type Administration interface {
	// ReceiveStock adds stock that arrived, and creates the item if it is missing or deleted.
	ReceiveStock(ctx context.Context, productID uuid.UUID, in ReceiveRequest, o WriteOptions) (StockChange, error)
	// AdjustStock corrects an item by a difference or to a count. If the stock would be below 0, the error is
	// NegativeQuantity; if it would be below the reserved stock, InsufficientStock. A count equal to the stock changes
	// nothing.
	AdjustStock(ctx context.Context, productID uuid.UUID, in AdjustRequest, o WriteOptions) (StockChange, error)
	// TransferStock moves available stock to another location, both sides at once.
	TransferStock(ctx context.Context, productID uuid.UUID, in TransferRequest, o WriteOptions) (TransferResult, error)
	// SetThreshold sets the level at which the stock of an item, or of all the product's items, is low.
	SetThreshold(ctx context.Context, productID uuid.UUID, in ThresholdRequest, o WriteOptions) (ThresholdResult, error)
	// CreateItem creates the item of a product at a location. It returns an existing item unchanged.
	CreateItem(
		ctx context.Context, productID uuid.UUID, location string, in CreateItemRequest, o WriteOptions,
	) (Item, error)
	// DeleteItem writes off the rest of an item and ends its stock-keeping. While any of it is reserved, the error is
	// InsufficientStock. The next receipt at the location restores the item.
	DeleteItem(
		ctx context.Context, productID uuid.UUID, location string, in DeleteItemRequest, o WriteOptions,
	) (StockChange, error)
	// SetSellable sets whether the catalogue sells a product. A request with an older version of the catalogue changes
	// nothing.
	SetSellable(ctx context.Context, productID uuid.UUID, in SellableRequest) (Sellable, error)
	// Locations returns all locations, by priority.
	Locations(ctx context.Context) ([]Location, error)
	// PutLocation creates a location or changes its name and priority.
	PutLocation(ctx context.Context, code string, in LocationRequest, o WriteOptions) (Location, error)
	// ImportStock sets counts from a CSV file. Each row succeeds or fails by itself; the error concerns the file as a
	// whole.
	ImportStock(ctx context.Context, csv io.Reader, o ImportOptions) (ImportReport, error)
	// DismissReorderProposal closes an open proposal without an order. The item is not proposed again for the same cause
	// for a day, unless stock is received before. If the proposal is closed, the error is ProposalClosed.
	DismissReorderProposal(ctx context.Context, proposal uuid.UUID, in DismissRequest) (ReorderProposal, error)
}

// ETag returns the entity tag of a product at a version.
func ETag(version int64) string { return etag.Format(version) }

// IfMatch is a parsed If-Match header.
type IfMatch = etag.Match

// maxIfMatch is the maxLength of the header in the contract, in bytes.
const maxIfMatch = 1024

// ParseIfMatch parses the header. An empty text means that the request has no such header.
func ParseIfMatch(header string) (IfMatch, error) {
	if len(header) > maxIfMatch {
		return IfMatch{}, Errorf(InvalidInput, "If-Match", "the header has at most %d bytes", maxIfMatch)
	}
	match, err := etag.ParseIfMatch(header)
	if err != nil {
		return match, Errorf(InvalidInput, "If-Match", "%s", err)
	}
	return match, nil
}
