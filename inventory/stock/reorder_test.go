package stock_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/inventory/stock"
)

// TestSuggestReorder: the suggestion covers the sales of two weeks, and at least twice the threshold.
func TestSuggestReorder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                 string
		available, threshold int64
		sales                stock.Sales
		want                 int64
	}{
		{"nothing sold, nothing to keep", 0, 0, stock.Sales{}, 1},
		{"nothing sold", 4, 10, stock.Sales{}, 16},
		{"few sales", 0, 10, stock.Sales{Sold: 5, Entries: 9}, 20},
		{"many sales", 3, 10, stock.Sales{Sold: 50, Entries: 120}, 47},
		{"more came back than was sold", 0, 10, stock.Sales{Sold: -5, Entries: 5}, 20},
		{"more is there than is needed", 100, 10, stock.Sales{Sold: 5, Entries: 9}, 1},
		{
			name:  "the entries reach two days back",
			sales: stock.Sales{Sold: 500, Entries: stock.SalesSample, Span: 48 * time.Hour},
			want:  3500,
		},
		{
			name:  "a rush counts as the sales of one day",
			sales: stock.Sales{Sold: 500, Entries: stock.SalesSample, Span: time.Second},
			want:  7000,
		},
		{
			name:      "numbers at their bounds",
			threshold: 1<<63 - 1,
			sales:     stock.Sales{Sold: 1<<63 - 1, Entries: stock.SalesSample},
			want:      stock.MaxStock,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, stock.SuggestReorder(c.available, c.threshold, c.sales))
		})
	}
}
