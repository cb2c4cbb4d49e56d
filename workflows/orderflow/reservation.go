package orderflow

import (
	"time"

	"github.com/google/uuid"
)

// ReservationStart starts the workflow of a reservation without an order.
type ReservationStart struct {
	ReservationID uuid.UUID     `json:"reservation_id"`
	OwnerID       uuid.UUID     `json:"owner_id"`     // see CustomerReservationOwner
	RequestHash   string        `json:"request_hash"` // SHA-256 of the canonical request, hex
	Actor         string        `json:"actor"`
	TTLSeconds    int           `json:"ttl_seconds"` // 0 leaves it to inventory
	Lines         []ReserveLine `json:"lines"`
	CorrelationID string        `json:"correlation_id,omitempty"`
	PlacedAt      time.Time     `json:"placed_at"`
	Revision      int           `json:"revision,omitempty"` // see OrderInput.Revision
	// HeldUntil is of a run that adopts a reservation which inventory holds and whose request is not known any more: the
	// run does not reserve. It may be earlier than the deadline, which inventory knows.
	HeldUntil *time.Time `json:"held_until,omitempty"`
}

// ReservationView is a reservation without an order as its workflow knows it. An empty status means that
// inventory has not decided yet, or has refused the reservation.
type ReservationView struct {
	ReservationID uuid.UUID   `json:"reservation_id"`
	RequestHash   string      `json:"request_hash"`
	PlacedAt      time.Time   `json:"placed_at"` // of the request that started the workflow
	Status        string      `json:"status,omitempty"`
	ExpiresAt     *time.Time  `json:"expires_at,omitempty"`
	Refusal       *Refusal    `json:"refusal,omitempty"`
	Short         []ShortLine `json:"short,omitempty"` // of an out_of_stock refusal
}

// Refusal is why inventory did not reserve, in the terms of its contract.
type Refusal struct {
	Code   string `json:"code"`
	Field  string `json:"field,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// ResolveInput asks to confirm or to release a reservation without an order.
type ResolveInput struct {
	Actor         string `json:"actor"`
	Reason        string `json:"reason,omitempty"`
	CorrelationID string `json:"correlation_id,omitempty"`
}
