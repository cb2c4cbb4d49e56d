package stock

import (
	"cmp"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// exactLocations is the largest number of locations for which fewestLocations tries all sets of them, at most 4,096,
// while the items are locked. For more locations, a greedy choice is good enough.
const exactLocations = 12

// site is a location with the quantity that it can give to a reservation, per product, in the order of demands.
type site struct {
	code     string
	priority int
	gives    []int64
}

// fewestLocations chooses the fewest locations that together fill the demands. The returned function reports whether an
// item is at a chosen location. The caller has checked that the stock of all locations fills the demands. Of two sets
// of the same size, it prefers the locations that come first by priority, then by code, so that the same stock gives
// the same choice.
func (b *Book) fewestLocations(want demands) func(*Item) bool {
	need := make([]int64, len(want.products))
	for i, p := range want.products {
		need[i] = want.quantity[p]
	}

	sites := b.sites(want.products)
	var chosen []int
	if len(sites) <= exactLocations {
		for k := 1; chosen == nil; k++ {
			chosen = smallest(sites, need, nil, 0, k)
		}
	} else {
		chosen = greedy(sites, need)
	}

	codes := make(map[string]bool, len(chosen))
	for _, i := range chosen {
		codes[sites[i].code] = true
	}
	return func(it *Item) bool { return codes[it.Location] }
}

// sites returns the locations at which any of the products is available, by priority.
func (b *Book) sites(products []uuid.UUID) []site {
	byCode := map[string]*site{}
	for i, p := range products {
		for _, it := range b.itemsByProduct[p] {
			if it.Available() <= 0 {
				continue
			}
			s := byCode[it.Location]
			if s == nil {
				s = &site{code: it.Location, priority: it.Priority, gives: make([]int64, len(products))}
				byCode[it.Location] = s
			}
			s.gives[i] += it.Available()
		}
	}

	out := make([]site, 0, len(byCode))
	for _, s := range byCode {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(x, y site) int {
		return cmp.Or(cmp.Compare(x.priority, y.priority), strings.Compare(x.code, y.code))
	})
	return out
}

// smallest adds k sites, from index from on, to the chosen sites. It returns the first set, in order, that fills the
// need, or nil if no such set does.
func smallest(sites []site, need []int64, chosen []int, from, k int) []int {
	if k == 0 {
		if fills(sites, need, chosen) {
			return slices.Clone(chosen)
		}
		return nil
	}
	for i := from; i+k <= len(sites); i++ {
		if found := smallest(sites, need, append(chosen, i), i+1, k-1); found != nil {
			return found
		}
	}
	return nil
}

func fills(sites []site, need []int64, chosen []int) bool {
	for p, rest := range need {
		for _, i := range chosen {
			rest -= sites[i].gives[p]
		}
		if rest > 0 {
			return false
		}
	}
	return true
}

// greedy adds the site that gives most of the remaining need, until the need is filled. Then it drops the sites without
// which the others still fill the need, beginning with the last by priority.
func greedy(sites []site, need []int64) []int {
	rest := slices.Clone(need)
	var chosen []int
	for !fills(sites, need, chosen) {
		best, most := 0, int64(0)
		for i, s := range sites {
			var n int64
			for p, r := range rest {
				n += min(max(r, 0), s.gives[p])
			}
			if n > most && !slices.Contains(chosen, i) {
				best, most = i, n
			}
		}
		chosen = append(chosen, best)
		for p := range rest {
			rest[p] -= sites[best].gives[p]
		}
	}

	slices.Sort(chosen)
	for i := len(chosen) - 1; i >= 0; i-- {
		if fewer := slices.Delete(slices.Clone(chosen), i, i+1); fills(sites, need, fewer) {
			chosen = fewer
		}
	}
	return chosen
}
