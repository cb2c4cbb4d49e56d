// Package stock has the rules of stock and reservations, and nothing else. A Book contains the rows that the caller
// read under lock. Decide decides requests against the book one after another, and Changes returns the rows to write.
// The package is pure, so that tests can apply the rules millions of times without a database.
package stock

import (
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/internal/events"
	"holdfast/inventory/inventoryapi"
)

// ErrStale means that the book lacks an item of a reservation's lines, because the reservation was written after the
// items were read. The caller must read and decide again.
var ErrStale = errors.New("the stock was read before the reservation was written")

// Book contains the rows that were read, and the changes that the requests of the batch have made to them since.
type Book struct {
	now time.Time // by the database's clock

	// The rows that were read, as the requests so far have changed them.
	items          map[int64]*Item
	itemsByProduct map[uuid.UUID][]*Item // in allocation order
	reservations   map[uuid.UUID]*Reservation
	owners         map[Owner]uuid.UUID     // the id of the owner's reservation
	entries        map[uuid.UUID][]Entry   // by operation; the new entries included
	archived       map[uuid.UUID]Archived  // by reservation
	facts          map[uuid.UUID]Product   // by product: its default threshold, and whether it is sold
	operations     map[uuid.UUID]Operation // by operation id; the new operations included
	incoming       map[uuid.UUID]*Incoming // by id; the new deliveries included

	// Backorders. All maps are nil while no backorder waits for a product of the book.
	waiting            map[uuid.UUID]int64 // by product: the quantity that backorders wait for
	backorders         map[uuid.UUID]*Backorder
	backorderOwners    map[Owner]uuid.UUID // the id of the owner's backorder
	completeBackorders map[uuid.UUID]bool  // by id; see NoteBackorders
	newBackorders      []*Backorder        // in order of arrival
	stirred            map[uuid.UUID]bool  // by product; see stir
	granted, skipped   int
	maxGrants          int

	// What the batch must write besides changed items and reservations.
	newEntries    []Entry
	newOperations []Operation
	events        []Event // of reservations; Changes adds those of items
	itemChanges   map[itemChangeKey]*itemChange
	factsChanged  map[uuid.UUID]bool

	// For reserves that fall short; see takeBack.
	overdue       []*Reservation // to expire, once overdueListed is true
	overdueListed bool
	short         map[uuid.UUID]int64 // by product: the demand of refused reserves
	versionsTold  map[uuid.UUID]bool  // by product: an answer contains its version
}

// NewBook returns a book of the rows that were read, and owns them. The time must be the database's, read after every
// lock was held: it decides the deadlines.
func NewBook(now time.Time, items []Item, reservations []Reservation, entries []Entry) *Book {
	b := &Book{
		now:            now,
		items:          make(map[int64]*Item, len(items)),
		itemsByProduct: map[uuid.UUID][]*Item{},
		reservations:   make(map[uuid.UUID]*Reservation, len(reservations)),
		owners:         make(map[Owner]uuid.UUID, len(reservations)),
		entries:        map[uuid.UUID][]Entry{},
		itemChanges:    map[itemChangeKey]*itemChange{},
		maxGrants:      MaxGrants,
	}

	for i := range items {
		it := &items[i]
		it.read = level{it.Available(), it.Threshold}
		b.items[it.ID] = it
		b.itemsByProduct[it.ProductID] = append(b.itemsByProduct[it.ProductID], it)
		if it.Waiting > 0 && it.Version > 0 {
			b.setWaiting(it.ProductID, it.Waiting)
		}
	}
	for _, its := range b.itemsByProduct {
		slices.SortFunc(its, inAllocationOrder)
	}

	for i := range reservations {
		r := &reservations[i]
		r.readVersion = r.Version
		r.wasPending = r.Status == inventoryapi.StatusPending
		b.reservations[r.ID] = r
		b.owners[r.Owner] = r.ID
	}

	for _, e := range entries {
		b.entries[e.OperationID] = append(b.entries[e.OperationID], e)
	}
	return b
}

// ExpiryLags returns how long after its deadline each reservation that the batch has expired gave its stock back.
func (b *Book) ExpiryLags() []time.Duration {
	var out []time.Duration
	for _, r := range b.reservations {
		if r.wasPending && r.Status == inventoryapi.StatusExpired {
			out = append(out, max(0, b.now.Sub(r.ExpiresAt)))
		}
	}
	return out
}

// Now returns the time of the book, by the database's clock.
func (b *Book) Now() time.Time { return b.now }

// record changes an item by an entry, and adds the entry to those that the batch must write. The caller has checked
// that the result is valid: a refused request must change nothing.
func (b *Book) record(it *Item, e Entry) Entry {
	it.Quantity += e.QuantityDelta
	it.Reserved += e.ReservedDelta
	it.changed = true
	if it.Deleted && e.QuantityDelta > 0 { // clients see a deleted item again when stock arrives there
		b.show(it)
	}
	if e.QuantityDelta > e.ReservedDelta && b.waiting[it.ProductID] > 0 {
		b.stir(it.ProductID)
	}

	e.ItemID = it.ID
	e.QuantityAfter = it.Quantity
	e.ReservedAfter = it.Reserved
	e.VersionAfter = it.Version + 1 // a batch increases the version once

	b.entries[e.OperationID] = append(b.entries[e.OperationID], e)
	b.newEntries = append(b.newEntries, e)
	return e
}

// addEvent adds an event of a reservation to those that the batch must write. The entries are those that the operation
// has recorded.
func (b *Book) addEvent(eventType string, r *Reservation, op uuid.UUID, entries []Entry, correlationID string) {
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
			ExpiresAt:     r.ExpiresAt.UTC(),
			Reason:        publicReason(r),
			Lines:         b.eventLines(entries),
		},
	})
}

func (b *Book) eventLines(entries []Entry) []inventoryapi.EventLine {
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
	return lines
}

// publicReason returns the reason that the event of a reservation carries. A person's words may be personal data, so it
// is empty unless a workflow or this service gave the reason.
func publicReason(r *Reservation) string {
	if r.Actor == inventoryapi.SystemActor || r.Actor == takeBackActor && r.Reason == takeBackReason {
		return events.OwnReason(r.Reason)
	}
	return ""
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
// versions of its items, deleted items included. The book must contain all items of the product. It remembers that an
// answer may contain the version.
func (b *Book) version(product uuid.UUID) int64 {
	if b.versionsTold == nil {
		b.versionsTold = map[uuid.UUID]bool{}
	}
	b.versionsTold[product] = true
	var v int64
	for _, it := range b.itemsByProduct[product] {
		v += it.Version
		if it.changed {
			v++
		}
	}
	return v
}

// tellVersion returns the version for an answer: 0, which means unknown, while backorders wait for the product. They
// may be granted in the same transaction, so that the version would stand for another stock than the answer describes.
func (b *Book) tellVersion(product uuid.UUID) int64 {
	if b.waiting[product] > 0 {
		return 0
	}
	return b.version(product)
}

// hasItem reports whether the product has an item that is not deleted. The item may be empty.
func (b *Book) hasItem(product uuid.UUID) bool {
	return slices.ContainsFunc(b.itemsByProduct[product], func(it *Item) bool { return !it.Deleted })
}

// itemAt returns the item at a place, deleted or not, or nil. If the request has the place in Reads.Ensure, the store
// has created a missing item, so nil means that the location does not exist. Otherwise nil means that no such item was
// ever created.
func (b *Book) itemAt(p Place) *Item {
	for _, it := range b.itemsByProduct[p.ProductID] {
		if it.Location == p.Location {
			return it
		}
	}
	return nil
}

// visibleItemAt returns the item at a place. If there is none or it is deleted, the error names what is missing. field
// is the name of the location in the request.
func (b *Book) visibleItemAt(p Place, field string) (*Item, error) {
	it := b.itemAt(p)
	switch {
	case it != nil && !it.Deleted:
		return it, nil
	case !b.hasItem(p.ProductID):
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
