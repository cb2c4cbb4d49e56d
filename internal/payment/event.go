package payment

import (
	"errors"
	"net/http"
	"time"
)

// EventType is what a provider tells about a payment by itself.
type EventType string

// The types of events.
const (
	EventAuthorised      EventType = "payment.authorised"
	EventCaptured        EventType = "payment.captured"
	EventVoided          EventType = "payment.voided"
	EventRefunded        EventType = "payment.refunded" // Refund says which
	EventRefundFailed    EventType = "payment.refund_failed"
	EventFailed          EventType = "payment.failed"           // declined
	EventActionCompleted EventType = "payment.action_completed" // by the customer; another event tells the outcome
)

// Event is what a provider tells about a payment. Events arrive late, more than once and in any order. Payment is the
// state at the time of the event, and a provider may leave out all but its key and reference: the receiver looks the
// payment up before it acts.
type Event struct {
	ID      string // the same in every delivery of the event
	Type    EventType
	At      time.Time
	Payment Payment
	Refund  *Refund // of a refund
}

// ErrOtherEvent says that the event is genuine but concerns no payment of ours. The receiver answers 200.
var ErrOtherEvent = errors.New("the event concerns no payment of the platform")

// Webhooks reads the events of a provider.
type Webhooks interface {
	// ReadWebhook verifies the signature and returns the event. The error is ErrOtherEvent or a problem of webhook.Table.
	// A replayed event is returned as it is: webhook.Once refuses it.
	ReadWebhook(header http.Header, body []byte) (Event, error)
}
