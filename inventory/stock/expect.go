package stock

import (
	"slices"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// Expectation is what the caller of a write believes about the product; the zero value is nothing.
// It is compared with the version that this batch has reached, so that of two writers who read the
// same version only the first succeeds, also when both are decided together.
type Expectation struct {
	Version *int64               // the product's; another one is a VersionConflict
	Match   inventoryapi.IfMatch // of the If-Match header; another one is PreconditionFailed
}

// NewExpectation reads the two ways in which a caller can state it.
func NewExpectation(version *int64, ifMatch string) (Expectation, error) {
	match, err := inventoryapi.ParseIfMatch(ifMatch)
	if err != nil {
		return Expectation{}, err
	}
	if version != nil && *version < 0 {
		return Expectation{}, inventoryapi.Errorf(inventoryapi.InvalidInput, "expected_version", "a version is not negative")
	}
	return Expectation{version, match}, nil
}

func (x Expectation) check(b *Book, product uuid.UUID) error {
	if x.Version == nil && !x.Match.Given {
		return nil
	}
	at := b.version(product)
	switch {
	case x.Match.Given && (!b.stocked(product) || !x.Match.Any && !slices.Contains(x.Match.Versions, at)):
		return inventoryapi.Errorf(inventoryapi.PreconditionFailed, "If-Match", "product %s is at version %d; read it again and decide anew", product, at)
	case x.Version != nil && *x.Version != at:
		return inventoryapi.Errorf(inventoryapi.VersionConflict, "expected_version",
			"product %s is at version %d, not %d; read it again and decide anew", product, at, *x.Version)
	}
	return nil
}

// TellsVersion reports whether the answer to a request names its product's version, by which its caller may
// write next. All that is decided together moves the version once, so nothing may be done to the product
// after such a request in the same batch: the version would stand for two states.
func TellsVersion(r Request) bool {
	if n, ok := r.(Named); ok {
		r = n.Request
	}
	switch r.(type) {
	case Receive, Adjust, Transfer, SetThreshold, CreateItem, DeleteItem:
		return true
	}
	return false
}

// version is the product's version as clients see it, with what this batch did so far: the sum of its
// items' versions, deleted ones included. It needs all items of the product to have been read.
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

// stocked reports whether there is stock-keeping of the product, with or without stock.
func (b *Book) stocked(product uuid.UUID) bool {
	return slices.ContainsFunc(b.products[product], func(it *Item) bool { return !it.Deleted })
}

// at returns the item at a place, a deleted one too; nil means that there is no such location, where
// the place was to be ensured, and that there never was such an item, where it was not.
func (b *Book) at(p Place) *Item {
	for _, it := range b.products[p.ProductID] {
		if it.Location == p.Location {
			return it
		}
	}
	return nil
}

// find returns the item at a place, or says what is missing; field names the location in the request.
func (b *Book) find(p Place, field string) (*Item, error) {
	it := b.at(p)
	switch {
	case it != nil && !it.Deleted:
		return it, nil
	case !b.stocked(p.ProductID):
		return nil, inventoryapi.Errorf(inventoryapi.ProductNotFound, "product_id", "there is no stock-keeping of product %s", p.ProductID)
	}
	return nil, inventoryapi.Errorf(inventoryapi.ItemNotFound, field, "product %s is not kept at %q", p.ProductID, p.Location)
}

func noLocation(field, code string) error {
	return inventoryapi.Errorf(inventoryapi.InvalidInput, field, "there is no location %q", code)
}
