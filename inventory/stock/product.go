package stock

import (
	"bytes"
	"slices"

	"github.com/google/uuid"
)

// Product has the facts about a product as a whole.
type Product struct {
	ID               uuid.UUID
	Threshold        *int64 // the threshold of a new item; nil if no request has set it
	Unsellable       bool   // the catalogue does not sell it
	CatalogueVersion int64  // of the catalogue's message that set Unsellable; 0 without a message
}

// NoteProducts adds facts about products to the book. The store reads them only for requests that create items or
// change facts.
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

// factsOf returns the facts about a product.
func (b *Book) factsOf(id uuid.UUID) Product {
	p := b.facts[id]
	p.ID = id
	return p
}

// changeFacts sets the facts about a product and marks them as to be written.
func (b *Book) changeFacts(p Product) {
	b.setFacts(p)
	if b.factsChanged == nil {
		b.factsChanged = map[uuid.UUID]bool{}
	}
	b.factsChanged[p.ID] = true
}

// changedFacts returns the facts to write, by id.
func (b *Book) changedFacts() []Product {
	var out []Product
	for id := range b.factsChanged {
		out = append(out, b.facts[id])
	}
	slices.SortFunc(out, func(x, y Product) int { return bytes.Compare(x.ID[:], y.ID[:]) })
	return out
}
