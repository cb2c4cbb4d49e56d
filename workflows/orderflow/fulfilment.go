package orderflow

import (
	"slices"

	"github.com/google/uuid"

	"holdfast/internal/order"
)

// ShipmentStatus is the status of a shipment.
type ShipmentStatus string

// The statuses of a shipment. The orders database knows no other.
const (
	ShipmentPlanned   ShipmentStatus = "planned" // on the pick list of its location
	ShipmentPacked    ShipmentStatus = "packed"
	ShipmentShipped   ShipmentStatus = "shipped" // the carrier has it
	ShipmentDelivered ShipmentStatus = "delivered"
	ShipmentCancelled ShipmentStatus = "cancelled" // nothing is left in it
	ShipmentLost      ShipmentStatus = "lost"      // the carrier has lost it
)

// ShipmentStatuses lists all statuses.
func ShipmentStatuses() []ShipmentStatus {
	return []ShipmentStatus{
		ShipmentPlanned,
		ShipmentPacked,
		ShipmentShipped,
		ShipmentDelivered,
		ShipmentCancelled,
		ShipmentLost,
	}
}

// AtLocation reports whether the shipment is still at its location, so that its contents can change.
func (s ShipmentStatus) AtLocation() bool { return s == ShipmentPlanned || s == ShipmentPacked }

// Open reports whether something is still to happen to the shipment.
func (s ShipmentStatus) Open() bool { return s.AtLocation() || s == ShipmentShipped }

// Shipment is the part of a paid order that leaves one location together.
type Shipment struct {
	Number         int            `json:"number"` // from 1 within the order
	Location       string         `json:"location"`
	Status         ShipmentStatus `json:"status"`
	Carrier        string         `json:"carrier,omitempty"`
	TrackingNumber string         `json:"tracking_number,omitempty"`
	Lines          []ShipmentLine `json:"lines"`
}

// ShipmentLine is what a shipment has of one line of the order, from one reservation. A line that was short at one
// location comes from a second reservation in another shipment.
type ShipmentLine struct {
	LineNo      int   `json:"line_no"`     // of the order
	Reservation int   `json:"reservation"` // the number of the reservation that took the stock
	Quantity    int64 `json:"quantity"`    // what is in the shipment now
	Cancelled   int64 `json:"cancelled,omitempty"`
	Short       int64 `json:"short,omitempty"` // units that were missing or damaged
	// Restocked is how many units of a delivered shipment have come back and went back on the shelf.
	Restocked int64 `json:"restocked,omitempty"`
	// Rerouting is how many of the units that were short or lost another shipment is to bring, as long as that is not
	// decided.
	Rerouting int64 `json:"rerouting,omitempty"`
}

// Fulfilment is a paid order's side of the warehouse. What the order owes the customer follows from it: the price of
// the units that no shipment brings, and what is refunded for the units that came back.
type Fulfilment struct {
	Shipments []Shipment `json:"shipments"`
	Returns   []Return   `json:"returns,omitempty"`
	Hold      *Hold      `json:"hold,omitempty"` // nil while the fulfilment is not held
}

// Clone returns a deep copy, because a record must not change while it waits to be written.
func (f *Fulfilment) Clone() *Fulfilment {
	if f == nil {
		return nil
	}
	out := *f
	out.Shipments = slices.Clone(f.Shipments)
	for i := range out.Shipments {
		out.Shipments[i].Lines = slices.Clone(out.Shipments[i].Lines)
	}
	out.Returns = cloneReturns(out.Returns)
	return &out
}

// Hold is why an operator has stopped the fulfilment of an order.
type Hold struct {
	Reason HoldReason `json:"reason"`
	Note   string     `json:"note,omitempty"` // an operator's words
}

// HoldReason is the kind of a hold.
type HoldReason string

// The reasons for a hold.
const (
	HoldAddress  HoldReason = "address"
	HoldFraud    HoldReason = "fraud"
	HoldStock    HoldReason = "stock"
	HoldCustomer HoldReason = "customer"
)

// HoldReasons lists all reasons.
func HoldReasons() []HoldReason { return []HoldReason{HoldAddress, HoldFraud, HoldStock, HoldCustomer} }

// LineQuantity is a number of units of one line of an order.
type LineQuantity struct {
	LineNo   int   `json:"line_no"`
	Quantity int64 `json:"quantity"`
}

// ShipmentInput names a shipment and what happened to it. Each update reads the fields that concern it.
type ShipmentInput struct {
	Shipment int `json:"shipment"` // its number
	// Lines are, for UpdateShip, what leaves now; the rest stays in a new shipment. Empty: everything. For
	// UpdateShortPick they are the units that are missing or damaged.
	Lines          []LineQuantity `json:"lines,omitempty"`
	Carrier        string         `json:"carrier,omitempty"`
	TrackingNumber string         `json:"tracking_number,omitempty"`
	Cause          ShortCause     `json:"cause,omitempty"`   // of UpdateShortPick
	Remedy         LossRemedy     `json:"remedy,omitempty"`  // of UpdateLose
	Key            string         `json:"key,omitempty"`     // the request's Idempotency-Key, of UpdateShortPick
	Request        string         `json:"request,omitempty"` // tells requests with the same key apart
	Actor          string         `json:"actor"`
	CorrelationID  string         `json:"correlation_id,omitempty"`
}

// ShortCause is why units could not be picked.
type ShortCause string

// The causes of a short pick.
const (
	CauseMissing ShortCause = "missing" // the shelf is empty, so what inventory counts there as available is wrong
	CauseDamaged ShortCause = "damaged" // the units are there and cannot be sold; the others can
)

// LossRemedy is what the customer gets for a lost shipment.
type LossRemedy string

// The remedies for a lost shipment.
const (
	RemedyReship LossRemedy = "reship" // the same units again; their price, if there are none
	RemedyRefund LossRemedy = "refund"
)

// HoldInput asks to stop the fulfilment of an order.
type HoldInput struct {
	Hold          Hold   `json:"hold"`
	Actor         string `json:"actor"`
	CorrelationID string `json:"correlation_id,omitempty"`
}

// UnholdInput asks to let the fulfilment go on.
type UnholdInput struct {
	Actor         string `json:"actor"`
	CorrelationID string `json:"correlation_id,omitempty"`
}

// CancelLinesInput asks to cancel units of a paid order that have not left yet.
type CancelLinesInput struct {
	Lines         []LineQuantity `json:"lines"`
	Reason        string         `json:"reason,omitempty"`
	Key           string         `json:"key,omitempty"`     // the request's Idempotency-Key
	Request       string         `json:"request,omitempty"` // tells requests with the same key apart
	Actor         string         `json:"actor"`
	CorrelationID string         `json:"correlation_id,omitempty"`
}

// CancelPreview is what a cancellation would do.
type CancelPreview struct {
	Status      order.State    `json:"status"` // that the order would have
	RefundMinor int64          `json:"refund_minor"`
	Lines       []LineQuantity `json:"lines"` // whose stock would go back
	// Refusal and Detail say why the cancellation would be refused; empty if it would not.
	Refusal string `json:"refusal,omitempty"`
	Detail  string `json:"detail,omitempty"`
}

// FulfilmentResult answers an update of a paid order.
type FulfilmentResult struct {
	View    View   `json:"view"`
	Request string `json:"request,omitempty"` // of the input: a repeat under the same key gets the first request's
}

// ReturnUnitsInput asks inventory to have taken back confirmed units of a reservation, up to a number for each line.
type ReturnUnitsInput struct {
	Reservation   ReservationRef `json:"reservation"`
	Lines         []ReturnUpTo   `json:"lines"`
	Actor         string         `json:"actor"`
	Reason        string         `json:"reason,omitempty"`
	CorrelationID string         `json:"correlation_id,omitempty"`
}

// ReturnUpTo is how many units of one line of a reservation inventory must have back in all.
type ReturnUpTo struct {
	LineNo   int    `json:"line_no"`
	Location string `json:"location"`
	UpTo     int64  `json:"up_to"`
}

// WriteOffInput asks inventory to count nothing of a product as available at a location, because its shelf is empty.
type WriteOffInput struct {
	OrderID       uuid.UUID `json:"order_id"`
	Shipment      int       `json:"shipment"`
	LineNo        int       `json:"line_no"`
	Short         int64     `json:"short"` // of the line in the shipment: with the fields above it names this write-off
	ProductID     uuid.UUID `json:"product_id"`
	Location      string    `json:"location"`
	Actor         string    `json:"actor"`
	CorrelationID string    `json:"correlation_id,omitempty"`
}

// WriteOffResult says how many units inventory no longer counts.
type WriteOffResult struct {
	Quantity int64 `json:"quantity"`
}

// ReservedLine is what a reservation has of one line at one location.
type ReservedLine struct {
	LineNo   int    `json:"line_no"`
	Location string `json:"location"`
	Quantity int64  `json:"quantity"`
}
