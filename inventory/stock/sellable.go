package stock

import (
	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// SetSellable says whether the catalogue sells a product. The order side sends it, and repeats it until it is
// acknowledged. Messages are ordered by the catalogue's version of the product, and an older message changes nothing.
//
// No other request depends on it. The order side itself refuses an order or a reservation of a product that it does not
// sell, and reserved stock stays reserved. SetSellable changes only the answers to readers of the stock.
type SetSellable struct {
	ProductID        uuid.UUID
	Sellable         bool
	CatalogueVersion int64
}

// NewSetSellable checks a request.
func NewSetSellable(product uuid.UUID, in inventoryapi.SellableRequest) (SetSellable, error) {
	switch {
	case product == uuid.Nil:
		return SetSellable{}, required("product_id")
	case in.Sellable == nil:
		return SetSellable{}, required("sellable")
	case in.CatalogueVersion < 1:
		return SetSellable{}, inventoryapi.Errorf(inventoryapi.InvalidInput, "catalogue_version", "a version is at least 1")
	}
	return SetSellable{product, *in.Sellable, in.CatalogueVersion}, nil
}

// Kind names the operation.
func (SetSellable) Kind() string { return "set_sellable" }

// TellsVersion reports that the answer does not contain the product's version.
func (SetSellable) TellsVersion() bool { return false }

// Reads adds the product and its items.
func (s SetSellable) Reads(reads *Reads) {
	reads.Products = append(reads.Products, s.ProductID)
	reads.Facts = append(reads.Facts, s.ProductID)
}

func (s SetSellable) decide(b *Book) (inventoryapi.Sellable, error) { //nolint:unparam // the signature of all requests
	p := b.factsOf(s.ProductID)
	if s.CatalogueVersion > p.CatalogueVersion {
		if p.Unsellable == s.Sellable {
			// The answer to readers changes, so the version does: it is the entity tag, and caches compare it.
			for _, it := range b.itemsByProduct[s.ProductID] {
				it.changed = it.changed || !it.Deleted
			}
		}
		p.Unsellable, p.CatalogueVersion = !s.Sellable, s.CatalogueVersion
		b.changeFacts(p)
	}
	return inventoryapi.Sellable{
		ProductID:        s.ProductID,
		Sellable:         !p.Unsellable,
		CatalogueVersion: p.CatalogueVersion,
	}, nil
}
