package stock

import (
	"cmp"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// CreateItem begins the stock-keeping of a product at a location, with no stock. It leaves an existing item as it is.
type CreateItem struct {
	Place  Place
	Actor  string
	Expect Expectation
}

// NewCreateItem makes the request from the contract's, and checks it.
func NewCreateItem(p Place, in inventoryapi.CreateItemRequest, o inventoryapi.WriteOptions) (CreateItem, error) {
	expect, err := NewExpectation(in.ExpectedVersion, o.IfMatch)
	if err != nil {
		return CreateItem{}, err
	}
	c := CreateItem{Place: p, Actor: cmp.Or(o.Actor, in.Actor), Expect: expect}
	return c, c.Check()
}

// Check refuses a request that is invalid for any stock.
func (c CreateItem) Check() error {
	if c.Place.ProductID == uuid.Nil {
		return required("product_id")
	}
	if err := checkLocation("location", c.Place.Location); err != nil {
		return err
	}
	return CheckActor(c.Actor)
}

// Kind names the operation.
func (CreateItem) Kind() string { return "create_item" }

// TellsVersion reports that the answer contains the product's version.
func (CreateItem) TellsVersion() bool { return true }

// Reads adds the product's items and the item to create.
func (c CreateItem) Reads(reads *Reads) {
	reads.Products = append(reads.Products, c.Place.ProductID)
	reads.Ensure = append(reads.Ensure, c.Place)
}

func (c CreateItem) decide(b *Book) (out inventoryapi.Item, err error) {
	it := b.itemAt(c.Place)
	if it == nil {
		return out, noLocation("location", c.Place.Location)
	}
	created := it.Deleted
	if created {
		if err := c.Expect.check(b, it.ProductID); err != nil {
			return out, err
		}
		b.show(it)
	}
	return inventoryapi.Item{
		ProductID:         it.ProductID,
		Location:          it.Location,
		Quantity:          it.Quantity,
		Reserved:          it.Reserved,
		Available:         it.Available(),
		LowStockThreshold: it.Threshold,
		Version:           b.tellVersion(it.ProductID),
		Created:           created,
	}, nil
}

// DeleteItem ends the stock-keeping of a product at a location: it writes off the remaining stock and hides the item
// until stock arrives there again. It is refused while any of the item's stock is reserved. It acts once per operation
// id; if there is no stock to write off, only Named recognises its repeat. Deleting a deleted item succeeds and changes
// nothing.
type DeleteItem struct {
	OperationID   uuid.UUID
	Place         Place
	Actor         string
	Reason        string
	Expect        Expectation
	CorrelationID string
}

// NewDeleteItem makes the request from the contract's, and checks it. The caller has set the operation id.
func NewDeleteItem(
	p Place, in inventoryapi.DeleteItemRequest, o inventoryapi.WriteOptions, correlationID string,
) (DeleteItem, error) {
	expect, err := NewExpectation(in.ExpectedVersion, o.IfMatch)
	if err != nil {
		return DeleteItem{}, err
	}
	d := DeleteItem{
		OperationID:   in.OperationID,
		Place:         p,
		Actor:         cmp.Or(o.Actor, in.Actor),
		Reason:        in.Reason,
		Expect:        expect,
		CorrelationID: correlationID,
	}
	return d, d.Check()
}

// Check refuses a request that is invalid for any stock.
func (d DeleteItem) Check() error {
	if err := checkAdministration(d.OperationID, d.Place.ProductID, d.Actor, d.Reason); err != nil {
		return err
	}
	return checkLocation("location", d.Place.Location)
}

// Kind names the operation.
func (DeleteItem) Kind() string { return "delete_item" }

// TellsVersion reports that the answer contains the product's version.
func (DeleteItem) TellsVersion() bool { return true }

// Reads adds the product's items and the entries that the operation wrote before.
func (d DeleteItem) Reads(reads *Reads) {
	reads.Products = append(reads.Products, d.Place.ProductID)
	reads.Operations = append(reads.Operations, d.OperationID)
}

func (d DeleteItem) decide(b *Book) (out inventoryapi.StockChange, err error) {
	if done, err := b.repeated(d.OperationID, Adjusted, d.Place); err != nil || done != nil {
		if err == nil && done.QuantityAfter != 0 {
			err = operationUsed(d.OperationID)
		}
		if err != nil {
			return out, err
		}
		return b.stockChange(*done, true), nil
	}

	it := b.itemAt(d.Place)
	switch {
	case it == nil, it.Version == 0 && it.Deleted && !it.changed:
		// The second case is an item that Ensure created for a request that was then refused.
		_, err := b.visibleItemAt(d.Place, "location")
		return out, err
	case it.Deleted:
		return b.stockChange(unchanged(it, d.entry(0)), false), nil
	}
	if err := d.Expect.check(b, it.ProductID); err != nil {
		return out, err
	}
	if it.Reserved > 0 {
		return out, tooFew(it, it.Quantity,
			"%d of product %s at %s are reserved; the item can be deleted once they are confirmed or released",
			it.Reserved, it.ProductID, it.Location)
	}

	e := unchanged(it, d.entry(0))
	if it.Quantity != 0 {
		e = b.record(it, d.entry(-it.Quantity))
		b.noteItem(inventoryapi.EventAdjusted, e, d.CorrelationID)
	}
	it.Deleted, it.changed = true, true
	return b.stockChange(e, false), nil
}

func (d DeleteItem) entry(delta int64) Entry {
	return Entry{
		OperationID:   d.OperationID,
		Line:          1,
		Kind:          Adjusted,
		QuantityDelta: delta,
		Actor:         d.Actor,
		Reason:        d.Reason,
	}
}

// show makes a deleted item visible to clients. An item that is shown for the first time gets its product's threshold.
func (b *Book) show(it *Item) {
	if t := b.facts[it.ProductID].Threshold; t != nil && it.Deleted && it.Version == 0 {
		it.Threshold = *t
	}
	it.Deleted, it.changed = false, true
}
