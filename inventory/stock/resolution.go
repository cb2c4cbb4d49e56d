package stock

import (
	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// resolution is what Confirm, Release and Expire have in common: each ends a pending reservation.
type resolution struct {
	id            uuid.UUID
	operationID   uuid.UUID
	actor         string
	reason        string
	correlationID string
}

// Reads adds the reservation.
func (r resolution) Reads(reads *Reads) { reads.Reservations = append(reads.Reservations, r.id) }

func (r resolution) find(b *Book) (*Reservation, error) {
	held := b.reservations[r.id]
	if held == nil {
		if a, ok := b.archived[r.id]; ok {
			return nil, a.NotFound()
		}
		return nil, inventoryapi.Errorf(inventoryapi.ReservationNotFound, "reservation_id",
			"there is no reservation %s", r.id)
	}
	return held, nil
}

// end gives a pending reservation its terminal status and ends the reservation of its stock. If takes is true, the
// quantity leaves the stock as well.
func (r resolution) end(
	b *Book, held *Reservation, kind Kind, status inventoryapi.Status, takes bool, event string,
) error {
	if err := r.check(b, held, takes); err != nil {
		return err
	}

	held.Status, held.ResolvedAt, held.ResolveOp = status, b.now, r.operationID
	held.Actor, held.Reason = r.actor, r.reason
	held.Version++
	entries := make([]Entry, len(held.Lines))
	for i, l := range held.Lines {
		e := Entry{
			OperationID:   r.operationID,
			Line:          l.No,
			Kind:          kind,
			ReservedDelta: -l.Quantity,
			ReservationID: held.ID,
			Actor:         r.actor,
			Reason:        r.reason,
		}
		if takes {
			e.QuantityDelta = -l.Quantity
		}
		entries[i] = b.record(b.items[l.ItemID], e)
	}
	b.addEvent(event, held, r.operationID, entries, r.correlationID)
	return nil
}

// check returns why a pending reservation cannot end, or nil. If takes is true, its quantity leaves the stock.
func (resolution) check(b *Book, held *Reservation, takes bool) error {
	need := map[int64]int64{}
	for _, l := range held.Lines {
		if b.items[l.ItemID] == nil {
			return ErrStale
		}
		need[l.ItemID] += l.Quantity
	}
	for id, n := range need {
		it := b.items[id]
		switch {
		case it.Reserved < n && !takes:
			return inventoryapi.Errorf(inventoryapi.InvalidRelease, "",
				"product %s at %s has %d reserved, less than the %d to release",
				it.ProductID, it.Location, it.Reserved, n)
		case takes && (it.Reserved < n || it.Quantity < n):
			return inventoryapi.Errorf(inventoryapi.InvalidConfirm, "",
				"product %s at %s has %d in stock and %d reserved, less than the %d to confirm",
				it.ProductID, it.Location, it.Quantity, it.Reserved, n)
		}
	}
	return nil
}

func newResolution(id, op uuid.UUID, actor, reason, correlationID string) (resolution, error) {
	if id == uuid.Nil {
		return resolution{}, required("reservation_id")
	}
	return resolution{id, op, actor, reason, correlationID}, checkChange(op, actor, reason)
}

func resolvedOtherwise(held *Reservation) error {
	return &inventoryapi.StatusError{Code: inventoryapi.AlreadyResolved, ReservationID: held.ID, Status: held.Status}
}

func pastDeadline(held *Reservation) error {
	return &inventoryapi.DeadlineError{
		Code:          inventoryapi.ReservationExpired,
		ReservationID: held.ID,
		ExpiresAt:     held.ExpiresAt,
		Status:        held.Status,
	}
}

// due reports whether the deadline has come. From that instant on, a reservation can be expired and no longer be
// confirmed, so that exactly one of the two is possible at any time.
func (b *Book) due(held *Reservation) bool { return !b.now.Before(held.ExpiresAt) }
