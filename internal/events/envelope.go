// Package events holds the contract of published events: the envelope, the event types and their payloads. It imports
// no service, so that publishers and consumers can use it.
package events

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// SchemaVersion is the version of the envelope and payload schemas written by this build.
const SchemaVersion = 1

// Envelope is the message body on the wire, camelCase by contract. It never carries personal data. An outbox row keeps
// it in columns: data in payload, metadata in headers.
type Envelope struct {
	EventType string    `json:"eventType"`
	EventID   uuid.UUID `json:"eventId"` // UUIDv7; consumers deduplicate by it
	Timestamp time.Time `json:"timestamp"`
	Version   int       `json:"version"` // of the schema
	// AggregateID and AggregateVersion order the events of one aggregate; there is no global order.
	AggregateID      uuid.UUID       `json:"aggregateId"`
	AggregateVersion int64           `json:"aggregateVersion"`
	Data             json.RawMessage `json:"data"`
	Metadata         Metadata        `json:"metadata"`
}

// Metadata says where an event came from.
type Metadata struct {
	Service       string `json:"service"`
	CorrelationID string `json:"correlationId,omitempty"`
}

// Headers is the part of the metadata that an outbox row keeps; the rest of the envelope is in other columns.
type Headers struct {
	CorrelationID string `json:"correlationId,omitempty"`
	// Traceparent is the W3C trace context of the span that wrote the event; empty if that was not sampled.
	Traceparent string `json:"traceparent,omitempty"`
}

// Pending is an event as an outbox keeps it. The publisher composes the envelope from the row's columns, so that the
// row stores each value once.
type Pending struct {
	EventID uuid.UUID
	Payload []byte // JSON of the data
	Headers []byte // JSON of Headers
}

// OwnReason returns the part of a reason that an event may carry. Our processes write a reason as a sentence of their
// own, and put the text of a payment provider or of an error behind a colon. That text may name a person, so OwnReason
// cuts it off. A reason that a person gave must not be in an event at all.
func OwnReason(reason string) string {
	own, _, _ := strings.Cut(reason, ":")
	return own
}

// NewPending encodes an event; data must marshal to a JSON object. The event's id is time-ordered, so that the outbox's
// index grows at its end.
func NewPending(data any, h Headers) (Pending, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Pending{}, fmt.Errorf("make an event id: %w", err)
	}
	payload, err := json.Marshal(data)
	if err != nil {
		return Pending{}, fmt.Errorf("encode an event: %w", err)
	}
	headers, err := json.Marshal(h)
	if err != nil {
		return Pending{}, fmt.Errorf("encode an event's headers: %w", err)
	}
	return Pending{EventID: id, Payload: payload, Headers: headers}, nil
}
