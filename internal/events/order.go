package events

import (
	"time"

	"github.com/google/uuid"

	"holdfast/internal/money"
)

// OrderPrefix begins the type of every event about an order.
const OrderPrefix = "order."

// The types of the events about an order. Its aggregate is the order, and the aggregate's version is the number (seq)
// of the entry in the order's timeline.
const (
	TypeOrderCreated   = OrderPrefix + "created"
	TypeOrderReserved  = OrderPrefix + "reserved"
	TypeOrderRejected  = OrderPrefix + "rejected"
	TypeOrderPaid      = OrderPrefix + "paid"
	TypeOrderConfirmed = OrderPrefix + "confirmed"
	TypeOrderExpired   = OrderPrefix + "expired"
	TypeOrderCancelled = OrderPrefix + "cancelled"
	TypeOrderFailed    = OrderPrefix + "failed"
	TypeOrderRefunded  = OrderPrefix + "refunded"
	TypeOrderInReview  = OrderPrefix + "in_review"
	TypeOrderShipped   = OrderPrefix + "shipped"
	TypeOrderCompleted = OrderPrefix + "completed"

	TypeOrderLinesChanged = OrderPrefix + "lines_changed"
	TypeOrderBackordered  = OrderPrefix + "backordered"
)

// The database adds the OrderNumber of each event, because only it gives numbers.

// OrderCreated is the data of order.created.
type OrderCreated struct {
	OrderID     uuid.UUID    `json:"orderId"`
	OrderNumber string       `json:"orderNumber,omitempty" jsonschema:"by which people call the order"`
	State       string       `json:"state"`
	Lines       []OrderLine  `json:"lines"`
	Total       money.Amount `json:"total"`
}

// OrderReserved is the data of order.reserved.
type OrderReserved struct {
	OrderID       uuid.UUID    `json:"orderId"`
	OrderNumber   string       `json:"orderNumber,omitempty" jsonschema:"by which people call the order"`
	State         string       `json:"state"`
	ReservationID uuid.UUID    `json:"reservationId"`
	ExpiresAt     *time.Time   `json:"expiresAt,omitempty" jsonschema:"when the stock is given back"`
	Lines         []OrderLine  `json:"lines"`
	Total         money.Amount `json:"total"`
}

// OrderLinesChanged is the data of order.lines_changed: the order as it is now.
type OrderLinesChanged struct {
	OrderID       uuid.UUID    `json:"orderId"`
	OrderNumber   string       `json:"orderNumber,omitempty" jsonschema:"by which people call the order"`
	State         string       `json:"state"`
	ReservationID uuid.UUID    `json:"reservationId" jsonschema:"of the new lines"`
	ExpiresAt     *time.Time   `json:"expiresAt,omitempty" jsonschema:"when the stock is given back"`
	Lines         []OrderLine  `json:"lines"`
	Total         money.Amount `json:"total"`
}

// OrderLine is one line of an order. It has no name and no price of the product, which the catalogue knows.
type OrderLine struct {
	ProductID uuid.UUID `json:"productId"`
	SKU       string    `json:"sku"`
	Quantity  int64     `json:"quantity"`
}

// OrderRejected is the data of order.rejected: inventory refused the reservation.
type OrderRejected struct {
	OrderID     uuid.UUID   `json:"orderId"`
	OrderNumber string      `json:"orderNumber,omitempty" jsonschema:"by which people call the order"`
	State       string      `json:"state"`
	Reason      string      `json:"reason,omitempty" jsonschema:"a code such as out_of_stock"`
	ShortLines  []ShortLine `json:"shortLines,omitempty" jsonschema:"the products that were short"`
}

// ShortLine says how much of a product an order asked for, and how much was available.
type ShortLine struct {
	ProductID uuid.UUID `json:"productId"`
	Requested int64     `json:"requested"`
	Available int64     `json:"available"`
}

// OrderPayment is the data of order.paid and order.refunded.
type OrderPayment struct {
	OrderID     uuid.UUID     `json:"orderId"`
	OrderNumber string        `json:"orderNumber,omitempty" jsonschema:"by which people call the order"`
	State       string        `json:"state"`
	Attempt     int           `json:"attempt" jsonschema:"the number of the payment"`
	Amount      *money.Amount `json:"amount,omitempty" jsonschema:"what was captured or refunded, if it is known"`
}

// OrderShipped is the data of order.shipped.
type OrderShipped struct {
	OrderID        uuid.UUID   `json:"orderId"`
	OrderNumber    string      `json:"orderNumber,omitempty" jsonschema:"by which people call the order"`
	State          string      `json:"state"`
	Shipment       int         `json:"shipment" jsonschema:"the number of the shipment within the order, from 1"`
	Location       string      `json:"location" jsonschema:"where it left"`
	Carrier        string      `json:"carrier,omitempty"`
	TrackingNumber string      `json:"trackingNumber,omitempty"`
	Lines          []OrderLine `json:"lines" jsonschema:"what is in it"`
}

// OrderChanged is the data of the events that say only that the order has another state.
type OrderChanged struct {
	OrderID       uuid.UUID  `json:"orderId"`
	OrderNumber   string     `json:"orderNumber,omitempty" jsonschema:"by which people call the order"`
	State         string     `json:"state"`
	Reason        string     `json:"reason,omitempty" jsonschema:"this system's words; no person's"`
	ReservationID *uuid.UUID `json:"reservationId,omitempty" jsonschema:"absent if none was made"`
}
