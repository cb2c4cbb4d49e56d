package seed

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

// share returns, for each product of a data set, the reserved quantity and the stock.
func (d dataset) share() map[uuid.UUID][2]int64 {
	out := map[uuid.UUID][2]int64{}
	for _, it := range d.items {
		out[it.ProductID] = [2]int64{0, it.total()}
	}
	for _, h := range d.holds {
		if h.expired {
			continue
		}
		for _, l := range h.lines {
			s := out[l.product]
			out[l.product] = [2]int64{s[0] + l.quantity, s[1]}
		}
	}
	return out
}

// TestDatasets: each data set has its number of products, unique ids, SKUs and keys, and valid reservations.
func TestDatasets(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"dev": 100, "test": 20, "demo": 11} {
		d, err := find(name)
		require.NoError(t, err)
		require.Len(t, d.items, size, name)

		ids, skus, keys := map[uuid.UUID]bool{}, map[string]bool{}, map[string]bool{}
		for _, it := range d.items {
			ids[it.ProductID], skus[it.SKU] = true, true
			require.NotEmpty(t, it.Prices)
			require.Positive(t, it.Prices[0].Minor)
		}
		require.Len(t, ids, size)
		require.Len(t, skus, size)

		for _, h := range d.holds {
			require.False(t, keys[h.key], "%s is there twice", h.key)
			keys[h.key] = true
			in, _, err := h.start()
			require.NoError(t, err)
			require.LessOrEqual(t, len(in.Lines), inventoryapi.MaxLines, h.key)
		}
	}
	_, err := find("prod")
	require.ErrorContains(t, err, "demo, dev, test")
}

func TestDevLevels(t *testing.T) {
	t.Parallel()
	d, levels, spread := dev(), map[string]int{}, 0
	for _, it := range d.items {
		switch q := it.total(); {
		case q < 10:
			levels["low"]++
		case q < 500:
			levels["medium"]++
		default:
			levels["high"]++
		}
		if len(it.stock) > 1 {
			spread++
		}
	}
	require.Equal(t, map[string]int{"low": 20, "medium": 60, "high": 20}, levels)
	require.Positive(t, spread)

	some := 0
	for id, s := range d.share() {
		require.LessOrEqual(t, s[0]*100, s[1]*30, "%s: %v", id, s)
		if s[0] > 0 {
			some++
		}
	}
	require.Greater(t, some, 40)
	require.Zero(t, d.share()[ProductID("BAG-GRA")][0], "the first order's product")
}

func TestTestLevels(t *testing.T) {
	t.Parallel()
	d := test()
	levels := map[int64]int{}
	for _, it := range d.items {
		levels[it.total()]++
	}
	require.Equal(t, map[int64]int{0: 4, 1: 4, 5: 3, 10: 3, 50: 3, 100: 3}, levels)
	require.Empty(t, d.holds)
}

func TestDemoCases(t *testing.T) {
	t.Parallel()
	d := demo()
	quantities, inactive, expired := map[int64]bool{}, 0, 0
	for _, it := range d.items {
		quantities[it.total()] = true
		if it.Inactive {
			inactive++
		}
	}
	for _, q := range []int64{0, 1, 5, 100, 1000, 100_000} {
		require.True(t, quantities[q], "%d", q)
	}
	require.Equal(t, 1, inactive)
	for _, h := range d.holds {
		if h.expired {
			expired++
		}
	}
	require.Equal(t, 1, expired)

	var reserved, total int64
	for id, s := range d.share() {
		reserved, total = reserved+s[0], total+s[1]
		if s[1] > 1 && id != ProductID("DEMO-ALL-RESERVED") {
			require.GreaterOrEqual(t, s[0]*100, s[1]*30, "%s: %v", id, s)
			require.LessOrEqual(t, s[0]*100, s[1]*70, "%s: %v", id, s)
		}
	}
	require.InDelta(t, 50, 100*reserved/total, 20, "of the whole stock")

	full := d.share()[ProductID("DEMO-ALL-RESERVED")]
	require.Equal(t, full[1], full[0], "every unit is reserved")
	ending := map[int]bool{}
	for _, h := range d.holds {
		if h.ttl > 0 {
			require.LessOrEqual(t, h.ttl, 3600)
			require.GreaterOrEqual(t, h.ttl, 60)
			ending[h.ttl] = true
		}
	}
	require.Len(t, ending, 15, "reservations that end within the hour, each at another moment")
}
