package stock

import (
	"github.com/google/uuid"
)

// Kind says what an entry of the ledger records.
type Kind string

// The kinds of ledger entries.
const (
	Reserved  Kind = "reserved"
	Confirmed Kind = "confirmed"
	Released  Kind = "released"
	Expired   Kind = "expired"
	Returned  Kind = "returned"
	Received  Kind = "received"

	Adjusted    Kind = "adjusted"
	Transferred Kind = "transferred"
)

// Entry is one row of the stock ledger.
type Entry struct {
	OperationID   uuid.UUID
	ItemID        int64
	Line          int
	Kind          Kind
	QuantityDelta int64
	ReservedDelta int64
	QuantityAfter int64
	ReservedAfter int64
	VersionAfter  int64
	ReservationID uuid.UUID // zero if the entry concerns no reservation
	Actor         string
	Reason        string
}

// Event is one row of the outbox, its data not yet encoded.
type Event struct {
	Type          string
	AggregateType string
	AggregateID   uuid.UUID
	Version       int64
	Data          any
	CorrelationID string
}
