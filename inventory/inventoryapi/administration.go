package inventoryapi

import (
	"context"
	"io"
	"time"

	"github.com/google/uuid"

	"holdfast/internal/etag"
)

// MaxImportRows bounds the rows of one import, the header not counted.
const MaxImportRows = 10_000

// MaxImportBytes bounds the file of one import, which may be larger than other bodies.
const MaxImportBytes = 8 << 20

// ImportTimeout is how long an import may take: ten thousand rows are fifty transactions.
const ImportTimeout = time.Minute

// ImportPath is the route that takes it.
const ImportPath = "/api/inventory/import"

// WriteOptions is what a write carries beside its request, in headers over HTTP.
type WriteOptions struct {
	Actor   string // X-Actor: who acts; the request's own actor where empty, and one of them is required
	Key     string // Idempotency-Key: names the write where its request has no operation id, per actor; may be empty
	IfMatch string // If-Match: entity tags of the product, or "*"; a mismatch is PreconditionFailed
}

// ImportOptions says how an import is done.
type ImportOptions struct {
	Actor string // required
	// Key names the import (Idempotency-Key over HTTP), per actor: the same key again, with the same content,
	// changes nothing that succeeded. Without one every run compares its counts with what is there.
	Key    string
	DryRun bool // report what would happen, and change nothing
}

// Administration is the part of the contract by which people change stock. Service and Client
// implement it, and one conformance suite (inventorytest) holds them to it.
//
// A write acts once per operation id, or per key of the options, and answers a repeat with the first answer,
// marked as replayed; another request under the id is AlreadyExists, under the key IdempotencyKeyReused. Without
// either a repeat is a second operation. What asks for what is the case already changes nothing. With an
// expected version a request is refused as VersionConflict when the product has another one, which is
// not retryable: the caller decided on what is no longer so.
type Administration interface {
	// ReceiveStock adds stock that arrived, and creates the item where it is missing or deleted.
	ReceiveStock(ctx context.Context, productID uuid.UUID, in ReceiveRequest, o WriteOptions) (StockChange, error)
	// AdjustStock corrects an item by a difference or to a count. Below 0 it is NegativeQuantity, below
	// what is reserved InsufficientStock; a count that is right already changes nothing.
	AdjustStock(ctx context.Context, productID uuid.UUID, in AdjustRequest, o WriteOptions) (StockChange, error)
	// TransferStock moves available stock to another location, both sides at once.
	TransferStock(ctx context.Context, productID uuid.UUID, in TransferRequest, o WriteOptions) (TransferResult, error)
	// SetThreshold sets the level at which an item's stock is low, or that of all the product's items.
	SetThreshold(ctx context.Context, productID uuid.UUID, in ThresholdRequest, o WriteOptions) (ThresholdResult, error)
	// CreateItem creates the item of a product at a location; an existing item is returned as it is.
	CreateItem(ctx context.Context, productID uuid.UUID, location string, in CreateItemRequest, o WriteOptions) (Item, error)
	// DeleteItem writes off what is left of an item and ends its stock-keeping; while any of it is
	// reserved it is InsufficientStock. Stock that is received there again brings the item back.
	DeleteItem(ctx context.Context, productID uuid.UUID, location string, in DeleteItemRequest, o WriteOptions) (StockChange, error)
	// SetSellable says whether the catalogue sells a product; an older version of the catalogue's changes nothing.
	SetSellable(ctx context.Context, productID uuid.UUID, in SellableRequest) (Sellable, error)
	// Locations returns all locations, by priority.
	Locations(ctx context.Context) ([]Location, error)
	// PutLocation creates a location or changes its name and priority.
	PutLocation(ctx context.Context, code string, in LocationRequest, o WriteOptions) (Location, error)
	// ImportStock sets counts from a CSV file. Rows succeed and fail each for itself; the error concerns
	// the file as a whole.
	ImportStock(ctx context.Context, csv io.Reader, o ImportOptions) (ImportReport, error)
}

// ETag is the entity tag of a product at a version.
func ETag(version int64) string { return etag.Format(version) }

// IfMatch is the If-Match header, read.
type IfMatch = etag.Match

// ParseIfMatch reads the header; empty means that none was given.
func ParseIfMatch(header string) (IfMatch, error) {
	match, err := etag.ParseIfMatch(header)
	if err != nil {
		return match, Errorf(InvalidInput, "If-Match", "%s", err)
	}
	return match, nil
}
