package stock

import (
	"cmp"
	"fmt"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// Adjust corrects the stock of an item, by a difference or to a count. It acts once per operation id. If the stock is
// right already, Adjust changes no version and writes no entry and no event; only Named recognises its repeat then.
type Adjust struct {
	OperationID   uuid.UUID
	Place         Place
	Delta         *int64 // by how much; or
	Quantity      *int64 // how many were counted, reserved ones included
	Actor         string
	Reason        string
	Expect        Expectation
	CorrelationID string
}

// NewAdjust makes the request from the contract's, and checks it. The caller has set the operation id.
func NewAdjust(
	product uuid.UUID, in inventoryapi.AdjustRequest, o inventoryapi.WriteOptions, correlationID string,
) (Adjust, error) {
	expect, err := NewExpectation(in.ExpectedVersion, o.IfMatch)
	if err != nil {
		return Adjust{}, err
	}
	a := Adjust{
		OperationID:   in.OperationID,
		Place:         Place{product, in.Location},
		Delta:         in.Delta,
		Quantity:      in.Quantity,
		Actor:         cmp.Or(o.Actor, in.Actor),
		Reason:        in.Reason,
		Expect:        expect,
		CorrelationID: correlationID,
	}
	return a, a.Check()
}

// Check refuses a request that is invalid for any stock.
func (a Adjust) Check() error {
	if err := checkAdministration(a.OperationID, a.Place.ProductID, a.Actor, a.Reason); err != nil {
		return err
	}
	if err := checkLocation("location", a.Place.Location); err != nil {
		return err
	}
	switch {
	case a.Delta == nil && a.Quantity == nil:
		return inventoryapi.Errorf(inventoryapi.InvalidInput, "delta",
			"give delta, the difference, or quantity, the count")
	case a.Delta != nil && a.Quantity != nil:
		return inventoryapi.Errorf(inventoryapi.InvalidInput, "quantity", "give delta or quantity, not both")
	case a.Delta != nil && (*a.Delta < -MaxStock || *a.Delta > MaxStock):
		return inventoryapi.Errorf(inventoryapi.InvalidQuantity, "delta",
			"a difference lies between %d and %d", int64(-MaxStock), int64(MaxStock))
	case a.Quantity != nil:
		return CheckCount("quantity", *a.Quantity)
	}
	return nil
}

// CheckCount refuses what cannot be the quantity or the threshold of an item.
func CheckCount(field string, n int64) error {
	switch {
	case n < 0:
		return inventoryapi.Errorf(inventoryapi.NegativeQuantity, field, "%s cannot be negative", field)
	case n > MaxStock:
		return inventoryapi.Errorf(inventoryapi.InvalidQuantity, field, "%s is at most %d", field, int64(MaxStock))
	}
	return nil
}

// checkAdministration requires the fields that every change of stock by an operator has.
func checkAdministration(op, product uuid.UUID, actor, reason string) error {
	if product == uuid.Nil {
		return required("product_id")
	}
	if err := checkChange(op, actor, reason); err != nil {
		return err
	}
	if reason == "" {
		return required("reason")
	}
	return nil
}

// Kind names the operation.
func (Adjust) Kind() string { return "adjust" }

// TellsVersion reports that the answer contains the product's version.
func (Adjust) TellsVersion() bool { return true }

// Reads adds the product's items and the entries that the operation wrote before.
func (a Adjust) Reads(reads *Reads) {
	reads.Products = append(reads.Products, a.Place.ProductID)
	reads.Operations = append(reads.Operations, a.OperationID)
}

func (a Adjust) decide(b *Book) (out inventoryapi.StockChange, err error) {
	if done, err := b.repeated(a.OperationID, Adjusted, a.Place); err != nil || done != nil {
		if err == nil && !a.wrote(*done) {
			err = operationUsed(a.OperationID)
		}
		if err != nil {
			return out, err
		}
		return b.stockChange(*done, true), nil
	}

	it, err := b.visibleItemAt(a.Place, "location")
	if err != nil {
		return out, err
	}
	if err := a.Expect.check(b, a.Place.ProductID); err != nil {
		return out, err
	}

	n := a.change(it)
	if err := a.checkChangeOf(it, n); err != nil {
		return out, err
	}
	return b.stockChange(a.adjust(b, it, n), false), nil
}

// change returns the difference that the stock of the item has to change by.
func (a Adjust) change(it *Item) int64 {
	if a.Quantity != nil {
		return *a.Quantity - it.Quantity
	}
	return *a.Delta
}

// wrote reports whether this request wrote the entry.
func (a Adjust) wrote(e Entry) bool {
	if a.Quantity != nil {
		return e.QuantityAfter == *a.Quantity
	}
	return e.QuantityDelta == *a.Delta
}

// adjust writes a change that was checked. It writes nothing if the stock is right.
func (a Adjust) adjust(b *Book, it *Item, n int64) Entry {
	e := Entry{
		OperationID:   a.OperationID,
		Line:          1,
		Kind:          Adjusted,
		QuantityDelta: n,
		Actor:         a.Actor,
		Reason:        a.Reason,
	}
	if n == 0 {
		return unchanged(it, e)
	}
	e = b.record(it, e)
	b.noteItem(inventoryapi.EventAdjusted, e, a.CorrelationID)
	return e
}

// unchanged returns the entry that an answer about an unchanged item is made from. The entry is not written.
func unchanged(it *Item, e Entry) Entry {
	e.ItemID, e.QuantityAfter, e.ReservedAfter = it.ID, it.Quantity, it.Reserved
	return e
}

// checkChangeOf refuses a change that the item's stock cannot take: the quantity may not fall below the reserved
// quantity, which is promised to the owners of reservations.
func (a Adjust) checkChangeOf(it *Item, n int64) error {
	after := it.Quantity + n
	switch {
	case after < 0:
		return inventoryapi.Errorf(inventoryapi.NegativeQuantity, "delta",
			"product %s has %d at %s; %d cannot be taken off", it.ProductID, it.Quantity, it.Location, -n)
	case n < 0 && after < it.Reserved && a.Quantity != nil:
		return tooFew(it, -n, "%d of product %s at %s are reserved; the count cannot be below that",
			it.Reserved, it.ProductID, it.Location)
	case n < 0 && after < it.Reserved:
		return tooFew(it, -n, "product %s has %d at %s, of which %d are reserved; at most %d can be taken off",
			it.ProductID, it.Quantity, it.Location, it.Reserved, it.Available())
	case n > 0 && after > MaxStock: // returned stock may have filled the item beyond MaxStock; taking it off is allowed
		return stockFull("quantity")
	}
	return nil
}

// tooFew refuses an operator's change that would touch reserved stock. The format says why in the operator's terms.
func tooFew(it *Item, wanted int64, format string, args ...any) error {
	return &inventoryapi.InsufficientStockError{
		Lines:  []inventoryapi.ShortLine{{ProductID: it.ProductID, Requested: wanted, Available: it.Available()}},
		Detail: fmt.Sprintf(format, args...),
	}
}

func stockFull(field string) error {
	return inventoryapi.Errorf(inventoryapi.InvalidQuantity, field, "the stock of an item is at most %d", int64(MaxStock))
}

// repeated returns the one entry that an operation wrote before, or nil if the operation wrote none. It refuses an
// operation id that was used for a different request.
func (b *Book) repeated(op uuid.UUID, kind Kind, p Place) (*Entry, error) {
	done := b.entries[op]
	if len(done) == 0 {
		return nil, nil //nolint:nilnil // not done before
	}
	it := b.itemAt(p)
	if len(done) != 1 || it == nil ||
		done[0].ItemID != it.ID || done[0].Kind != kind || done[0].ReservationID != uuid.Nil {
		return nil, operationUsed(op)
	}
	return &done[0], nil
}

// stockChange makes an answer from an entry. The answer contains the product's version only if this request moved it:
// with the version of a later change, the caller could overwrite that change without having seen it.
func (b *Book) stockChange(e Entry, replayed bool) inventoryapi.StockChange {
	it := b.items[e.ItemID]
	out := inventoryapi.StockChange{
		OperationID:    e.OperationID,
		ProductID:      it.ProductID,
		Location:       it.Location,
		Quantity:       e.QuantityDelta,
		Stock:          e.QuantityAfter,
		ReservedStock:  e.ReservedAfter,
		AvailableStock: e.QuantityAfter - e.ReservedAfter,
		Replayed:       replayed,
	}
	if !replayed {
		out.Version = b.tellVersion(it.ProductID)
	}
	return out
}
