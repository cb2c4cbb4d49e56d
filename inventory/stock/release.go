package stock

import (
	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// Release gives the stock back before the deadline. If the reservation does not exist, it records a tombstone.
type Release struct {
	resolution
	owner      Owner // of the tombstone; without an owner no tombstone is recorded
	workflowID string
}

// NewRelease checks a request.
func NewRelease(id uuid.UUID, in inventoryapi.ReleaseRequest, correlationID string) (Release, error) {
	r, err := newResolution(id, in.OperationID, in.Actor, in.Reason, correlationID)
	if err != nil {
		return Release{}, err
	}
	if err := checkReleaseOwner(in); err != nil {
		return Release{}, err
	}
	return Release{
		resolution: r,
		owner:      Owner{Kind: in.OwnerKind, ID: in.OwnerID, Number: in.Number},
		workflowID: in.WorkflowID,
	}, nil
}

// Kind names the operation.
func (Release) Kind() string { return "release" }

// TellsVersion reports that the answer does not contain the product's version.
func (Release) TellsVersion() bool { return false }

// Reads adds the reservation, and any reservation with the owner's number.
func (r Release) Reads(reads *Reads) {
	r.resolution.Reads(reads)
	if r.owner != (Owner{}) {
		reads.Owners = append(reads.Owners, r.owner)
	}
}

func (r Release) decide(b *Book) (out inventoryapi.ReleaseResult, err error) {
	held := b.reservations[r.id]
	if held == nil {
		if w := b.backorders[r.id]; w != nil && w.Status != inventoryapi.BackorderGranted {
			return r.cancelBackorder(b, w)
		}
		if _, archived := b.archived[r.id]; archived || r.owner == (Owner{}) {
			_, err := r.find(b)
			return out, err
		}
		return r.recordTombstone(b)
	}
	switch held.Status {
	case inventoryapi.StatusReleased:
	case inventoryapi.StatusPending:
		if err := r.end(b, held, Released, inventoryapi.StatusReleased, false, inventoryapi.EventReleased); err != nil {
			return out, err
		}
	default:
		return out, resolvedOtherwise(held)
	}
	return b.releaseAnswer(held)
}

// cancelBackorder ends a backorder that waits for the stock of the reservation. The caller wants its stock
// neither now nor later.
func (r Release) cancelBackorder(b *Book, w *Backorder) (out inventoryapi.ReleaseResult, err error) {
	switch {
	case w.Status == inventoryapi.BackorderExpired:
		return out, &inventoryapi.StatusError{
			Code:          inventoryapi.AlreadyResolved,
			ReservationID: w.ID,
			Status:        inventoryapi.StatusExpired,
		}
	case w.Status == inventoryapi.BackorderWaiting && !b.completeBackorders[w.ID]:
		return out, &MoreError{Backorders: []uuid.UUID{w.ID}}
	case w.Status == inventoryapi.BackorderWaiting:
		c := backorderChange{w.ID, r.operationID, r.actor, r.reason}
		c.end(b, w, inventoryapi.BackorderCancelled)
	}
	return inventoryapi.ReleaseResult{
		ReservationID: w.ID,
		Status:        inventoryapi.StatusReleased,
		Lines:         []inventoryapi.StockLine{},
	}, nil
}

// recordTombstone records the release of a reservation that does not exist. The reserve request may still be on its
// way: without this row it would hold stock that no caller releases. No stock moves, so there is no event.
func (r Release) recordTombstone(b *Book) (out inventoryapi.ReleaseResult, err error) {
	if err := b.refuseUsedOwner(r.owner, r.id); err != nil {
		return out, err
	}
	held := &Reservation{
		ID:         r.id,
		Owner:      r.owner,
		Status:     inventoryapi.StatusReleased,
		ExpiresAt:  b.now,
		WorkflowID: r.workflowID,
		Version:    1,
		Actor:      r.actor,
		Reason:     r.reason,
		ReserveOp:  r.operationID,
		ResolveOp:  r.operationID,
		CreatedAt:  b.now,
		ResolvedAt: b.now,
	}
	b.reservations[held.ID] = held
	b.owners[held.Owner] = held.ID
	return b.releaseAnswer(held)
}

func (b *Book) releaseAnswer(held *Reservation) (out inventoryapi.ReleaseResult, err error) {
	entries, err := b.entriesOf(held.ResolveOp, held.ID)
	if err != nil {
		return out, err
	}
	t := sum(entries)
	return inventoryapi.ReleaseResult{
		ReservationID:    held.ID,
		Status:           held.Status,
		QuantityReleased: t.moved,
		AvailableStock:   t.quantity - t.reserved,
		ReservedStock:    t.reserved,
		Replaced:         held.ResolveOp == inventoryapi.ReplaceOperation(held.ID),
		Lines:            b.stockLines(entries),
	}, nil
}
