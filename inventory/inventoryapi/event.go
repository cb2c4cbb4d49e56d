package inventoryapi

import (
	"time"

	"github.com/google/uuid"
)

// The types of the events that inventory publishes.
const (
	EventReserved  = "inventory.reserved"
	EventFailed    = "inventory.failed"
	EventConfirmed = "inventory.confirmed"
	EventReleased  = "inventory.released"
	EventExpired   = "inventory.expired"
	EventReturned  = "inventory.returned"
	// EventBackorderGranted announces that a backorder has become a reservation. EventReserved announces the reservation.
	EventBackorderGranted = "inventory.backorder_granted"

	EventRestocked = "inventory.restocked"

	EventAdjusted    = "inventory.adjusted"
	EventTransferred = "inventory.transferred"
	EventDepleted    = "inventory.depleted"
	EventLowStock    = "inventory.low_stock"
)

// SystemActor is the actor of a change that a workflow makes by itself. The reason of such a change is the workflow's
// own sentence, so it may be in an event.
const SystemActor = "system"

// ReservationEvent is the data of every event about a reservation (the aggregate). Lines have the quantities that the
// change moved and the stock after it. There is no actor and no reason that a person gave, because events carry no
// personal data.
type ReservationEvent struct {
	ReservationID uuid.UUID   `json:"reservationId"`
	OwnerKind     OwnerKind   `json:"ownerKind"`
	OwnerID       uuid.UUID   `json:"ownerId"`
	Number        int         `json:"number"`
	WorkflowID    string      `json:"workflowId,omitempty"`
	OperationID   uuid.UUID   `json:"operationId"`
	Status        Status      `json:"status"`
	ExpiresAt     time.Time   `json:"expiresAt"`
	Reason        string      `json:"reason,omitempty" jsonschema:"this system's words; no person's"`
	Lines         []EventLine `json:"lines"`
}

// BackorderGrantedEvent is the data of inventory.backorder_granted: a backorder has become a pending reservation. Its
// aggregate is the backorder, which has the reservation's id. WorkflowID names the workflow that waits for the grant.
// An order that finds its stock at once has no such event: the caller has the reservation as its answer.
type BackorderGrantedEvent struct {
	ReservationID uuid.UUID   `json:"reservationId"`
	OwnerKind     OwnerKind   `json:"ownerKind"`
	OwnerID       uuid.UUID   `json:"ownerId"`
	Number        int         `json:"number"`
	WorkflowID    string      `json:"workflowId,omitempty"`
	OperationID   uuid.UUID   `json:"operationId"`
	PlacedAt      time.Time   `json:"placedAt" jsonschema:"when the backorder was placed"`
	ExpiresAt     time.Time   `json:"expiresAt" jsonschema:"the deadline of the reservation"`
	Lines         []EventLine `json:"lines"`
}

// EventLine is the effect of one change on one line at one location.
type EventLine struct {
	LineNo    int       `json:"lineNo"`
	ProductID uuid.UUID `json:"productId"`
	Location  string    `json:"location"`
	Quantity  int64     `json:"quantity"`
	Stock     Stock     `json:"stock"`
}

// Stock is the stock of an item after a change.
type Stock struct {
	Quantity  int64 `json:"quantity"`
	Reserved  int64 `json:"reserved"`
	Available int64 `json:"available"`
	Version   int64 `json:"version"` // of the item
}

// RestockedEvent is the data of inventory.restocked. Its aggregate is the item. Receipts of one item that commit
// together are one event.
type RestockedEvent struct {
	ProductID  uuid.UUID     `json:"productId"`
	Location   string        `json:"location"`
	Quantity   int64         `json:"quantity"` // received
	Stock      Stock         `json:"stock"`
	Operations []ReceiptInfo `json:"operations"`
}

// ReceiptInfo is one operation of a RestockedEvent or an AdjustedEvent. The ledger has its actor and its reason.
type ReceiptInfo struct {
	OperationID uuid.UUID `json:"operationId"`
	Quantity    int64     `json:"quantity"`
}

// AdjustedEvent is the data of inventory.adjusted and inventory.transferred. Its aggregate is the item; a transfer
// causes an event for each of its two items. Changes of one item that commit together are one event.
type AdjustedEvent struct {
	ProductID  uuid.UUID     `json:"productId"`
	Location   string        `json:"location"`
	Quantity   int64         `json:"quantity"` // the change of the stock; negative if the stock fell
	Stock      Stock         `json:"stock"`
	Operations []ReceiptInfo `json:"operations"` // each with its signed quantity
}

// LevelEvent is the data of inventory.depleted (the available stock fell to 0) and inventory.low_stock (the available
// stock fell to the threshold or below it). Its aggregate is the item. The levels are those before and after a commit,
// which may contain several operations.
type LevelEvent struct {
	ProductID         uuid.UUID `json:"productId"`
	Location          string    `json:"location"`
	LowStockThreshold int64     `json:"lowStockThreshold"`
	Stock             Stock     `json:"stock"`
}

// ReasonInsufficientStock is the reason of a FailedEvent.
const ReasonInsufficientStock = "insufficient_stock"

// FailedEvent is the data of inventory.failed: reservations were refused because a product was short. Its aggregate is
// the product. One event sums up the refusals of one inventory process within a second, so that a rush on a product
// that is sold out does not become a rush of events. It is an observation, not a change: if the process is killed, the
// refusals of its last second have no event. A refused order always has its own event, order.rejected.
type FailedEvent struct {
	ProductID uuid.UUID `json:"productId"`
	Reason    string    `json:"reason"`
	Requests  int64     `json:"requests" jsonschema:"how many requests were refused; a repeated request counts again"`
	Quantity  int64     `json:"quantity" jsonschema:"the units of the product that they asked for"`
	Since     time.Time `json:"since" jsonschema:"the time of the first refusal"`
	Until     time.Time `json:"until" jsonschema:"the time of the last refusal"`
	// Reservations are the first of the refused reservations, ten at most.
	Reservations []RefusedReservation `json:"reservations"`
}

// RefusedReservation is one refused reservation of a FailedEvent.
type RefusedReservation struct {
	ReservationID uuid.UUID `json:"reservationId"`
	OwnerKind     OwnerKind `json:"ownerKind"`
	OwnerID       uuid.UUID `json:"ownerId"`
	Requested     int64     `json:"requested"`
	Available     int64     `json:"available"`
}
