package orderstore

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"holdfast/db/ordersdb"
	"holdfast/internal/address"
	"holdfast/internal/money"
	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// Order is an order as recorded, with its lines and payments.
type Order struct {
	OrderID       uuid.UUID
	Number        string // by which people call it, as in HF-104233
	Seq           int64  // of the last recorded transition
	State         order.State
	Reason        string                // for people
	RefusalCode   string                // of a rejected order: why, for programs
	Short         []orderflow.ShortLine // of an order rejected as out_of_stock: requested and available, by short line
	RequestHash   string                // SHA-256 of the request that created the order, hex
	CustomerID    string
	Issuer        string       // of the customer's token
	Total         money.Amount // what the customer pays
	Shipping      money.Amount // a part of Total; no amount if it is 0
	ReservationID *uuid.UUID
	// ReservationNumber is the number of the reservation among the order's, above 1 once the lines were changed.
	ReservationNumber int
	ExpiresAt         *time.Time
	PaymentAttempts   int
	ShipTo            *address.Address
	Email             string
	Metadata          map[string]string
	WorkflowID        string
	RunID             string // of the run of the workflow that wrote the row
	CorrelationID     string // of the request that created the order
	TTLSeconds        int    // how long the customer wants the stock to be held; 0 leaves it to inventory
	WaitSeconds       int    // how long it waits for stock if there is too little
	Review            *orderflow.Review
	CreatedAt         time.Time
	UpdatedAt         time.Time
	Lines             []Line
	Payments          []Payment
	Shipments         []Shipment      // of a paid order, by number
	Returns           []Return        // of a paid order, by number
	Hold              *orderflow.Hold // nil while the fulfilment is not held
	ActionURL         string          // where the customer confirms the payment under way
}

// Shipment is a shipment of a paid order, with its times.
type Shipment struct {
	orderflow.Shipment
	PromisedOn time.Time // the day on which it is promised to arrive, at 0:00 UTC; zero: none is promised
	PlannedAt  time.Time
	UpdatedAt  time.Time // when its status last changed
}

// PromisedOn returns the day by which every shipment that brings something is promised to arrive, at 0:00 UTC. It is
// the zero time if one of them has no promised day.
func (o Order) PromisedOn() time.Time {
	var latest time.Time
	for _, s := range o.Shipments {
		switch {
		case s.Status == orderflow.ShipmentCancelled || s.Status == orderflow.ShipmentLost:
		case s.PromisedOn.IsZero():
			return time.Time{}
		case s.PromisedOn.After(latest):
			latest = s.PromisedOn
		}
	}
	return latest
}

// Waits reports whether the order waits for its workflow, which has recorded nothing yet.
func (o Order) Waits() bool { return o.State == order.Pending && o.RunID == "" }

// Overdue reports whether the order waits for a payment and its deadline has passed at the given time. Nobody can pay
// it any more: its workflow will expire it, and inventory gives its stock to others already.
func (o Order) Overdue(now time.Time) bool {
	return o.State == order.Reserved && o.ExpiresAt != nil && !o.ExpiresAt.After(now)
}

// Line is one line of an order: a snapshot of the catalogue at the time of ordering.
type Line struct {
	LineNo    int
	ProductID uuid.UUID
	SKU       string
	Name      string
	Quantity  int64
	UnitPrice money.Amount
	Discount  money.Amount // of all units together, as Tax is; neither has an amount if it is 0
	Tax       money.Amount
	Total     money.Amount // the price of all units, less the discount, and the tax
}

// Payment is the outcome of one step of a payment.
type Payment struct {
	Step        orderflow.PaymentStep
	Attempt     int
	Number      int // of a refund that gives back a part, from 1
	Provider    string
	ProviderRef string
	Amount      money.Amount
	State       orderflow.PaymentState
	Reason      string
	At          time.Time
	Repair      uuid.UUID // by which an operator says that the step was done by hand; the nil id if none
}

// TimelineEntry is one event of an order.
type TimelineEntry struct {
	Seq          int64
	Event        order.Event
	From         order.State // before the event; empty for the first event
	State        order.State // after the event
	At           time.Time
	Actor        string
	Reason       string
	Attempt      int
	Shipment     int // the number of the shipment that the event concerns; 0: none
	NextDeadline *time.Time
}

// orderOf decodes a row. A column that it cannot decode is an error: an order without its address would look complete.
func orderOf(r ordersdb.Order) (Order, error) {
	o := Order{
		OrderID:           r.OrderID,
		Number:            r.Number,
		Seq:               r.Seq,
		State:             order.State(r.State),
		Reason:            r.Reason,
		RefusalCode:       r.RefusalCode,
		RequestHash:       hex.EncodeToString(r.RequestHash),
		CustomerID:        r.CustomerID,
		Issuer:            r.Issuer,
		Total:             money.Amount{Minor: r.TotalMinor, Currency: r.Currency},
		Shipping:          amountOrNone(r.ShippingMinor, r.Currency),
		ReservationID:     r.ReservationID,
		ReservationNumber: int(r.ReservationNumber),
		ExpiresAt:         r.ExpiresAt,
		PaymentAttempts:   int(r.PaymentAttempts),
		Email:             r.Email,
		WorkflowID:        r.WorkflowID,
		RunID:             r.RunID,
		CorrelationID:     r.CorrelationID,
		TTLSeconds:        int(r.TtlSeconds),
		WaitSeconds:       int(r.WaitSeconds),
		ActionURL:         r.ActionUrl,
		Hold:              holdOf(r.HoldReason, r.HoldNote),
		CreatedAt:         r.CreatedAt,
		UpdatedAt:         r.UpdatedAt,
	}
	for _, column := range []struct {
		name string
		raw  []byte
		to   any
	}{
		{"refusal", r.Refusal, &o.Short},
		{"ship_to", r.ShipTo, &o.ShipTo},
		{"metadata", r.Metadata, &o.Metadata},
		{"review", r.Review, &o.Review},
	} {
		if column.raw == nil {
			continue
		}
		if err := json.Unmarshal(column.raw, column.to); err != nil {
			return Order{}, fmt.Errorf("%w: decode %s of order %s: %w", ErrUnreadable, column.name, r.OrderID, err)
		}
	}
	return o, nil
}

func lineOf(r ordersdb.OrderLine) Line {
	return Line{
		LineNo:    int(r.LineNo),
		ProductID: r.ProductID,
		SKU:       r.Sku,
		Name:      r.Name,
		Quantity:  r.Quantity,
		UnitPrice: money.Amount{Minor: r.UnitPriceMinor, Currency: r.Currency},
		Discount:  amountOrNone(r.DiscountMinor, r.Currency),
		Tax:       amountOrNone(r.TaxMinor, r.Currency),
		Total:     money.Amount{Minor: r.LineTotalMinor, Currency: r.Currency},
	}
}

// amountOrNone returns the amount, or no amount if it is 0.
func amountOrNone(minor int64, currency string) money.Amount {
	if minor == 0 {
		return money.Amount{}
	}
	return money.Amount{Minor: minor, Currency: currency}
}

func paymentOf(r ordersdb.Payment) Payment {
	out := Payment{
		Step:        orderflow.PaymentStep(r.Step),
		Attempt:     int(r.Attempt),
		Number:      int(r.Number),
		Provider:    r.Provider,
		ProviderRef: r.ProviderRef,
		Amount:      money.Amount{Minor: r.AmountMinor, Currency: r.Currency},
		State:       orderflow.PaymentState(r.State),
		Reason:      r.Reason,
		At:          r.CreatedAt,
	}
	if r.RepairID != nil {
		out.Repair = *r.RepairID
	}
	return out
}

func entryOf(r ordersdb.OrderTimeline) TimelineEntry {
	return TimelineEntry{
		Seq:          r.Seq,
		Event:        order.Event(r.Event),
		From:         order.State(r.FromState),
		State:        order.State(r.State),
		At:           r.At,
		Actor:        r.Actor,
		Reason:       r.Reason,
		Attempt:      int(r.Attempt),
		Shipment:     int(r.Shipment),
		NextDeadline: r.NextDeadline,
	}
}
