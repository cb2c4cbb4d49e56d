package stock

import (
	"time"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// Extend moves the deadline to a later moment.
type Extend struct {
	resolution
	to time.Time
}

// NewExtend checks a request. The limit of the deadline is checked later, by the database's clock.
func NewExtend(id uuid.UUID, in inventoryapi.ExtendRequest, correlationID string) (Extend, error) {
	if in.ExpiresAt.IsZero() {
		return Extend{}, inventoryapi.Errorf(inventoryapi.InvalidInput, "expires_at", "the new deadline is required")
	}
	if id == uuid.Nil {
		return Extend{}, required("reservation_id")
	}
	// An Extend has no operation id: it moves no stock, and a repeat changes nothing.
	r := resolution{id: id, actor: in.Actor, reason: in.Reason, correlationID: correlationID}
	return Extend{r, in.ExpiresAt.UTC().Truncate(time.Microsecond)}, checkAuthor(in.Actor, in.Reason)
}

// Kind names the operation.
func (Extend) Kind() string { return "extend" }

// TellsVersion reports that the answer does not contain the product's version.
func (Extend) TellsVersion() bool { return false }

func (x Extend) decide(b *Book) (out inventoryapi.ExtendResult, err error) {
	held, err := x.find(b)
	switch {
	case err != nil:
		return out, err
	case held.Status == inventoryapi.StatusExpired, held.Status == inventoryapi.StatusPending && b.due(held):
		return out, pastDeadline(held)
	case held.Status != inventoryapi.StatusPending:
		return out, &inventoryapi.StatusError{
			Code:          inventoryapi.ReservationNotPending,
			ReservationID: held.ID,
			Status:        held.Status,
		}
	case x.to.After(b.now.Add(inventoryapi.MaxTTLSeconds * time.Second)):
		return out, inventoryapi.Errorf(inventoryapi.InvalidDuration, "expires_at",
			"a deadline may lie at most 24 hours from now")
	}

	if x.to.After(held.ExpiresAt) { // never shortened
		held.ExpiresAt = x.to
		held.Actor, held.Reason = x.actor, x.reason
		held.Version++
	}
	return inventoryapi.ExtendResult{ReservationID: held.ID, Status: held.Status, ExpiresAt: held.ExpiresAt}, nil
}
