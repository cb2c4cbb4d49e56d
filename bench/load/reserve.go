package load

import (
	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// Reserve returns the request with which the order of the id owner, a new one, reserves one unit of a product.
func Reserve(owner, product uuid.UUID) inventoryapi.ReserveRequest {
	return inventoryapi.ReserveRequest{
		ReservationID: inventoryapi.NewReservationID(inventoryapi.OwnerOrder, owner, 1),
		OwnerKind:     inventoryapi.OwnerOrder,
		OwnerID:       owner,
		Number:        1,
		WorkflowID:    "order-" + owner.String(),
		OperationID:   uuid.New(),
		Actor:         "bench",
		Lines:         []inventoryapi.ReserveLine{{ProductID: product, Quantity: 1}},
	}
}
