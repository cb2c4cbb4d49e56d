package events

import (
	"time"

	"github.com/google/uuid"

	"holdfast/internal/money"
	"holdfast/internal/order"
)

// OrderPrefix begins the type of every event about an order.
const OrderPrefix = "order."

// published says for each event of an order whether other services receive it.
var published = map[order.Event]bool{
	order.EventReserved:  true,
	order.EventRejected:  true,
	order.EventPaid:      true,
	order.EventConfirmed: true,
	order.EventExpired:   true,
	order.EventCancelled: true,
	order.EventFailed:    true,

	order.EventPending:            false,
	order.EventExtended:           false,
	order.EventPaymentStarted:     false,
	order.EventPaymentDeclined:    false,
	order.EventPaymentAbandoned:   false,
	order.EventPaymentVoided:      false,
	order.EventPaymentRefunded:    false,
	order.EventStockReleased:      false,
	order.EventCompensationFailed: false,
	order.EventTakenUp:            false,
}

// Published reports whether other services receive the event of an order.
func Published(e order.Event) bool { return published[e] }

// OrderChanged is the data of every order event. Only the events of the record that creates the order's row have Lines
// and Total.
type OrderChanged struct {
	OrderID       uuid.UUID     `json:"orderId"`
	State         string        `json:"state"`
	Reason        string        `json:"reason,omitempty"`
	ReservationID *uuid.UUID    `json:"reservationId,omitempty"`
	ExpiresAt     *time.Time    `json:"expiresAt,omitempty"`
	Lines         []OrderLine   `json:"lines,omitempty"`
	Total         *money.Amount `json:"total,omitempty"`
}

// OrderLine is one line of an order.
type OrderLine struct {
	ProductID uuid.UUID `json:"productId"`
	SKU       string    `json:"sku"`
	Quantity  int64     `json:"quantity"`
}
