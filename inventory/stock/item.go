package stock

import (
	"github.com/google/uuid"
)

// Item is the stock of one product at one location.
type Item struct {
	ID        int64
	ProductID uuid.UUID
	Location  string
	Priority  int // of the location; lower is picked first
	Quantity  int64
	Reserved  int64
	Version   int64 // as read; the whole batch moves it once
	Threshold int64 // the available quantity is low if it is at or below the threshold
	Waiting   int64 // the quantity of the product that backorders wait for, if Version > 0
	Deleted   bool  // empty and hidden from clients; kept for its ledger and version

	changed bool
	read    level
}

// Available returns the quantity that can still be reserved.
func (i *Item) Available() int64 { return i.Quantity - i.Reserved }
