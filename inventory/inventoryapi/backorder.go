package inventoryapi

import (
	"context"

	"github.com/google/uuid"
)

// MaxWaitSeconds bounds how long a backorder waits, and how far from now its deadline may lie: a year.
const MaxWaitSeconds = 366 * 24 * 60 * 60

// Backorders is the part of the contract with which owners wait for stock. Service and Client implement it, and one
// conformance suite (inventorytest) tests both. A backorder has the id, the owner and the number of the reservation
// that it becomes. It ends once: as granted, cancelled or expired.
type Backorders interface {
	// PlaceBackorder reserves every line, or waits until it can. If the stock is there and is not promised to earlier
	// backorders, the answer is granted and has the reservation; otherwise it is waiting. A repeated request gets the
	// present state, marked as replayed. After a cancellation or an expiry the error is BackorderNotWaiting.
	PlaceBackorder(ctx context.Context, in PlaceBackorderRequest) (Backorder, error)
	// GetBackorder returns a backorder. While it waits, Position and PromisedAt say how long it may take; once it was
	// granted, Reservation is the reservation as it is now.
	GetBackorder(ctx context.Context, backorderID uuid.UUID) (Backorder, error)
	// CancelBackorder ends the wait. For a granted backorder the error is BackorderNotWaiting, and the caller releases the
	// reservation. If the request has an owner and the backorder does not exist, it leaves a tombstone, which refuses the
	// backorder if it arrives later.
	CancelBackorder(ctx context.Context, backorderID uuid.UUID, in ReleaseRequest) (Backorder, error)
	// ExpireBackorder ends the wait because the deadline has passed. Before the deadline the error is NotDue, with the
	// deadline. For a granted backorder it is BackorderNotWaiting.
	ExpireBackorder(ctx context.Context, backorderID uuid.UUID, in ResolveRequest) (Backorder, error)
	// ExtendBackorder moves the deadline to a later moment and returns the deadline in force. After the deadline the error
	// is BackorderPastDeadline.
	ExtendBackorder(ctx context.Context, backorderID uuid.UUID, in ExtendBackorderRequest) (Backorder, error)
	// WaitingList returns the backorders that wait for a product, first come first. It is empty for an unknown product.
	WaitingList(ctx context.Context, productID uuid.UUID, page Page) (WaitingList, error)
}

// WasReplayed reports whether an earlier call placed the backorder.
func (b Backorder) WasReplayed() bool { return b.Replayed }

// IncomingStock is the part of the contract with which operators record the deliveries that they expect. Promised dates
// follow from them. Service and Client implement it, and one conformance suite (inventorytest) tests both.
//
// A write acts once per Idempotency-Key of the options, as those of Administration. A write with an expected version
// that is not the delivery's is refused as VersionConflict, which is not retryable.
type IncomingStock interface {
	// AddIncoming records a delivery. It changes no stock.
	AddIncoming(ctx context.Context, productID uuid.UUID, in AddIncomingRequest, o WriteOptions) (Incoming, error)
	// ChangeIncoming changes quantity, time, location or reference of an open delivery.
	ChangeIncoming(ctx context.Context, incomingID uuid.UUID, in ChangeIncomingRequest, o WriteOptions) (Incoming, error)
	// ReceiveIncoming adds what has arrived to the stock, as ReceiveStock does, and grants backorders. A part leaves the
	// delivery open for the rest.
	ReceiveIncoming(
		ctx context.Context, incomingID uuid.UUID, in ReceiveIncomingRequest, o WriteOptions,
	) (IncomingReceipt, error)
	// CancelIncoming ends the wait for a delivery or for the rest of it.
	CancelIncoming(ctx context.Context, incomingID uuid.UUID, in CancelIncomingRequest, o WriteOptions) (Incoming, error)
	// GetIncoming returns a delivery.
	GetIncoming(ctx context.Context, incomingID uuid.UUID) (Incoming, error)
	// ListIncoming returns the open deliveries of a product, the earliest first.
	ListIncoming(ctx context.Context, productID uuid.UUID, page Page) (IncomingList, error)
}
