package stock

import (
	"bytes"
	"errors"
	"slices"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// ErrVersionTold means that a reserve must take back stock of a product whose version an earlier answer of the batch
// contains. The version would stand for two states, so the caller must decide the two requests in different batches.
var ErrVersionTold = errors.New("an earlier answer of the batch contains the version of a product that must change")

// The author of a take-back in the ledger. The actor is the service itself: no caller asked for the expiry.
const (
	takeBackActor  = "inventory"
	takeBackReason = "overdue: a reserve needed the stock"
)

// takeBackOperation names the take-back of a reservation in the ledger. A reservation expires once, so its id is
// enough, and a repeat after a lost answer has the same name.
func takeBackOperation(reservation uuid.UUID) uuid.UUID {
	return uuid.NewSHA1(reservation, []byte("overdue"))
}

// Shortage is the demand for a product that reserves could not fill.
type Shortage struct {
	Items    []int64 // the product's items
	Quantity int64   // at least as much as is missing
}

// takeBack expires overdue reservations that hold products which fall short, oldest deadline first, until the products
// no longer fall short or the book has no more of them. Each expires by the same rule as if its owner had asked. To
// expire them is right in itself, also if the reserve stays short.
func (b *Book) takeBack(want demands, short []inventoryapi.ShortLine, correlationID string) error {
	overdue := b.overdueReservations()
	if len(overdue) == 0 {
		return nil
	}

	missing := make(map[uuid.UUID]int64, len(short))
	for _, s := range short {
		if n := s.Requested - want.freed[s.ProductID] - b.free(s.ProductID); n > 0 {
			missing[s.ProductID] = n
		}
	}
	for _, held := range overdue {
		if len(missing) == 0 {
			break
		}
		if !b.holdsAny(held, missing) {
			continue
		}
		if b.versionTold(held) {
			return ErrVersionTold
		}
		expire := Expire{resolution{
			id:            held.ID,
			operationID:   takeBackOperation(held.ID),
			actor:         takeBackActor,
			reason:        takeBackReason,
			correlationID: correlationID,
		}}
		if _, err := expire.decide(b); err != nil {
			continue // this reservation cannot be expired, but another one may be
		}
		for _, l := range held.Lines {
			product := b.items[l.ItemID].ProductID
			if missing[product] -= l.Quantity; missing[product] <= 0 {
				delete(missing, product)
			}
		}
	}
	return nil
}

// overdueReservations returns the pending reservations past their deadline whose lines and items the book has, oldest
// deadline first. A new or extended reservation cannot become overdue, because the book's time stands still, so the
// list is made once.
func (b *Book) overdueReservations() []*Reservation {
	if !b.overdueListed {
		b.overdueListed = true
		for _, held := range b.reservations {
			if held.Status == inventoryapi.StatusPending && b.due(held) && b.hasItemsOf(held) {
				b.overdue = append(b.overdue, held)
			}
		}
		slices.SortFunc(b.overdue, func(x, y *Reservation) int {
			if c := x.ExpiresAt.Compare(y.ExpiresAt); c != 0 {
				return c
			}
			return bytes.Compare(x.ID[:], y.ID[:])
		})
	}
	b.overdue = slices.DeleteFunc(b.overdue, func(held *Reservation) bool {
		return held.Status != inventoryapi.StatusPending
	})
	return b.overdue
}

func (b *Book) hasItemsOf(held *Reservation) bool {
	return !slices.ContainsFunc(held.Lines, func(l Line) bool { return b.items[l.ItemID] == nil })
}

func (b *Book) holdsAny(held *Reservation, products map[uuid.UUID]int64) bool {
	return slices.ContainsFunc(held.Lines, func(l Line) bool { return products[b.items[l.ItemID].ProductID] > 0 })
}

func (b *Book) versionTold(held *Reservation) bool {
	return slices.ContainsFunc(held.Lines, func(l Line) bool { return b.versionsTold[b.items[l.ItemID].ProductID] })
}

// noteShort remembers that a reserve was refused, so that the store looks for overdue reservations of these products.
func (b *Book) noteShort(short []inventoryapi.ShortLine) {
	if b.short == nil {
		b.short = map[uuid.UUID]int64{}
	}
	for _, s := range short {
		b.short[s.ProductID] += s.Requested + b.waiting[s.ProductID]
	}
}

// Short returns what the refused reserves of the batch lacked. It leaves out products without reserved stock: no
// reservation can give anything back.
func (b *Book) Short() []Shortage {
	var out []Shortage
	for product, quantity := range b.short {
		s := Shortage{Quantity: quantity}
		for _, it := range b.itemsByProduct[product] {
			if it.Reserved > 0 {
				s.Items = append(s.Items, it.ID)
			}
		}
		if s.Items != nil {
			out = append(out, s)
		}
	}
	return out
}
