package stock

import (
	"time"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// Owner identifies the owner of a reservation, and the reservation among the owner's others by its number.
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

	readVersion int64 // 0 for a new reservation
	wasPending  bool  // when it was read
}

// ReadVersion returns the version that was read. The update requires that the row still has it; 0 means insert.
func (r *Reservation) ReadVersion() int64 { return r.readVersion }

// Line is the quantity of one item that one line of a reservation holds.
type Line struct {
	No       int
	ItemID   int64
	Quantity int64
	Returned int64

	changed bool
}
