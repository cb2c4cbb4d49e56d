package stock

import (
	"time"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// Archived describes a reservation that ended long ago and was moved to the archive. It has the fields that a refusal
// of a request for the reservation needs.
type Archived struct {
	ID         uuid.UUID
	Status     inventoryapi.Status
	ResolvedAt time.Time
}

// NotFound returns the error for a request that would read or change the reservation.
func (a Archived) NotFound() error {
	return inventoryapi.Errorf(inventoryapi.ReservationNotFound, "reservation_id",
		"reservation %s was %s on %s and is archived; it cannot be read or changed any more",
		a.ID, a.Status, a.ResolvedAt.UTC().Format(time.DateOnly))
}

// NoteArchived tells the book which of the missing reservations are archived.
func (b *Book) NoteArchived(list []Archived) {
	for _, a := range list {
		if b.archived == nil {
			b.archived = map[uuid.UUID]Archived{}
		}
		b.archived[a.ID] = a
	}
}
