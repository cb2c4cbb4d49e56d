package stock

import (
	"fmt"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// Adjust corrects the stock of an item, by a difference or to a count. It acts once per operation id. What finds the
// stock right changes nothing: no version, no entry, no event. Named makes its repeat find that it was done.
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

// Check refuses what no stock could change.
func (a Adjust) Check() error {
	if err := checkAdministration(a.OperationID, a.Place.ProductID, a.Actor, a.Reason); err != nil {
		return err
	}
	if err := checkLocation("location", a.Place.Location); err != nil {
		return err
	}
	switch {
	case a.Delta == nil && a.Quantity == nil:
		return inventoryapi.Errorf(inventoryapi.InvalidInput, "delta", "give delta, the difference, or quantity, the count")
	case a.Delta != nil && a.Quantity != nil:
		return inventoryapi.Errorf(inventoryapi.InvalidInput, "quantity", "give delta or quantity, not both")
	case a.Delta != nil && (*a.Delta < -MaxStock || *a.Delta > MaxStock):
		return inventoryapi.Errorf(inventoryapi.InvalidQuantity, "delta", "a difference lies between %d and %d", int64(-MaxStock), int64(MaxStock))
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

// checkAdministration refuses what no change of stock by hand may lack.
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

// Reads adds the product's items and what the operation did before.
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
	it, err := b.find(a.Place, "location")
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

// change is by how much the stock of the item has to change.
func (a Adjust) change(it *Item) int64 {
	if a.Quantity != nil {
		return *a.Quantity - it.Quantity
	}
	return *a.Delta
}

// wrote reports whether the entry is what this request wrote.
func (a Adjust) wrote(e Entry) bool {
	if a.Quantity != nil {
		return e.QuantityAfter == *a.Quantity
	}
	return e.QuantityDelta == *a.Delta
}

// adjust writes a change that was checked, and nothing where the stock is right.
func (a Adjust) adjust(b *Book, it *Item, n int64) Entry {
	e := Entry{OperationID: a.OperationID, Line: 1, Kind: Adjusted, QuantityDelta: n, Actor: a.Actor, Reason: a.Reason}
	if n == 0 {
		return unchanged(it, e)
	}
	e = b.record(it, e)
	b.noteItem(inventoryapi.EventAdjusted, e, a.CorrelationID)
	return e
}

// unchanged is what an entry would say of an item that stays as it is. It is for an answer, and is not written.
func unchanged(it *Item, e Entry) Entry {
	e.ItemID, e.QuantityAfter, e.ReservedAfter = it.ID, it.Quantity, it.Reserved
	return e
}

// checkChangeOf refuses a change that the item's stock cannot take: nothing may fall below what is
// reserved, which is promised to its owners.
func (a Adjust) checkChangeOf(it *Item, n int64) error {
	after := it.Quantity + n
	switch {
	case after < 0:
		return inventoryapi.Errorf(inventoryapi.NegativeQuantity, "delta", "product %s has %d at %s; %d cannot be taken off", it.ProductID, it.Quantity, it.Location, -n)
	case n < 0 && after < it.Reserved && a.Quantity != nil:
		return tooFew(it, -n, "%d of product %s at %s are reserved; the count cannot be below that", it.Reserved, it.ProductID, it.Location)
	case n < 0 && after < it.Reserved:
		return tooFew(it, -n, "of %d of product %s at %s %d are reserved; at most %d can be taken off", it.Quantity, it.ProductID, it.Location, it.Reserved, it.Available())
	case n > 0 && after > MaxStock: // what came back may have filled it beyond, and must go out again
		return stockFull("quantity")
	}
	return nil
}

// tooFew refuses a change by hand that would touch what is reserved; it says why in the operator's terms.
func tooFew(it *Item, wanted int64, format string, args ...any) error {
	return &inventoryapi.InsufficientStockError{
		Lines: []inventoryapi.ShortLine{{ProductID: it.ProductID, Requested: wanted, Available: it.Available()}}, Detail: fmt.Sprintf(format, args...),
	}
}

func stockFull(field string) error {
	return inventoryapi.Errorf(inventoryapi.InvalidQuantity, field, "the stock of an item is at most %d", int64(MaxStock))
}

// repeated returns the one entry that an operation wrote before, nil when it wrote none, and refuses
// an id that stood for something else.
func (b *Book) repeated(op uuid.UUID, kind Kind, p Place) (*Entry, error) {
	done := b.entries[op]
	if len(done) == 0 {
		return nil, nil //nolint:nilnil // not done before
	}
	if it := b.at(p); len(done) != 1 || it == nil || done[0].ItemID != it.ID || done[0].Kind != kind || done[0].ReservationID != uuid.Nil {
		return nil, operationUsed(op)
	}
	return &done[0], nil
}

// stockChange answers with what an entry says. The product's version is told only when this request
// moved it: a repeated answer must not vouch for changes that its caller has not seen.
func (b *Book) stockChange(e Entry, replayed bool) inventoryapi.StockChange {
	it := b.items[e.ItemID]
	out := inventoryapi.StockChange{
		OperationID: e.OperationID, ProductID: it.ProductID, Location: it.Location, Quantity: e.QuantityDelta,
		Stock: e.QuantityAfter, ReservedStock: e.ReservedAfter, AvailableStock: e.QuantityAfter - e.ReservedAfter, Replayed: replayed,
	}
	if !replayed {
		out.Version = b.version(it.ProductID)
	}
	return out
}
