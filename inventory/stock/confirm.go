package stock

import (
	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// Confirm takes the reserved stock out permanently.
type Confirm struct{ resolution }

// NewConfirm checks a request.
func NewConfirm(id uuid.UUID, in inventoryapi.ResolveRequest, correlationID string) (Confirm, error) {
	r, err := newResolution(id, in.OperationID, in.Actor, in.Reason, correlationID)
	return Confirm{r}, err
}

// Kind names the operation.
func (Confirm) Kind() string { return "confirm" }

// TellsVersion reports that the answer does not contain the product's version.
func (Confirm) TellsVersion() bool { return false }

func (c Confirm) decide(b *Book) (out inventoryapi.ConfirmResult, err error) {
	held, err := c.find(b)
	if err != nil {
		return out, err
	}
	switch held.Status {
	case inventoryapi.StatusConfirmed:
	case inventoryapi.StatusReleased:
		return out, resolvedOtherwise(held)
	case inventoryapi.StatusExpired:
		return out, pastDeadline(held)
	default:
		if b.due(held) {
			return out, pastDeadline(held)
		}
		if err := c.end(b, held, Confirmed, inventoryapi.StatusConfirmed, true, inventoryapi.EventConfirmed); err != nil {
			return out, err
		}
	}

	entries, err := b.entriesOf(held.ResolveOp, held.ID)
	if err != nil {
		return out, err
	}
	t := sum(entries)
	return inventoryapi.ConfirmResult{
		ReservationID:     held.ID,
		Status:            held.Status,
		QuantityConfirmed: t.moved,
		FinalStock:        t.quantity,
		ReservedStock:     t.reserved,
		Lines:             b.stockLines(entries),
	}, nil
}
