// Package events holds the contract of everything published: the envelope, the event types and
// their payloads. It imports nothing of the services, so that both sides of a queue may use it.
package events

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// SchemaVersion is the version of the envelope and payload schemas written by this build.
const SchemaVersion = 1

// Envelope is the message body on the wire, camelCase by contract. It never carries personal data.
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

// New wraps data, which must marshal to a JSON object. The event id is time-ordered, so that the
// outbox's index grows at its end.
func New(eventType string, aggregateID uuid.UUID, aggregateVersion int64, data any, meta Metadata, at time.Time) (Envelope, error) {
	raw, err := json.Marshal(data)
	if err != nil {
		return Envelope{}, fmt.Errorf("encode %s event: %w", eventType, err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Envelope{}, fmt.Errorf("make an event id: %w", err)
	}
	return Envelope{
		EventType: eventType, EventID: id, Timestamp: at.UTC(), Version: SchemaVersion,
		AggregateID: aggregateID, AggregateVersion: aggregateVersion, Data: raw, Metadata: meta,
	}, nil
}
