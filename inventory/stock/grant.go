package stock

import (
	"bytes"
	"slices"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// MaxGrants bounds the backorders that one transaction grants, and so its duration, unless the book has another limit.
// The inventory process goes on with the rest at once; see Book.Unfinished. Meanwhile no request can take the
// promised stock.
const MaxGrants = 10_000

// grantReason is the reason of the reservation and its entries in the ledger.
const grantReason = "stock arrived for a backorder"

// grantOperation names the grant of a backorder in the ledger. A backorder is granted once, so its id is enough. It is
// not the operation of the caller's request: that id may be in the ledger for something else, and then no receipt of
// the product could be committed.
func grantOperation(backorder uuid.UUID) uuid.UUID { return uuid.NewSHA1(backorder, []byte("grant")) }

// GrantWaiting grants backorders of a product for which stock is available. Every change that makes stock available
// does so itself; this request continues where one of them has reached MaxGrants.
type GrantWaiting struct{ ProductID uuid.UUID }

// Kind names the operation.
func (GrantWaiting) Kind() string { return "grant_waiting" }

// TellsVersion reports that the answer does not contain the product's version.
func (GrantWaiting) TellsVersion() bool { return false }

// Reads adds the product's items.
func (g GrantWaiting) Reads(reads *Reads) { reads.Products = append(reads.Products, g.ProductID) }

func (g GrantWaiting) decide(b *Book) (struct{}, error) { //nolint:unparam // the signature of all requests
	b.stir(g.ProductID)
	return struct{}{}, nil
}

// stir remembers that a backorder of the product may be granted now.
func (b *Book) stir(product uuid.UUID) {
	if b.stirred == nil {
		b.stirred = map[uuid.UUID]bool{}
	}
	b.stirred[product] = true
}

// LimitGrants bounds the backorders that the batch grants.
func (b *Book) LimitGrants(most int) { b.maxGrants = most }

// Supply is what is available of a product that backorders wait for.
type Supply struct {
	ProductID uuid.UUID
	Available int64
}

// Supplies returns the products whose waiting lists must be read, by id: stock became available, or a backorder left
// the list, and there is stock. It is empty once the stock is used up or the limit of grants is reached.
func (b *Book) Supplies() []Supply {
	if len(b.stirred) == 0 || b.granted >= b.maxGrants {
		return nil
	}
	var out []Supply
	for p := range b.stirred {
		if n := sumAvailable(b.itemsByProduct[p]); n > 0 && b.waiting[p] > 0 {
			out = append(out, Supply{p, n})
		}
	}
	slices.SortFunc(out, func(x, y Supply) int { return bytes.Compare(x.ProductID[:], y.ProductID[:]) })
	return out
}

// Grant grants those of the backorders that can be served whole, in the given order, which is that of the waiting list.
// It skips the others, and expires those whose deadline has passed. The book has all items of their products.
func (b *Book) Grant(list []Backorder) {
	for i := range list {
		w := b.backorders[list[i].ID]
		if w == nil {
			w = &list[i]
			w.readVersion = w.Version
		}
		w.Taken = list[i].Taken
		b.setBackorder(w, true)
		b.consider(w)
	}
}

// GrantNew is Grant for the backorders that this batch has placed: they are behind all others.
func (b *Book) GrantNew() {
	for _, w := range b.newBackorders {
		b.consider(w)
	}
}

// consider grants one backorder if it can.
func (b *Book) consider(w *Backorder) {
	switch {
	case w.Status != inventoryapi.BackorderWaiting:
	case b.granted >= b.maxGrants: // see Unfinished
	case b.overdueBackorder(w):
		b.expireBackorder(w)
	case w.Taken || b.lacks(w):
		b.skipped++
	default:
		b.grant(w)
	}
}

// lacks reports whether some product of a backorder is not available in the quantity that it wants. It does not matter
// here what others wait for: the caller asks in the order of the waiting list.
func (b *Book) lacks(w *Backorder) bool {
	want := map[uuid.UUID]int64{}
	for _, l := range w.Lines {
		want[l.ProductID] += l.Quantity
	}
	for p, n := range want {
		if sumAvailable(b.itemsByProduct[p]) < n {
			return true
		}
	}
	return false
}

// grant makes the reservation of a backorder.
func (b *Book) grant(w *Backorder) {
	lines := make([]inventoryapi.ReserveLine, len(w.Lines))
	for i, l := range w.Lines {
		lines[i] = inventoryapi.ReserveLine{LineNo: l.No, ProductID: l.ProductID, Quantity: l.Quantity}
	}
	held := &Reservation{
		ID:          w.ID,
		Owner:       w.Owner,
		RequestHash: w.RequestHash,
		Status:      inventoryapi.StatusPending,
		ExpiresAt:   b.now.Add(w.TTL),
		WorkflowID:  w.WorkflowID,
		Version:     1,
		Actor:       w.Actor,
		Reason:      grantReason,
		ReserveOp:   grantOperation(w.ID),
		CreatedAt:   b.now,
	}
	entries := b.hold(held, b.pick(lines, w.Strategy), w.CorrelationID)

	w.Status, w.ResolvedAt, w.ResolveOp = inventoryapi.BackorderGranted, b.now, held.ReserveOp
	w.Reason = grantReason
	w.Version++
	b.addWaiting(w, -1)
	b.granted++
	b.events = append(b.events, Event{
		Type:          inventoryapi.EventBackorderGranted,
		AggregateType: "backorder",
		AggregateID:   w.ID,
		Version:       w.Version,
		CorrelationID: w.CorrelationID,
		Data: inventoryapi.BackorderGrantedEvent{
			ReservationID: held.ID,
			OwnerKind:     held.Owner.Kind,
			OwnerID:       held.Owner.ID,
			Number:        held.Owner.Number,
			WorkflowID:    held.WorkflowID,
			OperationID:   held.ReserveOp,
			PlacedAt:      w.CreatedAt.UTC(),
			ExpiresAt:     held.ExpiresAt.UTC(),
			Lines:         b.eventLines(entries),
		},
	})
}

// expireBackorder ends a backorder past its deadline that its owner has not expired yet. The owner gets the same answer
// as after an expiry of its own.
func (b *Book) expireBackorder(w *Backorder) {
	c := backorderChange{
		id:          w.ID,
		operationID: takeBackOperation(w.ID),
		actor:       takeBackActor,
		reason:      overdueBackorderReason,
	}
	c.end(b, w, inventoryapi.BackorderExpired)
}

// expireOverdueBackorders ends the overdue backorders of the book that wait for products which fall short: what they
// wait for is not promised any longer.
func (b *Book) expireOverdueBackorders(short []inventoryapi.ShortLine) {
	if len(b.backorders) == 0 {
		return
	}
	products := make(map[uuid.UUID]bool, len(short))
	for _, s := range short {
		products[s.ProductID] = true
	}
	for id, w := range b.backorders {
		if w.Status == inventoryapi.BackorderWaiting && b.completeBackorders[id] && b.overdueBackorder(w) &&
			slices.ContainsFunc(w.Lines, func(l BackorderLine) bool { return products[l.ProductID] }) {
			b.expireBackorder(w)
		}
	}
}

// ShortBehindBackorders returns the products of refused reserves that backorders wait for. The store looks for overdue
// ones among them.
func (b *Book) ShortBehindBackorders() (products []uuid.UUID) {
	for p := range b.short {
		if b.waiting[p] > 0 {
			products = append(products, p)
		}
	}
	return products
}

// Granted returns how many backorders the batch has granted, and how many it has skipped although some stock of theirs
// was there.
func (b *Book) Granted() (granted, skipped int) { return b.granted, b.skipped }

// Unfinished returns the products whose waiting lists the batch has not read to their end, because it has reached
// its limit of grants. The service must continue with GrantWaiting.
func (b *Book) Unfinished() (products []uuid.UUID) {
	if b.granted < b.maxGrants {
		return nil
	}
	for p := range b.stirred {
		if sumAvailable(b.itemsByProduct[p]) > 0 && b.waiting[p] > 0 {
			products = append(products, p)
		}
	}
	return products
}

// ProductsOfBackorders returns the products on the lines of those of the given backorders that the book has.
func (b *Book) ProductsOfBackorders(ids []uuid.UUID) (products []uuid.UUID) {
	for _, id := range ids {
		if w := b.backorders[id]; w != nil {
			for _, l := range w.Lines {
				products = append(products, l.ProductID)
			}
		}
	}
	return products
}
