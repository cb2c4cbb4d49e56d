package eventcatalogue

import (
	"holdfast/inventory/inventoryapi"
)

// inventoryTypes lists the events of reservations, items and products.
func inventoryTypes() []Type {
	types := []Type{
		reservationType(inventoryapi.EventReserved, inventoryapi.StatusPending, "",
			"A reservation was made. Its stock is reserved until it ends."),
		reservationType(inventoryapi.EventConfirmed, inventoryapi.StatusConfirmed, "",
			"A reservation was confirmed, and its stock has left the inventory."),
		reservationType(inventoryapi.EventReleased, inventoryapi.StatusReleased, "the order was not carried out",
			"A reservation was released, and its stock is available again."),
		reservationType(inventoryapi.EventExpired, inventoryapi.StatusExpired, "not paid before the deadline",
			"A reservation ended at its deadline, and its stock is available again."),
		reservationType(inventoryapi.EventReturned, inventoryapi.StatusConfirmed, "",
			"Stock of a confirmed reservation came back."),
		{
			Name:      inventoryapi.EventBackorderGranted,
			Aggregate: "backorder",
			Summary: "Stock arrived, and a backorder became a reservation. inventory.reserved announces the reservation " +
				"itself; this event is for the workflow that waits for it.",
			Example: inventoryapi.BackorderGrantedEvent{
				ReservationID: exampleReservation,
				OwnerKind:     inventoryapi.OwnerOrder,
				OwnerID:       exampleOrder,
				Number:        1,
				WorkflowID:    "order-" + exampleOrder.String(),
				OperationID:   exampleOperation,
				PlacedAt:      exampleTime,
				ExpiresAt:     exampleDeadline,
				Lines:         exampleLines,
			},
		},
		{
			Name:      inventoryapi.EventFailed,
			Aggregate: "product",
			Summary: "Reservations were refused because a product was short. One event sums up the refusals of one " +
				"process within a second; aggregateVersion is the time of writing in microseconds.",
			Example: inventoryapi.FailedEvent{
				ProductID: exampleProduct,
				Reason:    inventoryapi.ReasonInsufficientStock,
				Requests:  1,
				Quantity:  2,
				Since:     exampleTime,
				Until:     exampleTime,
				Reservations: []inventoryapi.RefusedReservation{{
					ReservationID: exampleReservation,
					OwnerKind:     inventoryapi.OwnerOrder,
					OwnerID:       exampleOrder,
					Requested:     2,
					Available:     1,
				}},
			},
		},
		itemType(inventoryapi.EventDepleted, levelExample(0), "The available stock of an item fell to 0."),
		itemType(inventoryapi.EventLowStock, levelExample(3),
			"The available stock of an item fell to its threshold or below."),
		itemType(inventoryapi.EventRestocked, inventoryapi.RestockedEvent(changeExample(5)),
			"Stock of an item was received. Receipts that commit together are one event."),
		itemType(inventoryapi.EventAdjusted, changeExample(-1), "An operator corrected the stock of an item."),
		itemType(inventoryapi.EventTransferred, changeExample(-1),
			"Stock moved between two locations. Each of the two items has an event."),
	}
	for i := range types {
		types[i].Service = "inventory"
	}
	return types
}

func itemType(name string, example any, summary string) Type {
	return Type{Name: name, Aggregate: "item", Summary: summary, Example: example}
}

func reservationType(name string, status inventoryapi.Status, reason, summary string) Type {
	return Type{
		Name:      name,
		Aggregate: "reservation",
		Summary:   summary,
		Example: inventoryapi.ReservationEvent{
			ReservationID: exampleReservation,
			OwnerKind:     inventoryapi.OwnerOrder,
			OwnerID:       exampleOrder,
			Number:        1,
			WorkflowID:    "order-" + exampleOrder.String(),
			OperationID:   exampleOperation,
			Status:        status,
			ExpiresAt:     exampleDeadline,
			Reason:        reason,
			Lines:         exampleLines,
		},
	}
}

var exampleLines = []inventoryapi.EventLine{{
	LineNo:    1,
	ProductID: exampleProduct,
	Location:  "main",
	Quantity:  2,
	Stock:     inventoryapi.Stock{Quantity: 10, Reserved: 4, Available: 6, Version: 7},
}}

func levelExample(available int64) inventoryapi.LevelEvent {
	return inventoryapi.LevelEvent{
		ProductID:         exampleProduct,
		Location:          "main",
		LowStockThreshold: 3,
		Stock:             inventoryapi.Stock{Quantity: available + 4, Reserved: 4, Available: available, Version: 8},
	}
}

func changeExample(quantity int64) inventoryapi.AdjustedEvent {
	return inventoryapi.AdjustedEvent{
		ProductID:  exampleProduct,
		Location:   "main",
		Quantity:   quantity,
		Stock:      inventoryapi.Stock{Quantity: 10 + quantity, Reserved: 4, Available: 6 + quantity, Version: 9},
		Operations: []inventoryapi.ReceiptInfo{{OperationID: exampleOperation, Quantity: quantity}},
	}
}
