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

func (t SetThreshold) decide(b *Book) (out inventoryapi.ThresholdResult, err error) {
	items := b.products[t.ProductID]
	if t.Location != "" || !b.stocked(t.ProductID) {
		it, err := b.find(Place{t.ProductID, t.Location}, "location")
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
		// Locations that the product comes to later begin with it.
		p.Threshold = &t.Threshold
		b.changeFacts(p)
	}
	out.Version = b.version(t.ProductID)
	return out, nil
}
