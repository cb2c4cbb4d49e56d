package stock

import (
	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// SetThreshold says from which level on the stock of an item, or of all items of a product, is low: of those there are
// and those that come to be.
// It moves no stock, so it has no operation id and no entry: asking for what is the case already is a
// success, also after the version moved (RFC 9110, 13.1.1 allows as much of an If-Match).
type SetThreshold struct {
	ProductID uuid.UUID
	Location  string // "" means all of the product
	Threshold int64
	Actor     string
	Expect    Expectation
}

// Check refuses what no stock could change.
func (t SetThreshold) Check() error {
	if t.ProductID == uuid.Nil {
		return required("product_id")
	}
	if err := CheckActor(t.Actor); err != nil {
		return err
	}
	if t.Location != "" {
		if err := checkLocation("location", t.Location); err != nil {
			return err
		}
	}
	return CheckCount("low_stock_threshold", t.Threshold)
}

// Kind names the operation.
func (SetThreshold) Kind() string { return "set_threshold" }

// Reads adds the product's items, and the product where it is about all of them.
func (t SetThreshold) Reads(reads *Reads) {
	reads.Products = append(reads.Products, t.ProductID)
	if t.Location == "" {
		reads.Facts = append(reads.Facts, t.ProductID)
	}
}

func (t SetThreshold) decide(b *Book) (any, error) {
	items := b.products[t.ProductID]
	if t.Location != "" || !b.stocked(t.ProductID) {
		it, err := b.find(Place{t.ProductID, t.Location}, "location")
		if err != nil {
			return nil, err
		}
		items = []*Item{it}
	}
	out := inventoryapi.ThresholdResult{ProductID: t.ProductID, LowStockThreshold: t.Threshold, Locations: []string{}}
	var other []*Item
	for _, it := range items {
		if it.Deleted {
			if it.Version > 0 && it.Threshold != t.Threshold { // it may come back
				other = append(other, it)
			}
			continue
		}
		out.Locations = append(out.Locations, it.Location)
		if it.Threshold != t.Threshold {
			other = append(other, it)
		}
	}
	if len(other) > 0 {
		if err := t.Expect.check(b, t.ProductID); err != nil {
			return nil, err
		}
	}
	for _, it := range other {
		it.Threshold, it.changed = t.Threshold, true
	}
	if p := b.factsOf(t.ProductID); t.Location == "" && (p.Threshold == nil || *p.Threshold != t.Threshold) {
		// Locations that the product comes to later begin with it.
		p.Threshold = &t.Threshold
		b.changeFacts(p)
	}
	out.Version = b.version(t.ProductID)
	return out, nil
}

// CreateItem begins the stock-keeping of a product at a location, empty. An item that exists stays as
// it is.
type CreateItem struct {
	Place  Place
	Actor  string
	Expect Expectation
}

// Check refuses what no stock could change.
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

// Reads adds the product's items and the one to create.
func (c CreateItem) Reads(reads *Reads) {
	reads.Products = append(reads.Products, c.Place.ProductID)
	reads.Ensure = append(reads.Ensure, c.Place)
}

func (c CreateItem) decide(b *Book) (any, error) {
	it := b.at(c.Place)
	if it == nil {
		return nil, noLocation("location", c.Place.Location)
	}
	created := it.Deleted
	if created {
		if err := c.Expect.check(b, it.ProductID); err != nil {
			return nil, err
		}
		b.show(it)
	}
	return inventoryapi.Item{
		ProductID: it.ProductID, Location: it.Location, Quantity: it.Quantity, Reserved: it.Reserved, Available: it.Available(),
		LowStockThreshold: it.Threshold, Version: b.version(it.ProductID), Created: created,
	}, nil
}

// DeleteItem ends the stock-keeping of a product at a location: what is left is written off, and the
// item vanishes until stock arrives there again. It is refused while anything is reserved. It acts once
// per operation id; where there is nothing to write off, Named makes its repeat find that. Deleting what is deleted is
// a success and changes nothing.
type DeleteItem struct {
	OperationID   uuid.UUID
	Place         Place
	Actor         string
	Reason        string
	Expect        Expectation
	CorrelationID string
}

// Check refuses what no stock could change.
func (d DeleteItem) Check() error {
	if err := checkAdministration(d.OperationID, d.Place.ProductID, d.Actor, d.Reason); err != nil {
		return err
	}
	return checkLocation("location", d.Place.Location)
}

// Kind names the operation.
func (DeleteItem) Kind() string { return "delete_item" }

// Reads adds the product's items and what the operation did before.
func (d DeleteItem) Reads(reads *Reads) {
	reads.Products = append(reads.Products, d.Place.ProductID)
	reads.Operations = append(reads.Operations, d.OperationID)
}

func (d DeleteItem) decide(b *Book) (any, error) {
	if done, err := b.repeated(d.OperationID, Adjusted, d.Place); err != nil || done != nil {
		if err == nil && done.QuantityAfter != 0 {
			err = operationUsed(d.OperationID)
		}
		if err != nil {
			return nil, err
		}
		return b.stockChange(*done, true), nil
	}
	it := b.at(d.Place)
	switch {
	case it == nil, it.Version == 0 && it.Deleted && !it.changed: // the latter was only ensured, for a request that was refused
		_, err := b.find(d.Place, "location")
		return nil, err
	case it.Deleted:
		return b.stockChange(unchanged(it, d.entry(0)), false), nil
	}
	if err := d.Expect.check(b, it.ProductID); err != nil {
		return nil, err
	}
	if it.Reserved > 0 {
		return nil, tooFew(it, it.Quantity, "%d of product %s at %s are reserved; the item can be deleted once they are confirmed or released", it.Reserved, it.ProductID, it.Location)
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
	return Entry{OperationID: d.OperationID, Line: 1, Kind: Adjusted, QuantityDelta: delta, Actor: d.Actor, Reason: d.Reason}
}

// CheckActor refuses a name that nobody could be recorded under.
func CheckActor(actor string) error { return checkChange(uuid.Max, actor, "") }
