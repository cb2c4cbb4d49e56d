package orderflow_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/money"
	"holdfast/workflows/orderflow"
)

func euro(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "EUR"} }

func TestSummary(t *testing.T) {
	t.Parallel()
	in := orderflow.OrderInput{
		Number:     "HF-104233",
		CustomerID: "alice",
		Total:      euro(20890),
		Lines:      []orderflow.Line{{SKU: "BAG-GRA", Quantity: 2}, {SKU: "MUG-RED", Quantity: 1}},
	}
	require.Equal(t, "HF-104233: 2 × BAG-GRA and 1 more, 208.90 EUR, alice", in.Summary())
	in.Lines = in.Lines[:1]
	in.Number = "" // of an older version
	require.Equal(t, "2 × BAG-GRA, 208.90 EUR, alice", in.Summary())

	in.CustomerID = strings.Repeat("ü", 300)
	in.Lines[0].SKU = strings.Repeat("X", 300)
	require.LessOrEqual(t, len(in.Summary()), 200)
	require.True(t, utf8.ValidString(in.Summary()))

	product := uuid.New()
	held := orderflow.ReservationStart{Actor: "alice", Lines: []orderflow.ReserveLine{{ProductID: product, Quantity: 3}}}
	require.Equal(t, "Reservation: 3 × "+product.String()+", alice", held.Summary())
	held.Lines[0].SKU = "BAG-GRA"
	require.Equal(t, "Reservation: 3 × BAG-GRA, alice", held.Summary())
}

// TestDetailsAreOnlyText: what a customer or the catalogue wrote is shown as it is, and makes no row, link or HTML.
func TestDetailsAreOnlyText(t *testing.T) {
	t.Parallel()
	in := orderflow.OrderInput{
		Number:     "HF-104233",
		CustomerID: "a|b`c\nd",
		Email:      "ada@example.org",
		Total:      euro(100),
		PlacedAt:   time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Lines: []orderflow.Line{{
			SKU: "A", Name: "<script>x</script> | [x](http://x) *b*", Quantity: 1, Total: euro(100),
		}},
	}
	require.Equal(t, "| Number | `HF-104233` |\n|---|---|\n| Customer | `a\\|b'c d` |\n| Amount | 1.00 EUR |\n"+
		"| Placed | 2026-01-02 03:04:05 UTC |\n\n| Product | | Quantity | Amount |\n|---|---|---:|---:|\n"+
		"| `A` | &lt;script&gt;x&lt;/script&gt; \\| \\[x\\](http://x) \\*b\\* | 1 | 1.00 EUR |\n", in.Details())
}
