package stock

import (
	"time"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// Owner names whose reservation it is, and which of theirs.
type Owner struct {
	Kind   inventoryapi.OwnerKind
	ID     uuid.UUID
	Number int
}

// Reservation claims stock for its owner until its deadline.
type Reservation struct {
	ID          uuid.UUID
	Owner       Owner
	RequestHash []byte // nil for a tombstone
	Status      inventoryapi.Status
	ExpiresAt   time.Time
	WorkflowID  string
	Version     int64
	Actor       string
	Reason      string
	ReserveOp   uuid.UUID
	ResolveOp   uuid.UUID // zero while pending
	CreatedAt   time.Time
	ResolvedAt  time.Time // zero while pending
	Lines       []Line

	readVersion int64 // 0 for a new one
	wasPending  bool  // when it was read
}

// ReadVersion is the version that was read, which the update must find; 0 means insert.
func (r *Reservation) ReadVersion() int64 { return r.readVersion }

// Line is what one line of a reservation holds of one item.
type Line struct {
	No       int
	ItemID   int64
	Quantity int64
	Returned int64

	changed bool
}
