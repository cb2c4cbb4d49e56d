package stock

import (
	"cmp"
	"slices"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// Answers are always built from ledger entries, whether this call or an earlier one wrote them. So a repeated call gets
// the same answer by construction.

func inAllocationOrder(x, y *Item) int {
	return cmp.Or(cmp.Compare(x.Priority, y.Priority), cmp.Compare(x.ID, y.ID))
}

// entriesOf returns the entries that an operation wrote for a reservation (the zero id: for no reservation), by line. A
// missing item means that the book is stale.
func (b *Book) entriesOf(op, reservationID uuid.UUID) ([]Entry, error) {
	var own []Entry
	for _, e := range b.entries[op] {
		if e.ReservationID != reservationID {
			continue
		}
		if b.items[e.ItemID] == nil {
			return nil, ErrStale
		}
		own = append(own, e)
	}
	slices.SortStableFunc(own, func(x, y Entry) int {
		return cmp.Or(cmp.Compare(x.Line, y.Line), inAllocationOrder(b.items[x.ItemID], b.items[y.ItemID]))
	})
	return own, nil
}

// moved returns the quantity that an entry moved, as a positive number.
func moved(e Entry) int64 {
	if e.Kind == Reserved || e.Kind == Released || e.Kind == Expired {
		return max(e.ReservedDelta, -e.ReservedDelta)
	}
	return max(e.QuantityDelta, -e.QuantityDelta)
}

// totals are the sums over the items that the entries concern, as the last entry of each left them.
type totals struct{ moved, quantity, reserved int64 }

func sum(entries []Entry) totals {
	var t totals
	last := map[int64]Entry{}
	for _, e := range entries {
		t.moved += moved(e)
		last[e.ItemID] = e
	}
	for _, e := range last {
		t.quantity += e.QuantityAfter
		t.reserved += e.ReservedAfter
	}
	return t
}

func (b *Book) stockLines(entries []Entry) []inventoryapi.StockLine {
	lines := make([]inventoryapi.StockLine, len(entries))
	for i, e := range entries {
		it := b.items[e.ItemID]
		lines[i] = inventoryapi.StockLine{
			LineNo:         e.Line,
			ProductID:      it.ProductID,
			Location:       it.Location,
			Quantity:       moved(e),
			Stock:          e.QuantityAfter,
			ReservedStock:  e.ReservedAfter,
			AvailableStock: e.QuantityAfter - e.ReservedAfter,
		}
	}
	return lines
}

func (b *Book) reservationAnswer(r *Reservation, replayed bool) (inventoryapi.Reservation, error) {
	entries, err := b.entriesOf(r.ReserveOp, r.ID)
	switch {
	case err != nil:
		return inventoryapi.Reservation{}, err
	case len(entries) == 0:
		// The reservation was read for another request of the batch, without the entries of its first answer.
		return inventoryapi.Reservation{}, ErrStale
	}

	out := Describe(r)
	out.Replayed = replayed
	out.Lines = make([]inventoryapi.ReservationLine, len(entries))
	for i, e := range entries {
		it := b.items[e.ItemID]
		out.Lines[i] = inventoryapi.ReservationLine{
			LineNo:           e.Line,
			ProductID:        it.ProductID,
			Location:         it.Location,
			Quantity:         moved(e),
			RemainingStock:   e.QuantityAfter - e.ReservedAfter,
			ReservedQuantity: e.ReservedAfter,
		}
		for _, l := range r.Lines {
			if l.No == e.Line && l.ItemID == e.ItemID {
				out.Lines[i].Returned = l.Returned
			}
		}
	}
	return out, nil
}

// Describe returns a reservation as clients see it, without its lines.
func Describe(r *Reservation) inventoryapi.Reservation {
	return inventoryapi.Reservation{
		ReservationID: r.ID,
		OwnerKind:     r.Owner.Kind,
		OwnerID:       r.Owner.ID,
		Number:        r.Owner.Number,
		WorkflowID:    r.WorkflowID,
		Status:        r.Status,
		ExpiresAt:     r.ExpiresAt,
		Version:       r.Version,
		CreatedAt:     r.CreatedAt,
		ResolvedAt:    r.ResolvedAt,
		Actor:         r.Actor,
		Reason:        r.Reason,
		Lines:         []inventoryapi.ReservationLine{},
	}
}
