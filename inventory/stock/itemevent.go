package stock

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// itemChange sums up what one kind of operation did to an item in the batch. The item's version moves once, so there is
// one event of each type.
type itemChange struct {
	item          *Item
	quantity      int64
	operations    []inventoryapi.ReceiptInfo
	correlationID string
}

type itemChangeKey struct {
	item      int64
	eventType string
}

// noteItem remembers an entry for the item's event.
func (b *Book) noteItem(eventType string, e Entry, correlationID string) {
	key := itemChangeKey{e.ItemID, eventType}
	c := b.itemChanges[key]
	if c == nil {
		c = &itemChange{item: b.items[e.ItemID], correlationID: correlationID}
		b.itemChanges[key] = c
	}
	c.quantity += e.QuantityDelta
	c.operations = append(c.operations, inventoryapi.ReceiptInfo{OperationID: e.OperationID, Quantity: e.QuantityDelta})
}

// level has the two numbers that decide whether an item's stock is low.
type level struct{ available, threshold int64 }

func (l level) low() bool { return l.available <= l.threshold }

// itemEvents returns the events of the items: the operations on each, and the items that ran low or out. For the latter
// it compares the level that was read with the level to write, so that a busy item costs one comparison per batch
// instead of one per request.
func (b *Book) itemEvents(changed []*Item) []Event {
	events := make([]Event, 0, len(b.itemChanges))
	for key, c := range b.itemChanges {
		data := inventoryapi.RestockedEvent{
			ProductID:  c.item.ProductID,
			Location:   c.item.Location,
			Quantity:   c.quantity,
			Stock:      c.item.stockAfter(),
			Operations: c.operations,
		}
		e := itemEvent(key.eventType, c.item, data)
		if key.eventType != inventoryapi.EventRestocked {
			e.Data = inventoryapi.AdjustedEvent(data)
		}
		e.CorrelationID = c.correlationID
		events = append(events, e)
	}

	for _, it := range changed {
		now := level{it.Available(), it.Threshold}
		if now == it.read {
			continue
		}
		data := inventoryapi.LevelEvent{
			ProductID:         it.ProductID,
			Location:          it.Location,
			LowStockThreshold: it.Threshold,
			Stock:             it.stockAfter(),
		}
		if now.available == 0 && it.read.available > 0 {
			events = append(events, itemEvent(inventoryapi.EventDepleted, it, data))
		}
		if now.low() && !it.read.low() && !it.Deleted {
			events = append(events, itemEvent(inventoryapi.EventLowStock, it, data))
		}
	}

	slices.SortFunc(events, func(x, y Event) int {
		return cmp.Or(bytes.Compare(x.AggregateID[:], y.AggregateID[:]), cmp.Compare(x.Type, y.Type))
	})
	return events
}

func itemEvent(eventType string, it *Item, data any) Event {
	return Event{
		Type:          eventType,
		AggregateType: "item",
		AggregateID:   itemAggregate(it),
		Version:       it.Version + 1,
		Data:          data,
	}
}

func (i *Item) stockAfter() inventoryapi.Stock {
	return inventoryapi.Stock{
		Quantity:  i.Quantity,
		Reserved:  i.Reserved,
		Available: i.Available(),
		Version:   i.Version + 1,
	}
}

// itemAggregate returns the id of an item in events: an aggregate id is a UUID, and the item's number is internal.
func itemAggregate(it *Item) uuid.UUID { return uuid.NewSHA1(it.ProductID, []byte(it.Location)) }
