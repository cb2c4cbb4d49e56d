package inventoryapi

import (
	"time"

	"github.com/google/uuid"
)

// The types of the events that inventory publishes.
const (
	EventReserved  = "inventory.reserved"
	EventConfirmed = "inventory.confirmed"
	EventReleased  = "inventory.released"
	EventExpired   = "inventory.expired"
	EventReturned  = "inventory.returned"
	EventRestocked = "inventory.restocked"

	EventAdjusted    = "inventory.adjusted"
	EventTransferred = "inventory.transferred"
	EventDepleted    = "inventory.depleted"
	EventLowStock    = "inventory.low_stock"
)

// ReservationEvent is the data of every event about a reservation (the aggregate). Lines have the quantities that the
// change moved and the stock after it. There is no actor, because events carry no personal data.
type ReservationEvent struct {
	ReservationID uuid.UUID   `json:"reservationId"`
	OwnerKind     OwnerKind   `json:"ownerKind"`
	OwnerID       uuid.UUID   `json:"ownerId"`
	Number        int         `json:"number"`
	WorkflowID    string      `json:"workflowId,omitempty"`
	OperationID   uuid.UUID   `json:"operationId"`
	Status        Status      `json:"status"`
	ExpiresAt     time.Time   `json:"expiresAt"`
	Reason        string      `json:"reason,omitempty"`
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

// ReceiptInfo is one receipt of a RestockedEvent.
type ReceiptInfo struct {
	OperationID uuid.UUID `json:"operationId"`
	Quantity    int64     `json:"quantity"`
	Reason      string    `json:"reason,omitempty"`
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
