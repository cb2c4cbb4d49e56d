package stock

import (
	"time"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// Archived is a reservation that ended long ago and was moved to the archive, with what is needed to refuse requests for
// it.
type Archived struct {
	ID         uuid.UUID
	Status     inventoryapi.Status
	ResolvedAt time.Time
}

// NotFound is the error of a request that would read or change it.
func (a Archived) NotFound() error {
	return inventoryapi.Errorf(inventoryapi.ReservationNotFound, "reservation_id",
		"reservation %s was %s on %s and is archived: it can be neither read here nor changed", a.ID, a.Status, a.ResolvedAt.UTC().Format(time.DateOnly))
}

// NoteArchived tells the book which of the reservations that it lacks are archived.
func (b *Book) NoteArchived(list []Archived) {
	for _, a := range list {
		if b.archived == nil {
			b.archived = map[uuid.UUID]Archived{}
		}
		b.archived[a.ID] = a
	}
}
