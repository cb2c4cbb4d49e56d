package events

import (
	"time"

	"github.com/google/uuid"

	"holdfast/internal/money"
)

// OrderPrefix begins the type of every event about an order.
const OrderPrefix = "order."

// publishedOrderEvents are the entries of an order's timeline that are published, by name.
var publishedOrderEvents = map[string]bool{
	"reserved": true, "rejected": true, "paid": true, "confirmed": true, "expired": true, "cancelled": true, "failed": true,
}

// PublishedOrderEvent reports whether a timeline entry of this name is published.
func PublishedOrderEvent(name string) bool { return publishedOrderEvents[name] }

// OrderChanged is the data of every order event. Lines and total are there on the first one.
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
