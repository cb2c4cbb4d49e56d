package stock

import (
	"cmp"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// SetThreshold sets the level at which the stock of an item is low, or of all items of a product, future items
// included. It moves no stock, so it has no operation id and no entry. Setting the value that is set already succeeds,
// also after the version moved (RFC 9110, 13.1.1 allows this for If-Match).
type SetThreshold struct {
	ProductID uuid.UUID
	Location  string // "" means all items of the product
	Threshold int64
	Actor     string
	Expect    Expectation
}

// NewSetThreshold makes the request from the contract's, and checks it.
func NewSetThreshold(
	product uuid.UUID, in inventoryapi.ThresholdRequest, o inventoryapi.WriteOptions,
) (SetThreshold, error) {
	expect, err := NewExpectation(in.ExpectedVersion, o.IfMatch)
	switch {
	case err != nil:
		return SetThreshold{}, err
	case in.LowStockThreshold == nil:
		return SetThreshold{}, required("low_stock_threshold")
	}
	t := SetThreshold{
		ProductID: product,
		Location:  in.Location,
		Threshold: *in.LowStockThreshold,
		Actor:     cmp.Or(o.Actor, in.Actor),
		Expect:    expect,
	}
	return t, t.Check()
}

// Check refuses a request that is invalid for any stock.
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

// TellsVersion reports that the answer contains the product's version.
func (SetThreshold) TellsVersion() bool { return true }

// Reads adds the product's items, and the product's facts if the request is for all items.
func (t SetThreshold) Reads(reads *Reads) {
	reads.Products = append(reads.Products, t.ProductID)
	if t.Location == "" {
		reads.Facts = append(reads.Facts, t.ProductID)
	}
}

func (t SetThreshold) decide(b *Book) (out inventoryapi.ThresholdResult, err error) {
	items := b.itemsByProduct[t.ProductID]
	if t.Location != "" || !b.hasItem(t.ProductID) {
		it, err := b.visibleItemAt(Place{t.ProductID, t.Location}, "location")
		if err != nil {
			return out, err
		}
		items = []*Item{it}
	}

	out = inventoryapi.ThresholdResult{ProductID: t.ProductID, LowStockThreshold: t.Threshold, Locations: []string{}}
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
			return out, err
		}
	}
	for _, it := range other {
		it.Threshold, it.changed = t.Threshold, true
	}
	if p := b.factsOf(t.ProductID); t.Location == "" && (p.Threshold == nil || *p.Threshold != t.Threshold) {
		// New items of the product begin with this threshold.
		p.Threshold = &t.Threshold
		b.changeFacts(p)
	}

	out.Version = b.tellVersion(t.ProductID)
	return out, nil
}
