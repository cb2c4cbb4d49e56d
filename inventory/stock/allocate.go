package stock

import (
	"cmp"
	"slices"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// pick is the quantity that a line takes from an item.
type pick struct {
	line     int
	item     *Item
	quantity int64
}

// demands are the quantities that a reservation wants of each product, in the order in which its lines name the
// products.
type demands struct {
	products []uuid.UUID
	quantity map[uuid.UUID]int64
	freed    map[uuid.UUID]int64 // what the reservation to replace gives back of each product
}

func demandsOf(lines []inventoryapi.ReserveLine) demands {
	want := demands{quantity: map[uuid.UUID]int64{}}
	for _, l := range lines {
		if want.quantity[l.ProductID] == 0 {
			want.products = append(want.products, l.ProductID)
		}
		want.quantity[l.ProductID] += l.Quantity
	}
	return want
}

// shortOf returns the products that fall short. A product without any item falls short by the whole demand: to the
// customer it is out of stock. Stock that backorders wait for is not available to a new request, except for what it
// gives back itself.
func (b *Book) shortOf(want demands) (short []inventoryapi.ShortLine) {
	for _, p := range want.products {
		if free := max(b.free(p), 0) + want.freed[p]; free < want.quantity[p] {
			short = append(short, inventoryapi.ShortLine{ProductID: p, Requested: want.quantity[p], Available: free})
		}
	}
	return short
}

// allocate finds stock for all lines, by a strategy ("" is priority), or returns the products that fall short. It
// decides the lines of one product as one demand. If a product falls short, it takes overdue stock back first.
func (b *Book) allocate(
	lines []inventoryapi.ReserveLine, strategy inventoryapi.Strategy, correlationID string,
) ([]pick, error) {
	want := demandsOf(lines)
	if err := b.provide(want, correlationID); err != nil {
		return nil, err
	}
	return b.pickFor(want, lines, strategy), nil
}

// provide returns the products that fall short as an error, or nil. If a product falls short, it takes overdue stock
// back first.
func (b *Book) provide(want demands, correlationID string) error {
	short := b.shortOf(want)
	if short != nil {
		b.expireOverdueBackorders(short)
		if err := b.takeBack(want, short, correlationID); err != nil {
			return err
		}
		short = b.shortOf(want)
	}
	if short != nil {
		b.noteShort(short)
		return &inventoryapi.InsufficientStockError{Lines: short}
	}
	return nil
}

// pick takes the quantities of lines from the items, by a strategy. The items have enough.
func (b *Book) pick(lines []inventoryapi.ReserveLine, strategy inventoryapi.Strategy) []pick {
	return b.pickFor(demandsOf(lines), lines, strategy)
}

func (b *Book) pickFor(want demands, lines []inventoryapi.ReserveLine, strategy inventoryapi.Strategy) []pick {
	sources := make(map[uuid.UUID][]pick, len(want.products)) // the quantity that each item may give, in order
	allowed := func(*Item) bool { return true }
	if strategy == inventoryapi.StrategyFewestLocations {
		allowed = b.fewestLocations(want)
	}
	for _, p := range want.products {
		items := b.itemsByProduct[p]
		if strategy == inventoryapi.StrategyMostStock {
			items = mostFirst(items)
		}
		sources[p] = source(items, want.quantity[p], allowed)
	}

	var picks []pick
	for _, l := range lines {
		for rest, from := l.Quantity, sources[l.ProductID]; rest > 0; {
			i := slices.IndexFunc(from, func(p pick) bool { return p.quantity > 0 })
			take := min(rest, from[i].quantity)
			from[i].quantity -= take
			rest -= take
			picks = append(picks, pick{l.LineNo, from[i].item, take})
		}
	}
	return picks
}

func sumAvailable(items []*Item) (n int64) {
	for _, it := range items {
		n += it.Available()
	}
	return n
}

// mostFirst orders items by their available quantity, the largest first and ties by priority.
func mostFirst(items []*Item) []*Item {
	out := slices.Clone(items)
	slices.SortStableFunc(out, func(x, y *Item) int { return cmp.Compare(y.Available(), x.Available()) })
	return out
}

// source takes a demand from the allowed items, which together can fill it: from the first item that alone can fill it,
// else from the items in order, all that is available of each.
func source(items []*Item, demand int64, allowed func(*Item) bool) []pick {
	for _, it := range items {
		if allowed(it) && it.Available() >= demand {
			return []pick{{item: it, quantity: demand}}
		}
	}
	var from []pick
	for _, it := range items {
		if n := min(demand, it.Available()); n > 0 && allowed(it) {
			from = append(from, pick{item: it, quantity: n})
			demand -= n
		}
	}
	return from
}
