// Package stock has the rules of stock and reservations, and nothing else. A Book contains the rows that the caller
// read under lock. Decide decides requests against the book one after another, and Changes returns the rows to write.
// The package is pure, so that tests can apply the rules millions of times without a database.
package stock

import (
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// ErrStale means that the book lacks an item of a reservation's lines, because the reservation was written after the
// items were read. The caller must read and decide again.
var ErrStale = errors.New("the stock was read before the reservation was written")

// Book contains the rows that were read, and the changes that requests have made to them since.
type Book struct {
	now          time.Time
	items        map[int64]*Item
	products     map[uuid.UUID][]*Item // in allocation order
	reservations map[uuid.UUID]*Reservation
	owners       map[Owner]uuid.UUID
	entries      map[uuid.UUID][]Entry // by operation
	written      []Entry
	events       []Event
	itemChanges  map[itemChangeKey]*itemChange
	archived     map[uuid.UUID]Archived
	facts        map[uuid.UUID]Product
	factsChanged map[uuid.UUID]bool
	operations   map[uuid.UUID]Operation
	remembered   []Operation // those of operations that this batch added
}

// NewBook returns a book of the rows that were read, and owns them. The time must be the database's, read after every
// lock was held: it decides the deadlines.
func NewBook(now time.Time, items []Item, reservations []Reservation, entries []Entry) *Book {
	b := &Book{
		now:          now,
		items:        make(map[int64]*Item, len(items)),
		products:     map[uuid.UUID][]*Item{},
		reservations: make(map[uuid.UUID]*Reservation, len(reservations)),
		owners:       make(map[Owner]uuid.UUID, len(reservations)),
		entries:      map[uuid.UUID][]Entry{},
		itemChanges:  map[itemChangeKey]*itemChange{},
	}

	for i := range items {
		it := &items[i]
		it.read = level{it.Available(), it.Threshold}
		b.items[it.ID] = it
		b.products[it.ProductID] = append(b.products[it.ProductID], it)
	}
	for _, its := range b.products {
		slices.SortFunc(its, inAllocationOrder)
	}

	for i := range reservations {
		r := &reservations[i]
		r.readVersion, r.wasPending = r.Version, r.Status == inventoryapi.StatusPending
		b.reservations[r.ID] = r
		b.owners[r.Owner] = r.ID
	}
	for _, e := range entries {
		b.entries[e.OperationID] = append(b.entries[e.OperationID], e)
	}
	return b
}

// record changes an item and writes the entry of the change. The caller has checked that the result is valid, so that a
// refused request changes nothing.
func (b *Book) record(it *Item, e Entry) Entry {
	it.Quantity += e.QuantityDelta
	it.Reserved += e.ReservedDelta
	it.changed = true
	if it.Deleted && e.QuantityDelta > 0 { // stock that arrives brings a deleted item back
		b.show(it)
	}
	e.ItemID, e.QuantityAfter, e.ReservedAfter, e.VersionAfter = it.ID, it.Quantity, it.Reserved, it.Version+1
	b.entries[e.OperationID] = append(b.entries[e.OperationID], e)
	b.written = append(b.written, e)
	return e
}

// announce writes a reservation's event.
func (b *Book) announce(eventType string, r *Reservation, op uuid.UUID, entries []Entry, correlationID string) {
	lines := make([]inventoryapi.EventLine, len(entries))
	for i, e := range entries {
		it := b.items[e.ItemID]
		lines[i] = inventoryapi.EventLine{
			LineNo:    e.Line,
			ProductID: it.ProductID,
			Location:  it.Location,
			Quantity:  moved(e),
			Stock:     stockAfter(e),
		}
	}
	b.events = append(b.events, Event{
		Type:          eventType,
		AggregateType: "reservation",
		AggregateID:   r.ID,
		Version:       r.Version,
		CorrelationID: correlationID,
		Data: inventoryapi.ReservationEvent{
			ReservationID: r.ID,
			OwnerKind:     r.Owner.Kind,
			OwnerID:       r.Owner.ID,
			Number:        r.Owner.Number,
			WorkflowID:    r.WorkflowID,
			OperationID:   op,
			Status:        r.Status,
			ExpiresAt:     r.ExpiresAt,
			Reason:        r.Reason,
			Lines:         lines,
		},
	})
}

func stockAfter(e Entry) inventoryapi.Stock {
	return inventoryapi.Stock{
		Quantity:  e.QuantityAfter,
		Reserved:  e.ReservedAfter,
		Available: e.QuantityAfter - e.ReservedAfter,
		Version:   e.VersionAfter,
	}
}

// version returns the product's version as clients see it, with the changes of this batch so far: the sum of the
// versions of its items, deleted items included. The book must contain all items of the product.
func (b *Book) version(product uuid.UUID) int64 {
	var v int64
	for _, it := range b.products[product] {
		v += it.Version
		if it.changed {
			v++
		}
	}
	return v
}

// stocked reports whether the product has an item that is not deleted, with or without stock.
func (b *Book) stocked(product uuid.UUID) bool {
	return slices.ContainsFunc(b.products[product], func(it *Item) bool { return !it.Deleted })
}

// at returns the item at a place, also a deleted item. If the request ensures the place (Reads.Ensure), nil means that
// the location does not exist; otherwise nil means that the item never existed.
func (b *Book) at(p Place) *Item {
	for _, it := range b.products[p.ProductID] {
		if it.Location == p.Location {
			return it
		}
	}
	return nil
}

// find returns the item at a place, or an error that says what is missing; field names the location in the request.
func (b *Book) find(p Place, field string) (*Item, error) {
	it := b.at(p)
	switch {
	case it != nil && !it.Deleted:
		return it, nil
	case !b.stocked(p.ProductID):
		return nil, ProductNotFound(p.ProductID)
	}
	return nil, inventoryapi.Errorf(inventoryapi.ItemNotFound, field,
		"product %s is not kept at %q", p.ProductID, p.Location)
}

func noLocation(field, code string) error {
	return inventoryapi.Errorf(inventoryapi.InvalidInput, field, "there is no location %q", code)
}

// ProductNotFound tells a client that a product has no stock record at any location.
func ProductNotFound(product uuid.UUID) error {
	return inventoryapi.Errorf(inventoryapi.ProductNotFound, "product_id",
		"product %s has no stock record; receive stock for it first", product)
}
