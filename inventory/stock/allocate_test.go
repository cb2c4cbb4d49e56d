package stock

import (
	"encoding/hex"
	"fmt"
	"math/bits"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"holdfast/inventory/inventoryapi"
)

var strategies = []inventoryapi.Strategy{
	"",
	inventoryapi.StrategyPriority,
	inventoryapi.StrategyMostStock,
	inventoryapi.StrategyFewestLocations,
}

// drawStock makes items of some products at some locations.
func drawStock(rt *rapid.T, products, locations int) []Item {
	var items []Item
	priorities := rapid.SliceOfN(rapid.IntRange(1, 3), locations, locations).Draw(rt, "priorities")
	for p := range products {
		for l := range locations {
			if rapid.IntRange(0, 3).Draw(rt, "kept") == 0 {
				continue
			}
			quantity := int64(rapid.IntRange(0, 6).Draw(rt, "quantity"))
			items = append(items, Item{
				ID:        int64(len(items) + 1),
				ProductID: uuid.UUID{byte(p + 1)},
				Location:  fmt.Sprintf("l%02d", l),
				Priority:  priorities[l],
				Quantity:  quantity,
				Reserved:  int64(rapid.IntRange(0, int(quantity)).Draw(rt, "reserved")),
			})
		}
	}
	return items
}

func drawLines(rt *rapid.T, products int) []inventoryapi.ReserveLine {
	lines := make([]inventoryapi.ReserveLine, rapid.IntRange(1, 4).Draw(rt, "lines"))
	for i := range lines {
		lines[i] = inventoryapi.ReserveLine{
			LineNo:    i + 1,
			ProductID: uuid.UUID{byte(rapid.IntRange(1, products).Draw(rt, "product"))},
			Quantity:  int64(rapid.IntRange(1, 9).Draw(rt, "demand")),
		}
	}
	return lines
}

// distinct counts the locations that picks come from.
func distinct(picks []pick) int {
	seen := map[string]bool{}
	for _, p := range picks {
		seen[p.item.Location] = true
	}
	return len(seen)
}

// fewest returns the smallest number of locations that can fill the lines, or 0 if all locations together cannot. It
// tries all sets of locations.
func fewest(items []Item, lines []inventoryapi.ReserveLine, locations int) int {
	best := 0
	for set := range 1 << locations {
		rest := map[uuid.UUID]int64{}
		for _, l := range lines {
			rest[l.ProductID] += l.Quantity
		}
		for _, it := range items {
			var l int
			_, _ = fmt.Sscanf(it.Location, "l%d", &l)
			if set&(1<<l) != 0 {
				rest[it.ProductID] -= it.Available()
			}
		}
		filled := true
		for _, n := range rest {
			filled = filled && n <= 0
		}
		if n := bits.OnesCount(uint(set)); filled && (best == 0 || n < best) {
			best = n
		}
	}
	return best
}

// TestAllocation checks the rules that every strategy keeps, and that fewest_locations chooses the fewest.
func TestAllocation(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		products, locations := rapid.IntRange(1, 3).Draw(rt, "products"), rapid.IntRange(1, 7).Draw(rt, "locations")
		items, lines := drawStock(rt, products, locations), drawLines(rt, products)
		strategy := rapid.SampledFrom(strategies).Draw(rt, "strategy")

		// The same stock, read in another order, must give the same choice.
		shuffled := rapid.Permutation(items).Draw(rt, "shuffled")
		picks, err := NewBook(time.Time{}, items, nil, nil).allocate(lines, strategy, "")
		again, errAgain := NewBook(time.Time{}, shuffled, nil, nil).allocate(lines, strategy, "")
		require.Equal(rt, err, errAgain)
		require.Len(rt, again, len(picks))
		for i := range picks {
			require.Equal(rt, *picks[i].item, *again[i].item)
			require.Equal(rt, picks[i].quantity, again[i].quantity)
		}

		least := fewest(items, lines, locations)
		if err != nil {
			require.Equal(rt, inventoryapi.InsufficientStock, inventoryapi.CodeOf(err))
			require.Zero(rt, least, "the lines could have been filled")
			return
		}
		require.NotZero(rt, least, "filled lines that cannot be filled")

		got, taken := map[int]int64{}, map[int64]int64{}
		for _, p := range picks {
			require.Positive(rt, p.quantity)
			got[p.line] += p.quantity
			taken[p.item.ID] += p.quantity
			require.LessOrEqual(rt, taken[p.item.ID], p.item.Available(), "more than is available")
			require.Equal(rt, lines[p.line-1].ProductID, p.item.ProductID)
		}
		for _, l := range lines {
			require.Equal(rt, l.Quantity, got[l.LineNo], "a line gets what it asks for")
		}
		if strategy == inventoryapi.StrategyFewestLocations {
			require.Equal(rt, least, distinct(picks))
		}
	})
}

// TestGreedyIsValid: above the bound of the exact search the chosen locations fill the demand, and without any one of
// them they do not.
func TestGreedyIsValid(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		items := drawStock(rt, 3, exactLocations+4)
		lines := drawLines(rt, 3)
		b := NewBook(time.Time{}, items, nil, nil)
		picks, err := b.allocate(lines, inventoryapi.StrategyFewestLocations, "")
		if err != nil {
			return
		}

		want := demands{quantity: map[uuid.UUID]int64{}}
		for _, l := range lines {
			if want.quantity[l.ProductID] == 0 {
				want.products = append(want.products, l.ProductID)
			}
			want.quantity[l.ProductID] += l.Quantity
		}
		need := make([]int64, len(want.products))
		for i, p := range want.products {
			need[i] = want.quantity[p]
		}

		sites := b.sites(want.products)
		chosen := greedy(sites, need)
		require.True(rt, fills(sites, need, chosen))
		for i := range chosen {
			fewer := append(append([]int(nil), chosen[:i]...), chosen[i+1:]...)
			require.False(rt, fills(sites, need, fewer), "the other locations fill the demand")
		}
		if len(sites) > exactLocations {
			require.Len(rt, chosen, distinct(picks))
		}
	})
}

// TestStrategies shows each strategy on stock for which the strategies differ.
func TestStrategies(t *testing.T) {
	t.Parallel()
	a, b := uuid.UUID{1}, uuid.UUID{2}
	item := func(id int64, product uuid.UUID, location string, priority int, quantity int64) Item {
		return Item{ID: id, ProductID: product, Location: location, Priority: priority, Quantity: quantity}
	}
	items := []Item{
		item(1, a, "near", 1, 3), item(2, a, "mid", 2, 4), item(3, a, "far", 3, 9),
		item(4, b, "near", 1, 1), item(5, b, "mid", 2, 2), item(6, b, "far", 3, 3),
	}
	type took map[string]int64
	for _, c := range []struct {
		name     string
		strategy inventoryapi.Strategy
		want     []int64
		took     took
	}{
		{"priority prefers the nearest that has enough", "priority", []int64{3, 1}, took{"1 near": 3, "2 near": 1}},
		{"priority splits by priority", "priority", []int64{12, 0}, took{"1 near": 3, "1 mid": 4, "1 far": 5}},
		{"most stock takes from the fullest", "most_stock", []int64{2, 1}, took{"1 far": 2, "2 far": 1}},
		{
			"most stock splits from the fullest on", "most_stock",
			[]int64{11, 4},
			took{"1 far": 9, "1 mid": 2, "2 far": 3, "2 mid": 1},
		},
		{"fewest finds the one place that has both", "fewest_locations", []int64{4, 2}, took{"1 mid": 4, "2 mid": 2}},
		{"priority would have used two", "priority", []int64{2, 2}, took{"1 near": 2, "2 mid": 2}},
		{"fewest goes farther where that is one place", "fewest_locations", []int64{2, 3}, took{"1 far": 2, "2 far": 3}},
		{
			"fewest splits within the places that it chose", "fewest_locations",
			[]int64{11, 4},
			took{"1 near": 3, "1 far": 8, "2 near": 1, "2 far": 3},
		},
		{"the default is priority", "", []int64{2, 2}, took{"1 near": 2, "2 mid": 2}},
		{
			"fewest takes the first by priority where it can", "fewest_locations",
			[]int64{3, 1},
			took{"1 near": 3, "2 near": 1},
		},
	} {
		var lines []inventoryapi.ReserveLine
		for i, n := range c.want {
			if n > 0 {
				lines = append(lines, inventoryapi.ReserveLine{
					LineNo: i + 1, ProductID: uuid.UUID{byte(i + 1)}, Quantity: n,
				})
			}
		}

		picks, err := NewBook(time.Time{}, append([]Item(nil), items...), nil, nil).allocate(lines, c.strategy, "")
		require.NoError(t, err, c.name)

		got := took{}
		for _, p := range picks {
			got[fmt.Sprintf("%d %s", p.line, p.item.Location)] += p.quantity
		}
		require.Equal(t, c.took, got, c.name)
	}
}

// TestRequestHash: a request without a strategy has the hash that it had before strategies existed, and a request with
// a strategy has a different hash.
func TestRequestHash(t *testing.T) {
	t.Parallel()
	in := inventoryapi.ReserveRequest{
		ReservationID: uuid.UUID{1},
		OwnerKind:     inventoryapi.OwnerOrder,
		OwnerID:       uuid.UUID{2},
		Number:        1,
		OperationID:   uuid.UUID{3},
		Actor:         "a",
		TTLSeconds:    60,
		Lines:         []inventoryapi.ReserveLine{{LineNo: 1, ProductID: uuid.UUID{4}, Quantity: 5}},
	}
	const before = "2a00dff05a4e60b2c3340c412621750b28bacc7b2ba4972cea32d3b615072374"
	require.Equal(t, before, hex.EncodeToString(requestHash(in)))

	seen := map[string]bool{before: true}
	for _, s := range strategies[1:] {
		in.Strategy = s
		seen[hex.EncodeToString(requestHash(in))] = true
	}
	require.Len(t, seen, len(strategies))

	r, err := NewReserve(in, time.Minute, "")
	require.NoError(t, err)
	withDefault := r.WithDefaultStrategy(inventoryapi.StrategyMostStock)
	require.Equal(t, r.hash, withDefault.hash, "the default is not part of the request")

	in.Strategy = "cheapest"
	_, err = NewReserve(in, time.Minute, "")
	var e *inventoryapi.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "strategy", e.Field)
}

// TestFewestIsExact has stock for which a greedy choice takes three locations although two are enough: each of the two
// has one half of the products, and each of the three has products of both halves.
func TestFewestIsExact(t *testing.T) {
	t.Parallel()
	at := map[string][]int{
		"top": {1, 2, 3, 4, 5, 6, 7}, "bottom": {8, 9, 10, 11, 12, 13, 14},
		"eight": {1, 2, 3, 4, 8, 9, 10, 11}, "four": {5, 6, 12, 13}, "two": {7, 14},
	}
	var items []Item
	for location, products := range at {
		for _, p := range products {
			items = append(items, Item{
				ID:        int64(len(items) + 1),
				ProductID: uuid.UUID{byte(p)},
				Location:  location,
				Priority:  1,
				Quantity:  1,
			})
		}
	}

	var lines []inventoryapi.ReserveLine
	for p := range 14 {
		lines = append(lines, inventoryapi.ReserveLine{LineNo: p + 1, ProductID: uuid.UUID{byte(p + 1)}, Quantity: 1})
	}

	picks, err := NewBook(time.Time{}, items, nil, nil).allocate(lines, inventoryapi.StrategyFewestLocations, "")
	require.NoError(t, err)
	require.Equal(t, 2, distinct(picks))
}

// TestGreedyDropsWhatIsNotNeeded: the location that gave most at first is not needed in the end.
func TestGreedyDropsWhatIsNotNeeded(t *testing.T) {
	t.Parallel()
	sites := []site{
		{code: "both", gives: []int64{4, 4}},
		{code: "one", gives: []int64{6, 0}},
		{code: "other", gives: []int64{0, 6}},
	}
	require.Equal(t, []int{1, 2}, greedy(sites, []int64{6, 6}))
}
