package stock

import (
	"time"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// replacedReason is the reason of the release in the ledger.
const replacedReason = "replaced by another reservation of its owner"

// replace releases the reservation that r replaces and allocates stock to r, or returns an error and leaves the
// reservation as it is. The units of the released reservation are available to r before they are available to others:
// their owner has them already. It also returns the deadline of r.
//
// After an error the book is unchanged, except that overdue reservations may have expired; see Book.takeBack.
func (r Reserve) replace(b *Book) ([]pick, time.Time, error) {
	old, err := r.replaced(b)
	if err != nil {
		return nil, time.Time{}, err
	}
	release := resolution{
		id:            old.ID,
		operationID:   inventoryapi.ReplaceOperation(old.ID),
		actor:         r.in.Actor,
		reason:        replacedReason,
		correlationID: r.correlationID,
	}
	if err := release.check(b, old, false); err != nil {
		return nil, time.Time{}, err
	}
	freed := map[uuid.UUID]int64{}
	for _, l := range old.Lines {
		freed[b.items[l.ItemID].ProductID] += l.Quantity
	}

	want := demandsOf(r.in.Lines)
	want.freed = freed
	if err := b.provide(want, r.correlationID); err != nil {
		return nil, time.Time{}, err
	}
	if err := release.end(b, old, Released, inventoryapi.StatusReleased, false, inventoryapi.EventReleased); err != nil {
		return nil, time.Time{}, err
	}

	deadline := old.ExpiresAt
	if earlier := b.now.Add(r.ttl); r.ttl > 0 && earlier.Before(deadline) {
		deadline = earlier
	}
	return b.pickFor(want, r.in.Lines, r.strategy()), deadline, nil
}

// replaced returns the pending reservation to replace.
func (r Reserve) replaced(b *Book) (*Reservation, error) {
	old, err := resolution{id: r.in.Replaces}.find(b)
	switch {
	case err != nil:
		return nil, err
	case old.Owner.Kind != r.in.OwnerKind || old.Owner.ID != r.in.OwnerID:
		return nil, inventoryapi.Errorf(inventoryapi.InvalidInput, "replaces",
			"reservation %s belongs to another owner; a reservation replaces only one of the same owner", old.ID)
	case old.Status == inventoryapi.StatusExpired, old.Status == inventoryapi.StatusPending && b.due(old):
		return nil, pastDeadline(old)
	case old.Status != inventoryapi.StatusPending:
		return nil, &inventoryapi.StatusError{
			Code:          inventoryapi.ReservationNotPending,
			ReservationID: old.ID,
			Status:        old.Status,
		}
	}
	return old, nil
}
