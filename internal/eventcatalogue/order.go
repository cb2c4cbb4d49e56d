package eventcatalogue

import (
	"holdfast/internal/events"
	"holdfast/internal/money"
	"holdfast/internal/order"
)

// orderTypes lists the events of orders. A state that no order reaches yet has no event here.
func orderTypes() []Type {
	lines := []events.OrderLine{{ProductID: exampleProduct, SKU: "MUG-RED", Quantity: 2}}
	total := money.Amount{Minor: 2590, Currency: "EUR"}
	changed := func(state order.State, reason string) events.OrderChanged {
		return events.OrderChanged{
			OrderID:       exampleOrder,
			OrderNumber:   exampleNumber,
			State:         string(state),
			Reason:        reason,
			ReservationID: &exampleReservation,
		}
	}
	paid := func(state order.State) events.OrderPayment {
		return events.OrderPayment{
			OrderID:     exampleOrder,
			OrderNumber: exampleNumber,
			State:       string(state),
			Attempt:     1,
			Amount:      &total,
		}
	}

	types := []Type{
		{
			Name:    events.TypeOrderCreated,
			Summary: "An order was accepted. Its stock is not decided yet.",
			Example: events.OrderCreated{
				OrderID:     exampleOrder,
				OrderNumber: exampleNumber,
				State:       string(order.Pending),
				Lines:       lines,
				Total:       total,
			},
		},
		{
			Name:    events.TypeOrderReserved,
			Summary: "The stock of an order is reserved, and the order waits for its payment.",
			Example: events.OrderReserved{
				OrderID:       exampleOrder,
				OrderNumber:   exampleNumber,
				State:         string(order.Reserved),
				ReservationID: exampleReservation,
				ExpiresAt:     &exampleDeadline,
				Lines:         lines,
				Total:         total,
			},
		},
		{
			Name:    events.TypeOrderLinesChanged,
			Summary: "The lines of an order that is not paid were replaced. It has another reservation and another total.",
			Example: events.OrderLinesChanged{
				OrderNumber:   exampleNumber,
				OrderID:       exampleOrder,
				State:         string(order.Reserved),
				ReservationID: exampleReservation,
				ExpiresAt:     &exampleDeadline,
				Lines:         lines,
				Total:         total,
			},
		},
		{
			Name:    events.TypeOrderRejected,
			Summary: "Inventory refused the reservation of an order, mostly because too little stock is available.",
			Example: events.OrderRejected{
				OrderID:     exampleOrder,
				OrderNumber: exampleNumber,
				State:       string(order.Rejected),
				Reason:      "out_of_stock",
				ShortLines:  []events.ShortLine{{ProductID: exampleProduct, Requested: 2, Available: 1}},
			},
		},
		{
			Name:    events.TypeOrderPaid,
			Summary: "The payment of an order was captured.",
			Example: paid(order.Paying),
		},
		{
			Name:    events.TypeOrderConfirmed,
			Summary: "An order is paid and its stock has left the inventory.",
			Example: changed(order.Confirmed, ""),
		},
		{
			Name:    events.TypeOrderExpired,
			Summary: "An order was not paid before its deadline. Its stock is given back.",
			Example: changed(order.Expired, "not paid before the deadline"),
		},
		{
			Name:    events.TypeOrderCancelled,
			Summary: "A person cancelled an order. Its stock and its money are given back.",
			Example: changed(order.Cancelled, ""),
		},
		{
			Name:    events.TypeOrderFailed,
			Summary: "An order could not be carried out. Its stock and its money are given back.",
			Example: changed(order.Failed, "the payment was declined too often"),
		},
		{
			Name:    events.TypeOrderRefunded,
			Summary: "A captured payment of an order was refunded.",
			Example: paid(order.Failed),
		},
		{
			Name:    events.TypeOrderInReview,
			Summary: "The stock of an order is held, and an operator must approve the order before it is paid.",
			Example: changed(order.InReview, "amount"),
		},
		{
			Name:    events.TypeOrderBackordered,
			Summary: "There is too little stock for an order, and the order waits. Once it is granted, order.reserved follows.",
			Example: changed(order.Backordered, ""),
		},
		{
			Name:    events.TypeOrderShipped,
			Summary: "A shipment of an order has left its location.",
			Example: events.OrderShipped{
				OrderID:        exampleOrder,
				OrderNumber:    exampleNumber,
				State:          string(order.Fulfilling),
				Shipment:       1,
				Location:       "main",
				Carrier:        "dhl",
				TrackingNumber: "00340434161094042557",
				Lines:          lines,
			},
		},
		{
			Name:    events.TypeOrderCompleted,
			Summary: "Every shipment of an order is delivered, or was given up and its price refunded.",
			Example: changed(order.Completed, ""),
		},
	}
	for i := range types {
		types[i].Service, types[i].Aggregate = "orders", "order"
	}
	return types
}
