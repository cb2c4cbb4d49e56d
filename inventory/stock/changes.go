package stock

import (
	"bytes"
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// Changes is what a batch of decided requests has to write, in one transaction. Everything is sorted by key, so that
// two writers lock the rows in the same order.
type Changes struct {
	At       time.Time
	Items    []*Item        // counters to write, if the row still has Version
	Inserts  []*Reservation // with their lines
	Updates  []*Reservation // to write, if the row still has ReadVersion
	Resolved []*Reservation // those of Updates that were pending and are no longer
	Returned []ReturnedLine // lines of Updates whose stock was returned
	Entries  []Entry
	Events   []Event
	Named    []Operation // to remember
	Products []Product   // as they are now

	NewBackorders []*Backorder // in order of arrival
	Backorders    []*Backorder // to write, if the row still has ReadVersion
	NewIncoming   []*Incoming
	Incoming      []*Incoming // to write, if the row still has ReadVersion
}

// ReturnedLine is a line whose returned quantity changed.
type ReturnedLine struct {
	ReservationID uuid.UUID
	Line
}

// Empty reports whether there is nothing to write.
func (c Changes) Empty() bool {
	return len(c.Items) == 0 && len(c.Inserts) == 0 && len(c.Updates) == 0 &&
		len(c.Entries) == 0 && len(c.Named) == 0 && len(c.Products) == 0 &&
		len(c.NewBackorders) == 0 && len(c.Backorders) == 0 && len(c.NewIncoming) == 0 && len(c.Incoming) == 0
}

// Changes returns what the requests so far have changed.
func (b *Book) Changes() Changes {
	c := Changes{
		At:       b.now,
		Entries:  b.newEntries,
		Events:   b.events,
		Named:    b.newOperations,
		Products: b.changedFacts(),
	}

	for _, it := range b.items {
		if it.changed {
			it.Waiting = b.waiting[it.ProductID]
			c.Items = append(c.Items, it)
		}
	}
	slices.SortFunc(c.Items, func(x, y *Item) int { return cmp.Compare(x.ID, y.ID) })

	for _, r := range b.reservations {
		switch {
		case r.readVersion == 0:
			c.Inserts = append(c.Inserts, r)
		case r.readVersion != r.Version:
			c.Updates = append(c.Updates, r)
		}
	}
	byID := func(x, y *Reservation) int { return bytes.Compare(x.ID[:], y.ID[:]) }
	slices.SortFunc(c.Inserts, byID)
	slices.SortFunc(c.Updates, byID)

	for _, r := range c.Updates {
		if r.wasPending && r.Status != inventoryapi.StatusPending {
			c.Resolved = append(c.Resolved, r)
		}
		for _, l := range r.Lines {
			if l.changed {
				c.Returned = append(c.Returned, ReturnedLine{r.ID, l})
			}
		}
	}

	b.addBackorderChanges(&c)
	b.addIncomingChanges(&c)
	c.Events = append(c.Events, b.itemEvents(c.Items)...)
	return c
}

func (b *Book) addBackorderChanges(c *Changes) {
	c.NewBackorders = b.newBackorders
	for _, w := range b.backorders {
		if w.readVersion != 0 && w.readVersion != w.Version {
			c.Backorders = append(c.Backorders, w)
		}
	}
	slices.SortFunc(c.Backorders, func(x, y *Backorder) int { return bytes.Compare(x.ID[:], y.ID[:]) })
}

func (b *Book) addIncomingChanges(c *Changes) {
	for _, d := range b.incoming {
		switch {
		case d.readVersion == 0:
			c.NewIncoming = append(c.NewIncoming, d)
		case d.readVersion != d.Version:
			c.Incoming = append(c.Incoming, d)
		}
	}
	byID := func(x, y *Incoming) int { return bytes.Compare(x.ID[:], y.ID[:]) }
	slices.SortFunc(c.NewIncoming, byID)
	slices.SortFunc(c.Incoming, byID)
}

// Items iterates over the items of the book as they are once its changes are committed, in no particular order. It
// skips an item that the store created for a request that then did not use it.
func (b *Book) Items() iter.Seq[Item] {
	return func(yield func(Item) bool) {
		for _, it := range b.items {
			now := *it
			if it.changed {
				now.Version++
			}
			if now.Version > 0 && !yield(now) {
				return
			}
		}
	}
}
