package orderflow

import (
	"errors"
	"time"

	"github.com/google/uuid"

	"holdfast/internal/money"
	"holdfast/internal/order"
)

// RecordInput brings an order's row up to Seq, with every timeline entry and payment since the last
// record. It is idempotent: what is already there is left as it is, and an older Seq changes nothing.
type RecordInput struct {
	Order      *OrderInput     `json:"order,omitempty"` // until the first record has succeeded
	View       View            `json:"view"`
	Entries    []TimelineEntry `json:"entries"`
	Payments   []PaymentRecord `json:"payments,omitempty"`
	WorkflowID string          `json:"workflow_id"`
	RunID      string          `json:"run_id"`
	// After is the seq of a row that an earlier run of the workflow left and that this run has taken over: the
	// record is written only onto that row. 0 means that the row is this run's own, or that there is none yet.
	After int64 `json:"after,omitempty"`
	// ShipCountry is the country of the order's address, of a paid order.
	ShipCountry string `json:"ship_country,omitempty"`
	// Contents replace the lines, the total and the reservation's number in the row; nil if they stay.
	Contents *Contents `json:"contents,omitempty"`

	CorrelationID string `json:"correlation_id,omitempty"`
}

// Errors of a recorder. A retry does not change them.
var (
	// ErrNoRow says that an order is not recorded.
	ErrNoRow = errors.New("the order is not recorded")
	// ErrRowTaken says that the order's row was made by another request.
	ErrRowTaken = errors.New("the order id belongs to another request")
	// ErrOrderClosed says that an order has ended, so that no payment may begin.
	ErrOrderClosed = errors.New("the order has ended")
	// ErrUnrecordable says that the orders database refuses the record, on every attempt.
	ErrUnrecordable = errors.New("the orders database refuses the record for good")
)

// RecordResult says up to where the order is recorded.
type RecordResult struct {
	Seq int64 `json:"seq"`
	// Earlier is set if the recorder wrote nothing, because an earlier run of the order's workflow has written the
	// row and this run does not know how far.
	Earlier *RecordedOrder `json:"earlier,omitempty"`
	// Begun are the payments of a settled order that have begun and whose outcome is not recorded: a lost execution of
	// the workflow may have made them.
	Begun []int `json:"begun,omitempty"`
}

// RecordedOrder is an order as a run of its workflow has recorded it.
type RecordedOrder struct {
	RunID           string      `json:"run_id"`
	Seq             int64       `json:"seq"`
	State           order.State `json:"state"`
	Reason          string      `json:"reason,omitempty"`
	ReservationID   *uuid.UUID  `json:"reservation_id,omitempty"`
	ExpiresAt       *time.Time  `json:"expires_at,omitempty"`
	PaymentAttempts int         `json:"payment_attempts"`
	Declines        int         `json:"declines"`
	// Contents are those of an order whose lines were changed; nil if they are those of the order's input.
	Contents *Contents `json:"contents,omitempty"`
	// Of a paid order.
	CapturedAttempt int         `json:"captured_attempt,omitempty"`
	Refunds         int         `json:"refunds,omitempty"`        // how many were made
	RefundedMinor   int64       `json:"refunded_minor,omitempty"` // by them in all
	Fulfilment      *Fulfilment `json:"fulfilment,omitempty"`
	// Unended are the attempts at a payment that were begun and have no recorded end; the rows of older versions do not
	// tell them. ByHand are those that an operator has voided or refunded by hand.
	Unended []int `json:"unended,omitempty"`
	ByHand  []int `json:"by_hand,omitempty"`
}

// FindOrderInput asks how an order is recorded.
type FindOrderInput struct {
	OrderID       uuid.UUID `json:"order_id"`
	RunID         string    `json:"run_id"` // of the workflow that asks
	CorrelationID string    `json:"correlation_id,omitempty"`
}

// FindOrderResult is an order as it is recorded.
type FindOrderResult struct {
	Order *RecordedOrder `json:"order,omitempty"` // nil if there is no row
	Own   bool           `json:"own"`             // the run that asks has written it
}

// TimelineEntry is one thing that happened to an order.
type TimelineEntry struct {
	Seq          int64       `json:"seq"`
	Event        order.Event `json:"event"`
	From         order.State `json:"from"`  // before the event; empty for the first event
	State        order.State `json:"state"` // after the event
	At           time.Time   `json:"at"`
	Actor        string      `json:"actor"`
	Reason       string      `json:"reason,omitempty"`
	Attempt      int         `json:"attempt,omitempty"`
	Shipment     int         `json:"shipment,omitempty"` // the number of the shipment that the event concerns
	NextDeadline *time.Time  `json:"next_deadline,omitempty"`
	// CorrelationID is of the request that caused the entry; empty means the request that created the order.
	CorrelationID string `json:"correlation_id,omitempty"`
}

// PaymentStep is a request to the provider.
type PaymentStep string

// The steps of a payment. The orders database knows no other.
const (
	StepAuthorise PaymentStep = "authorise"
	StepCapture   PaymentStep = "capture"
	StepVoid      PaymentStep = "void"
	StepRefund    PaymentStep = "refund"
)

// PaymentSteps lists all steps.
func PaymentSteps() []PaymentStep {
	return []PaymentStep{StepAuthorise, StepCapture, StepVoid, StepRefund}
}

// PaymentState is how a step ended.
type PaymentState string

// How a step of a payment can end. The orders database knows no other.
const (
	PaymentAuthorised PaymentState = "authorised"
	PaymentDeclined   PaymentState = "declined"
	PaymentCaptured   PaymentState = "captured"
	PaymentVoided     PaymentState = "voided"
	PaymentRefunded   PaymentState = "refunded"
	PaymentFailed     PaymentState = "failed"
)

// PaymentStates lists all states.
func PaymentStates() []PaymentState {
	return []PaymentState{
		PaymentAuthorised,
		PaymentDeclined,
		PaymentCaptured,
		PaymentVoided,
		PaymentRefunded,
		PaymentFailed,
	}
}

// PaymentRecord is the outcome of one step of a payment.
type PaymentRecord struct {
	Step            PaymentStep  `json:"step"`
	Attempt         int          `json:"attempt"`
	Number          int          `json:"number,omitempty"` // of a refund that gives back a part, from 1
	Provider        string       `json:"provider"`
	ProviderRef     string       `json:"provider_ref,omitempty"`
	Amount          money.Amount `json:"amount"`
	State           PaymentState `json:"state"`
	Reason          string       `json:"reason,omitempty"`
	AuthorisedUntil *time.Time   `json:"authorised_until,omitempty"`
	At              time.Time    `json:"at"`
	Repair          string       `json:"repair,omitempty"` // the id of the repair, of a step that was done by hand
}
