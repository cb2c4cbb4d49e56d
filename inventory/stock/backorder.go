package stock

import (
	"bytes"
	"errors"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// Backorder waits for stock of all its lines until its deadline. Its grant makes the reservation of the same id.
type Backorder struct {
	ID            uuid.UUID
	Position      int64 // the order of placing; 0 for a new backorder, until the database has assigned one
	Owner         Owner
	RequestHash   []byte // nil for a tombstone
	Status        inventoryapi.BackorderStatus
	Deadline      time.Time
	TTL           time.Duration // of the reservation, from the moment of the grant
	Strategy      inventoryapi.Strategy
	WorkflowID    string
	Version       int64
	Actor         string
	Reason        string
	PlaceOp       uuid.UUID
	ResolveOp     uuid.UUID // zero while waiting
	CorrelationID string
	CreatedAt     time.Time
	ResolvedAt    time.Time // zero while waiting
	Lines         []BackorderLine

	// Taken means that a reservation has the id or the owner's number, so that the backorder cannot be granted.
	Taken bool

	readVersion int64 // 0 for a new backorder
}

// BackorderLine is the quantity of a product that one line waits for.
type BackorderLine struct {
	No        int
	ProductID uuid.UUID
	Quantity  int64
}

// ReadVersion returns the version that was read. The update requires that the row still has it; 0 means insert.
func (w *Backorder) ReadVersion() int64 { return w.readVersion }

// overdueBackorder reports whether the deadline has come. From that instant on a backorder can be expired and no longer
// be granted or extended.
func (b *Book) overdueBackorder(w *Backorder) bool { return !b.now.Before(w.Deadline) }

// MoreError means that a decision needs rows which the book does not have. The caller must read them too, and decide
// the whole batch again.
type MoreError struct {
	Products   []uuid.UUID // all items of these products
	Backorders []uuid.UUID // these backorders, and all items of their products
}

func (*MoreError) Error() string { return "a decision about backorders needs more rows" }

// Is makes the error one of ErrStale.
func (*MoreError) Is(target error) bool { return target == ErrStale }

// NoteBackorders adds backorders to the book. A backorder can be changed if it is complete: the book has all items of
// its products.
func (b *Book) NoteBackorders(list []Backorder, complete func(uuid.UUID) bool) {
	for i := range list {
		w := &list[i]
		w.readVersion = w.Version
		b.setBackorder(w, complete(w.ID))
	}
}

func (b *Book) setBackorder(w *Backorder, complete bool) {
	if b.backorders == nil {
		b.backorders = map[uuid.UUID]*Backorder{}
		b.backorderOwners = map[Owner]uuid.UUID{}
		b.completeBackorders = map[uuid.UUID]bool{}
	}
	b.backorders[w.ID] = w
	b.backorderOwners[w.Owner] = w.ID
	b.completeBackorders[w.ID] = complete
}

// refuseUsedOwner refuses a new reservation or backorder if another one has the owner's number.
func (b *Book) refuseUsedOwner(owner Owner, id uuid.UUID) error {
	if other, ok := b.owners[owner]; ok && other != id {
		return inventoryapi.Errorf(inventoryapi.AlreadyExists, "number",
			"%s %s already has reservation %s with number %d; send another number",
			owner.Kind, owner.ID, other, owner.Number)
	}
	if other, ok := b.backorderOwners[owner]; ok && other != id {
		return inventoryapi.Errorf(inventoryapi.AlreadyExists, "number",
			"%s %s already has backorder %s with number %d; send another number",
			owner.Kind, owner.ID, other, owner.Number)
	}
	return nil
}

// NoteWaiting sets the quantities of products that backorders wait for, as the waiting lists have them. It is for
// transactions that may create items of the products, or place the first backorder of a product without an item.
func (b *Book) NoteWaiting(quantities map[uuid.UUID]int64, products []uuid.UUID) {
	for _, p := range products {
		if n := quantities[p]; n != b.waiting[p] {
			b.setWaiting(p, n)
		}
	}
}

func (b *Book) setWaiting(product uuid.UUID, n int64) {
	if b.waiting == nil {
		b.waiting = map[uuid.UUID]int64{}
	}
	b.waiting[product] = n
}

// addWaiting adds the lines of a backorder to the quantities that are waited for; with sign -1 it takes them off. The
// book has all items of the products. Their versions move, because what is available to others changes.
func (b *Book) addWaiting(w *Backorder, sign int64) {
	for _, l := range w.Lines {
		// Of a product without items the book may not know the quantity; then it is written nowhere.
		b.setWaiting(l.ProductID, max(b.waiting[l.ProductID]+sign*l.Quantity, 0))
		for _, it := range b.itemsByProduct[l.ProductID] {
			it.changed = it.changed || it.Version > 0
		}
	}
}

// free returns the quantity of a product that a new request can have: what is available and not promised to
// backorders. It is negative if they wait for more than there is. A grant does not change it.
func (b *Book) free(product uuid.UUID) int64 {
	return sumAvailable(b.itemsByProduct[product]) - b.waiting[product]
}

// PlaceBackorder makes a reservation if the stock is there, and waits for it otherwise.
type PlaceBackorder struct {
	reserve Reserve
	wait    time.Duration
}

// NewPlaceBackorder checks a request; defaultTTL applies if the request has no time to live.
func NewPlaceBackorder(
	in inventoryapi.PlaceBackorderRequest, defaultTTL time.Duration, correlationID string,
) (PlaceBackorder, error) {
	if in.BackorderID == uuid.Nil {
		return PlaceBackorder{}, required("backorder_id")
	}
	if in.WaitSeconds < 1 || in.WaitSeconds > inventoryapi.MaxWaitSeconds {
		return PlaceBackorder{}, inventoryapi.Errorf(inventoryapi.InvalidDuration, "wait_seconds",
			"wait_seconds lies between 1 and %d", inventoryapi.MaxWaitSeconds)
	}
	r, err := NewReserve(inventoryapi.ReserveRequest{
		ReservationID: in.BackorderID,
		OwnerKind:     in.OwnerKind,
		OwnerID:       in.OwnerID,
		Number:        in.Number,
		WorkflowID:    in.WorkflowID,
		OperationID:   in.OperationID,
		Actor:         in.Actor,
		TTLSeconds:    in.TTLSeconds,
		Strategy:      in.Strategy,
		Lines:         in.Lines,
	}, defaultTTL, correlationID)
	if err != nil {
		return PlaceBackorder{}, err
	}
	r.hash = backorderHash(r.hash, in.WaitSeconds)
	return PlaceBackorder{r, time.Duration(in.WaitSeconds) * time.Second}, nil
}

// WithDefaultStrategy returns a copy of p with the strategy that applies if the request names none.
func (p PlaceBackorder) WithDefaultStrategy(strategy inventoryapi.Strategy) PlaceBackorder {
	p.reserve = p.reserve.WithDefaultStrategy(strategy)
	return p
}

// Kind names the operation.
func (PlaceBackorder) Kind() string { return "place_backorder" }

// TellsVersion reports that the answer does not contain the product's version.
func (PlaceBackorder) TellsVersion() bool { return false }

// Reads adds the products' items and their waiting lists, and whatever has the id or the owner's number already.
func (p PlaceBackorder) Reads(reads *Reads) {
	for _, l := range p.reserve.in.Lines {
		reads.Products = append(reads.Products, l.ProductID)
		reads.Facts = append(reads.Facts, l.ProductID)
	}
	reads.Backorders = append(reads.Backorders, p.reserve.in.ReservationID)
	reads.Owners = append(reads.Owners, p.reserve.owner())
}

func (p PlaceBackorder) decide(b *Book) (out inventoryapi.Backorder, err error) {
	in := p.reserve.in
	if w := b.backorders[in.ReservationID]; w != nil {
		return p.answerRepeat(b, w)
	}
	if err := b.refuseUsedOwner(p.reserve.owner(), in.ReservationID); err != nil {
		return out, err
	}

	held, err := p.reserve.decide(b) // a repeat, if the first request found its stock
	var short *inventoryapi.InsufficientStockError
	switch {
	case err == nil:
		return GrantedAtOnce(held), nil
	case !errors.As(err, &short):
		return out, err
	}

	w := &Backorder{
		ID:            in.ReservationID,
		Owner:         p.reserve.owner(),
		RequestHash:   p.reserve.hash,
		Status:        inventoryapi.BackorderWaiting,
		Deadline:      b.now.Add(p.wait),
		TTL:           p.reserve.ttl,
		Strategy:      p.reserve.strategy(),
		WorkflowID:    in.WorkflowID,
		Version:       1,
		Actor:         in.Actor,
		PlaceOp:       in.OperationID,
		CorrelationID: p.reserve.correlationID,
		CreatedAt:     b.now,
	}
	for _, l := range in.Lines {
		w.Lines = append(w.Lines, BackorderLine{No: l.LineNo, ProductID: l.ProductID, Quantity: l.Quantity})
	}
	b.addBackorder(w)
	b.addWaiting(w, 1)
	return DescribeBackorder(w), nil
}

// addBackorder adds a new backorder, or a tombstone, to the book and to the rows to write.
func (b *Book) addBackorder(w *Backorder) {
	b.setBackorder(w, true)
	b.newBackorders = append(b.newBackorders, w)
}

// answerRepeat answers a request whose backorder exists. A repeat of the same request gets the backorder as it is now,
// unless it was cancelled or has expired. A different request is refused.
func (p PlaceBackorder) answerRepeat(b *Book, w *Backorder) (out inventoryapi.Backorder, err error) {
	tombstone := w.RequestHash == nil
	if !tombstone && !bytes.Equal(w.RequestHash, p.reserve.hash) {
		return out, inventoryapi.Errorf(inventoryapi.AlreadyExists, "backorder_id",
			"backorder %s was placed by a different request; send a new backorder_id", w.ID)
	}
	if w.Status == inventoryapi.BackorderCancelled || w.Status == inventoryapi.BackorderExpired {
		return out, notWaiting(w)
	}
	out = DescribeBackorder(w)
	out.Replayed = true
	if held := b.reservations[w.ID]; held != nil {
		if out.Reservation, err = b.reservationAnswer(held, true); err != nil {
			return out, err
		}
	}
	return out, nil
}

// GrantedAtOnce returns the answer to a backorder that found its stock when it was placed: the reservation exists, and
// no backorder was recorded.
func GrantedAtOnce(held inventoryapi.Reservation) inventoryapi.Backorder {
	out := inventoryapi.Backorder{
		BackorderID: held.ReservationID,
		OwnerKind:   held.OwnerKind,
		OwnerID:     held.OwnerID,
		Number:      held.Number,
		WorkflowID:  held.WorkflowID,
		Status:      inventoryapi.BackorderGranted,
		Version:     held.Version,
		CreatedAt:   held.CreatedAt,
		ResolvedAt:  held.CreatedAt,
		Actor:       held.Actor,
		Reason:      held.Reason,
		Replayed:    held.Replayed,
		Lines:       []inventoryapi.BackorderLine{},
		Reservation: held,
	}
	for _, l := range held.Lines {
		n := len(out.Lines)
		if n > 0 && out.Lines[n-1].LineNo == l.LineNo { // split over locations
			out.Lines[n-1].Quantity += l.Quantity
			continue
		}
		out.Lines = append(out.Lines, inventoryapi.BackorderLine{
			LineNo: l.LineNo, ProductID: l.ProductID, Quantity: l.Quantity,
		})
	}
	return out
}

// DescribeBackorder returns a backorder as clients see it, without its place in the waiting lists.
func DescribeBackorder(w *Backorder) inventoryapi.Backorder {
	out := inventoryapi.Backorder{
		BackorderID: w.ID,
		OwnerKind:   w.Owner.Kind,
		OwnerID:     w.Owner.ID,
		Number:      w.Owner.Number,
		WorkflowID:  w.WorkflowID,
		Status:      w.Status,
		Deadline:    w.Deadline,
		TTLSeconds:  int64(w.TTL / time.Second),
		Version:     w.Version,
		CreatedAt:   w.CreatedAt,
		ResolvedAt:  w.ResolvedAt,
		Actor:       w.Actor,
		Reason:      w.Reason,
		Lines:       make([]inventoryapi.BackorderLine, len(w.Lines)),
	}
	for i, l := range w.Lines {
		out.Lines[i] = inventoryapi.BackorderLine{LineNo: l.No, ProductID: l.ProductID, Quantity: l.Quantity}
	}
	return out
}

// notWaiting refuses because a backorder has ended.
func notWaiting(w *Backorder) error {
	return &inventoryapi.BackorderStatusError{BackorderID: w.ID, Status: w.Status}
}
