package stock

import (
	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// Expire gives the stock back because the deadline passed.
type Expire struct{ resolution }

// NewExpire checks a request.
func NewExpire(id uuid.UUID, in inventoryapi.ResolveRequest, correlationID string) (Expire, error) {
	r, err := newResolution(id, in.OperationID, in.Actor, in.Reason, correlationID)
	return Expire{r}, err
}

// Kind names the operation.
func (Expire) Kind() string { return "expire" }

// TellsVersion reports that the answer does not contain the product's version.
func (Expire) TellsVersion() bool { return false }

func (x Expire) decide(b *Book) (out inventoryapi.ReleaseResult, err error) {
	held, err := x.find(b)
	if err != nil {
		return out, err
	}
	switch held.Status {
	case inventoryapi.StatusExpired:
	case inventoryapi.StatusPending:
		if !b.due(held) {
			return out, &inventoryapi.DeadlineError{
				Code:          inventoryapi.NotDue,
				ReservationID: held.ID,
				ExpiresAt:     held.ExpiresAt,
				Status:        held.Status,
			}
		}
		if err := x.end(b, held, Expired, inventoryapi.StatusExpired, false, inventoryapi.EventExpired); err != nil {
			return out, err
		}
	default:
		return out, resolvedOtherwise(held)
	}
	return b.releaseAnswer(held)
}
