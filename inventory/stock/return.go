package stock

import (
	"maps"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// Return puts confirmed stock back.
type Return struct {
	resolution
	lines []inventoryapi.ReturnLine // no lines mean everything that has not been returned yet
}

// NewReturn checks a request.
func NewReturn(id uuid.UUID, in inventoryapi.ReturnRequest, correlationID string) (Return, error) {
	r, err := newResolution(id, in.OperationID, in.Actor, in.Reason, correlationID)
	if err != nil {
		return Return{}, err
	}
	return Return{r, in.Lines}, checkReturnLines(in.Lines)
}

// Kind names the operation.
func (Return) Kind() string { return "return" }

// TellsVersion reports that the answer does not contain the product's version.
func (Return) TellsVersion() bool { return false }

// Reads adds the reservation and the entries that the operation wrote before.
func (r Return) Reads(reads *Reads) {
	r.resolution.Reads(reads)
	reads.Operations = append(reads.Operations, r.operationID)
}

func (r Return) decide(b *Book) (out inventoryapi.ReturnResult, err error) {
	held, err := r.find(b)
	if err != nil {
		return out, err
	}
	if done := b.entries[r.operationID]; len(done) > 0 {
		if done[0].Kind != Returned || done[0].ReservationID != held.ID || !r.wrote(done) {
			return out, operationUsed(r.operationID)
		}
		return r.answer(b, held)
	}
	if held.Status != inventoryapi.StatusConfirmed {
		return out, inventoryapi.Errorf(inventoryapi.InvalidReturn, "",
			"reservation %s is %s; only confirmed stock can be returned", held.ID, held.Status)
	}

	for _, l := range held.Lines {
		if b.items[l.ItemID] == nil {
			return out, ErrStale
		}
	}
	back, err := r.plan(b, held) // by index of held.Lines
	if err != nil {
		return out, err
	}

	held.Actor, held.Reason = r.actor, r.reason
	held.Version++
	var entries []Entry
	for i := range held.Lines {
		n := back[i]
		if n == 0 {
			continue
		}
		l := &held.Lines[i]
		l.Returned += n
		l.changed = true
		entries = append(entries, b.record(b.items[l.ItemID], Entry{
			OperationID:   r.operationID,
			Line:          l.No,
			Kind:          Returned,
			QuantityDelta: n,
			ReservationID: held.ID,
			Actor:         r.actor,
			Reason:        r.reason,
		}))
	}
	b.addEvent(inventoryapi.EventReturned, held, r.operationID, entries, r.correlationID)
	return r.answer(b, held)
}

// wrote reports whether this request wrote the entries. A request without lines may have written any.
func (r Return) wrote(entries []Entry) bool {
	if len(r.lines) == 0 {
		return true
	}
	back, asked := map[int]int64{}, map[int]int64{}
	for _, e := range entries {
		back[e.Line] += e.QuantityDelta
	}
	for _, l := range r.lines {
		asked[l.LineNo] += l.Quantity
	}
	return maps.Equal(back, asked)
}

// plan returns the quantity that comes back on each row of the reservation. A line that is split over locations is
// filled up in the order in which its stock was taken, unless the request names a location.
func (r Return) plan(b *Book, held *Reservation) (map[int]int64, error) {
	back := map[int]int64{}
	if len(r.lines) == 0 {
		for i, l := range held.Lines {
			if n := l.Quantity - l.Returned; n > 0 {
				back[i] = n
			}
		}
		if len(back) == 0 {
			return nil, inventoryapi.Errorf(inventoryapi.InvalidReturn, "",
				"everything on reservation %s has been returned already", held.ID)
		}
		return back, nil
	}

	for i, want := range r.lines {
		rest, known := want.Quantity, false
		for j, l := range held.Lines {
			if l.No != want.LineNo || want.Location != "" && b.items[l.ItemID].Location != want.Location {
				continue
			}
			known = true
			if n := min(rest, l.Quantity-l.Returned); n > 0 {
				back[j] = n
				rest -= n
			}
		}
		switch {
		case !known:
			return nil, inventoryapi.Errorf(inventoryapi.InvalidReturn, lineField(i, "line_no"),
				"reservation %s has no line %d", held.ID, want.LineNo)
		case rest > 0:
			return nil, inventoryapi.Errorf(inventoryapi.InvalidReturn, lineField(i, "quantity"),
				"%d of line %d cannot be returned; at most %d can still be returned",
				want.Quantity, want.LineNo, want.Quantity-rest)
		}
	}
	return back, nil
}

func (r Return) answer(b *Book, held *Reservation) (out inventoryapi.ReturnResult, err error) {
	entries, err := b.entriesOf(r.operationID, held.ID)
	if err != nil {
		return out, err
	}
	t := sum(entries)
	return inventoryapi.ReturnResult{
		ReservationID:    held.ID,
		Status:           held.Status,
		QuantityReturned: t.moved,
		AvailableStock:   t.quantity - t.reserved,
		Lines:            b.stockLines(entries),
	}, nil
}
