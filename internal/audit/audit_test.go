package audit

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestConfirmed: only what both looks saw of the same subject counts, in the order of the kinds, as it was seen last.
func TestConfirmed(t *testing.T) {
	t.Parallel()
	first := []Violation{
		{Kind: OrderNotRunning, Subject: "b", Detail: "it is reserved"},
		{Kind: LedgerMismatch, Subject: "2", Detail: "quantity 5"},
		{Kind: StockTaken, Subject: "gone", Detail: "on its way"},
		{Kind: StockTaken, Subject: "other", Detail: "on its way"},
	}
	second := []Violation{
		{Kind: OrderNotRunning, Subject: "b", Detail: "it is reserved"},
		{Kind: AmountKept, Subject: "other", Detail: "new"},
		{Kind: LedgerMismatch, Subject: "2", Detail: "quantity 4"},
	}
	require.Equal(t, []Violation{
		{Kind: LedgerMismatch, Subject: "2", Detail: "quantity 4"},
		{Kind: OrderNotRunning, Subject: "b", Detail: "it is reserved"},
	}, confirmed(first, second))
}

// TestEachKindHasARemedy: no violation is printed without what to do about it.
func TestEachKindHasARemedy(t *testing.T) {
	t.Parallel()
	require.Len(t, remedies, len(Kinds()))
	for _, kind := range Kinds() {
		remedy := Violation{Kind: kind, Subject: "0199"}.Remedy()
		require.NotEmpty(t, remedy, kind)
		require.NotContains(t, remedy, "{", kind)
	}
}
