package stock

import (
	"time"

	"holdfast/inventory/inventoryapi"
)

// Availability is the stock of a product as of one moment. The stock of overdue reservations counts as available.
type Availability struct {
	inventoryapi.Availability
	// FreshFor is the time from that moment to the next deadline of a reservation that holds the stock. From then on more
	// is available, although nothing was written. It is 0 if no reservation holds the stock.
	FreshFor time.Duration
}
