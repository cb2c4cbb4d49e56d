package stock

import (
	"bytes"
	"slices"

	"github.com/google/uuid"
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
