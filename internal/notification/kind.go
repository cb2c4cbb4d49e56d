package notification

import (
	"slices"

	"holdfast/internal/events"
)

// Kind is what a customer is told. It names the message's template, and is part of the notification's id.
type Kind string

// The kinds of notifications.
const (
	Confirmed   Kind = "confirmed"
	Shipped     Kind = "shipped"
	Completed   Kind = "completed"
	Cancelled   Kind = "cancelled"
	Expired     Kind = "expired"
	Refunded    Kind = "refunded"
	Failed      Kind = "failed"
	Rejected    Kind = "rejected" // after the order was accepted; see Handler
	Backordered Kind = "backordered"
	InReview    Kind = "in_review"
)

// kinds says of which events the customer is told. The events that no order has yet are in it too, so that the process
// which is rolled out before their publisher tells of the first one.
var kinds = map[string]Kind{
	events.TypeOrderConfirmed:        Confirmed,
	events.OrderPrefix + "shipped":   Shipped,
	events.OrderPrefix + "completed": Completed,
	events.TypeOrderCancelled:        Cancelled,
	events.TypeOrderExpired:          Expired,
	events.TypeOrderRefunded:         Refunded,
	events.TypeOrderFailed:           Failed,
	events.TypeOrderRejected:         Rejected,
	events.TypeOrderBackordered:      Backordered,
	events.OrderPrefix + "in_review": InReview,
}

// Types lists the events of which customers are told.
func Types() []string {
	out := make([]string, 0, len(kinds))
	for eventType := range kinds {
		out = append(out, eventType)
	}
	slices.Sort(out)
	return out
}

// Kinds lists all kinds.
func Kinds() []Kind {
	return []Kind{
		Confirmed,
		Shipped,
		Completed,
		Cancelled,
		Expired,
		Refunded,
		Failed,
		Rejected,
		Backordered,
		InReview,
	}
}
