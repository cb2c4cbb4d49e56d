package events

import (
	"time"

	"github.com/google/uuid"

	"holdfast/internal/money"
)

// OrderPrefix begins the type of every event about an order.
const OrderPrefix = "order."

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
