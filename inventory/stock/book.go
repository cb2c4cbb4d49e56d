// Package stock holds the rules of stock and reservations, and nothing else: a Book is what was read
// of them under lock, requests are decided against it one after another, and Changes says what has to
// be written. It is pure, so that the rules can be tested by the million without a database.
package stock

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// ErrStale means that the book lacks an item which a reservation's lines name: the reservation was
// written after the items were chosen. Read again and decide again.
var ErrStale = errors.New("the stock was read before the reservation was written")

// Item is the stock of one product at one location.
type Item struct {
	ID        int64
	ProductID uuid.UUID
	Location  string
	Priority  int // of the location; lower is picked first
	Quantity  int64
	Reserved  int64
	Version   int64 // as read; the whole batch moves it once
	Threshold int64 // at or below it, what is available is low
	Deleted   bool  // kept for its ledger and version; empty, and nobody sees it

	changed bool
	read    level
}

// Available is what can still be reserved.
func (i *Item) Available() int64 { return i.Quantity - i.Reserved }

// Owner names whose reservation it is, and which of theirs.
type Owner struct {
	Kind   inventoryapi.OwnerKind
	ID     uuid.UUID
	Number int
}

// Reservation claims stock for its owner until its deadline.
type Reservation struct {
	ID          uuid.UUID
	Owner       Owner
	RequestHash []byte // nil for a tombstone
	Status      inventoryapi.Status
	ExpiresAt   time.Time
	WorkflowID  string
	Version     int64
	Actor       string
	Reason      string
	ReserveOp   uuid.UUID
	ResolveOp   uuid.UUID // zero while pending
	CreatedAt   time.Time
	ResolvedAt  time.Time // zero while pending
	Lines       []Line

	readVersion int64 // 0 for a new one
	wasPending  bool  // when it was read
}

// ReadVersion is the version that was read, which the update must find; 0 means insert.
func (r *Reservation) ReadVersion() int64 { return r.readVersion }

// Line is what one line of a reservation holds of one item.
type Line struct {
	No       int
	ItemID   int64
	Quantity int64
	Returned int64

	changed bool
}

// Kind says what an entry of the ledger records.
type Kind string

// The kinds of ledger entries.
const (
	Reserved  Kind = "reserved"
	Confirmed Kind = "confirmed"
	Released  Kind = "released"
	Expired   Kind = "expired"
	Returned  Kind = "returned"
	Received  Kind = "received"

	Adjusted    Kind = "adjusted"
	Transferred Kind = "transferred"
)

// Entry is one row of the stock ledger.
type Entry struct {
	OperationID   uuid.UUID
	ItemID        int64
	Line          int
	Kind          Kind
	QuantityDelta int64
	ReservedDelta int64
	QuantityAfter int64
	ReservedAfter int64
	VersionAfter  int64
	ReservationID uuid.UUID // zero where none is concerned
	Actor         string
	Reason        string
}

// Event is one row of the outbox, its data not yet encoded.
type Event struct {
	Type          string
	AggregateType string
	AggregateID   uuid.UUID
	Version       int64
	Data          any
	CorrelationID string
}

// Request is one operation: Reserve, Confirm, Release, Expire, Extend, Return, Receive, Adjust, Count,
// Transfer, SetThreshold, SetSellable, CreateItem or DeleteItem, or one of these under a name.
type Request interface {
	// Kind names the operation in metrics and logs.
	Kind() string
	// Reads adds what must be read to decide the request.
	Reads(*Reads)
	// decide answers the request. It changes the book only when it returns no error.
	decide(*Book) (any, error)
}

// Reads is what a batch of requests needs to have read, under lock.
type Reads struct {
	Products     []uuid.UUID // all items of these
	Reservations []uuid.UUID // these, their lines, the items of those, and how they were resolved
	Owners       []Owner     // reservations that hold one of these keys under whatever id
	Reserves     []uuid.UUID // reservations that should not exist; those that do with lines and first answer
	Operations   []uuid.UUID // ledger entries of these
	Named        []uuid.UUID // what is remembered of these names
	Ensure       []Place     // items to create, empty, where missing; with what is known of their products
	Facts        []uuid.UUID // what is known of these products as a whole
}

// Keys names the products, reservations and operations that are read, each once: two requests without a
// common key have nothing to do with each other. What products a reservation's lines name is not known before it
// is read, so whatever concerns reservations that exist has a key in common.
func (r *Reads) Keys() []uuid.UUID {
	keys := slices.Concat(r.Products, r.Reservations, r.Reserves, r.Operations, r.Named)
	if len(r.Reservations) > 0 {
		keys = append(keys, uuid.Max)
	}
	slices.SortFunc(keys, func(x, y uuid.UUID) int { return bytes.Compare(x[:], y[:]) })
	return slices.Compact(keys)
}

// Place is a product at a location.
type Place struct {
	ProductID uuid.UUID
	Location  string
}

// Book is what was read, and what has been decided since.
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
	remembered   []Operation // of operations: by this batch
}

// NewBook takes over what was read. The time must be the database's, read after every lock was held:
// it decides the deadlines.
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

// Apply decides one request. The answer is the operation's result type of inventoryapi (or Receipt).
// An error is a refusal and leaves the book as it was, so that the next request can be decided; only
// ErrStale concerns the whole book.
func (b *Book) Apply(r Request) (any, error) { return r.decide(b) }

// record changes an item and writes the entry that says so. Callers have checked before that the
// result is valid, so that a refused request changes nothing.
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
			LineNo: e.Line, ProductID: it.ProductID, Location: it.Location, Quantity: moved(e), Stock: stockAfter(e),
		}
	}
	b.events = append(b.events, Event{
		Type: eventType, AggregateType: "reservation", AggregateID: r.ID, Version: r.Version, CorrelationID: correlationID,
		Data: inventoryapi.ReservationEvent{
			ReservationID: r.ID, OwnerKind: r.Owner.Kind, OwnerID: r.Owner.ID, Number: r.Owner.Number, WorkflowID: r.WorkflowID,
			OperationID: op, Status: r.Status, ExpiresAt: r.ExpiresAt, Reason: r.Reason, Lines: lines,
		},
	})
}

func stockAfter(e Entry) inventoryapi.Stock {
	return inventoryapi.Stock{
		Quantity: e.QuantityAfter, Reserved: e.ReservedAfter, Available: e.QuantityAfter - e.ReservedAfter, Version: e.VersionAfter,
	}
}
