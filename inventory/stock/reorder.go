package stock

import (
	"math"
	"time"
)

const (
	// SalesWindow is how far back sales count for a reorder proposal. It is also how long the suggested quantity should
	// last at the rate of these sales.
	SalesWindow = 14 * 24 * time.Hour
	// SalesSample is the largest number of an item's latest ledger entries that count.
	SalesSample = 1000
	// minSalesSpan keeps the sales of a rush from being taken for the sales of every day.
	minSalesSpan = 24 * time.Hour
)

// CheckDismissal refuses an actor and a reason that cannot be recorded with a dismissed proposal. A reason is required.
func CheckDismissal(actor, reason string) error {
	if reason == "" {
		return required("reason")
	}
	return checkAuthor(actor, reason)
}

// Sales is what was sold of an item lately.
type Sales struct {
	Sold    int64         // units confirmed, less those that came back
	Entries int64         // ledger entries that were read, at most SalesSample
	Span    time.Duration // from the oldest of them until now
}

// SuggestReorder returns how many units of an item to order: as many as fill it up to what SalesWindow would sell at
// the latest rate, and at least up to twice its threshold. It returns at least 1. Ordered stock that has not arrived
// and orders that wait for stock are not known here; the operator counts them.
func SuggestReorder(available, threshold int64, sales Sales) int64 {
	span := SalesWindow
	if sales.Entries >= SalesSample { // the entries reach less far back than the window
		span = min(span, max(sales.Span, minSalesSpan))
	}
	expected := int64(0)
	if sales.Sold > 0 {
		rate := float64(sales.Sold) / float64(span)
		expected = int64(math.Ceil(min(rate*float64(SalesWindow), MaxStock)))
	}
	target := max(expected, min(threshold, MaxStock/2)*2)
	return max(1, min(target, MaxStock)-available)
}
