package stock

import (
	"bytes"
	"slices"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// Product is what is known of a product as a whole.
type Product struct {
	ID               uuid.UUID
	Threshold        *int64 // that an item begins with; nil where no one set it
	Unsellable       bool   // the catalogue does not sell it
	CatalogueVersion int64  // of the catalogue's message that said so; 0 where there was none
}

// NoteProducts tells the book what is known of products as a whole. It is read for requests that create items or
// change such facts; others do without.
func (b *Book) NoteProducts(list []Product) {
	for i := range list {
		b.setFacts(list[i])
	}
}

func (b *Book) setFacts(p Product) {
	if b.facts == nil {
		b.facts = map[uuid.UUID]Product{}
	}
	b.facts[p.ID] = p
}

// factsOf returns what is known of a product.
func (b *Book) factsOf(id uuid.UUID) Product {
	p := b.facts[id]
	p.ID = id
	return p
}

// changeFacts changes what is known of a product.
func (b *Book) changeFacts(p Product) {
	b.setFacts(p)
	if b.factsChanged == nil {
		b.factsChanged = map[uuid.UUID]bool{}
	}
	b.factsChanged[p.ID] = true
}

// changedFacts are the facts to write, by id.
func (b *Book) changedFacts() []Product {
	var out []Product
	for id := range b.factsChanged {
		out = append(out, b.facts[id])
	}
	slices.SortFunc(out, func(x, y Product) int { return bytes.Compare(x.ID[:], y.ID[:]) })
	return out
}

// show brings an item back, or for the first time: then it begins with its product's threshold.
func (b *Book) show(it *Item) {
	if t := b.facts[it.ProductID].Threshold; t != nil && it.Deleted && it.Version == 0 {
		it.Threshold = *t
	}
	it.Deleted, it.changed = false, true
}

// SetSellable says whether the catalogue sells a product. It comes from the order side, which repeats it until it is
// heard: messages are ordered by the catalogue's version of the product, and an older one changes nothing.
//
// Nothing is decided by it. The order side refuses an order or a reservation of a product that it does not sell, and
// stock that is held stays held; what it changes is what the stock's readers are told.
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

// Reads adds the product and its items.
func (s SetSellable) Reads(reads *Reads) {
	reads.Products = append(reads.Products, s.ProductID)
	reads.Facts = append(reads.Facts, s.ProductID)
}

func (s SetSellable) decide(b *Book) (any, error) { //nolint:unparam // the signature of all requests
	p := b.factsOf(s.ProductID)
	if s.CatalogueVersion > p.CatalogueVersion {
		if p.Unsellable == s.Sellable {
			// What readers are told changes, so the version does: it is the entity tag, and what caches go by.
			for _, it := range b.products[s.ProductID] {
				it.changed = it.changed || !it.Deleted
			}
		}
		p.Unsellable, p.CatalogueVersion = !s.Sellable, s.CatalogueVersion
		b.changeFacts(p)
	}
	return inventoryapi.Sellable{ProductID: s.ProductID, Sellable: !p.Unsellable, CatalogueVersion: p.CatalogueVersion}, nil
}
