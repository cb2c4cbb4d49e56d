package stock

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"holdfast/inventory/inventoryapi"
)

// world stands in for the database: it keeps the rows that batches committed, and makes the book of each batch from
// them.
type world struct {
	now          time.Time
	items        map[int64]Item
	reservations map[uuid.UUID]Reservation
	ledger       []Entry
	events       []Event
}

func newWorld(products []uuid.UUID) *world {
	w := &world{
		now:          time.Unix(1_700_000_000, 0).UTC(),
		items:        map[int64]Item{},
		reservations: map[uuid.UUID]Reservation{},
	}
	for i, p := range products {
		for j, location := range []string{"near", "far"} {
			id := int64(2*i + j + 1)
			w.items[id] = Item{ID: id, ProductID: p, Location: location, Priority: j, Threshold: 2}
		}
		// The store creates such an item for a request that may need it.
		id := int64(100 + i)
		w.items[id] = Item{ID: id, ProductID: p, Location: "new", Priority: 2, Threshold: 2, Deleted: true}
	}
	return w
}

func (w *world) book() *Book {
	var items []Item
	var reservations []Reservation
	for _, it := range w.items {
		items = append(items, it)
	}
	for _, r := range w.reservations {
		r.Lines = append([]Line(nil), r.Lines...)
		reservations = append(reservations, r)
	}
	return NewBook(w.now, items, reservations, w.ledger)
}

// commit writes the changes as the store does, version checks included.
func (w *world) commit(t require.TestingT, c Changes) {
	told := map[string]bool{}
	for _, e := range c.Events {
		told[e.Type+" "+e.AggregateID.String()] = true
	}
	for _, it := range c.Items {
		old := w.items[it.ID]
		require.Equal(t, old.Version, it.Version)

		id := itemAggregate(it).String()
		depleted := old.Available() > 0 && it.Available() == 0
		require.Equal(t, depleted, told[inventoryapi.EventDepleted+" "+id], "depleted: %+v, %+v", old, it)
		low := old.Available() > old.Threshold && it.Available() <= it.Threshold
		require.Equal(t, low && !it.Deleted, told[inventoryapi.EventLowStock+" "+id], "low stock: %+v, %+v", old, it)

		next := *it
		next.Version, next.changed = it.Version+1, false
		w.items[it.ID] = next
	}

	for _, r := range c.Inserts {
		require.NotContains(t, w.reservations, r.ID)
		w.reservations[r.ID] = stored(r)
	}
	for _, r := range c.Updates {
		require.Equal(t, w.reservations[r.ID].Version, r.ReadVersion())
		old := w.reservations[r.ID].Status
		require.True(t, old == inventoryapi.StatusPending || old == r.Status, "%s became %s", old, r.Status)
		w.reservations[r.ID] = stored(r)
	}

	w.ledger = append(w.ledger, c.Entries...)
	w.events = append(w.events, c.Events...)
}

func stored(r *Reservation) Reservation {
	out := *r
	out.Lines = nil
	for _, l := range r.Lines {
		l.changed = false
		out.Lines = append(out.Lines, l)
	}
	return out
}

// check requires the invariants of stock.
func (w *world) check(t require.TestingT) {
	quantity, reserved, held := map[int64]int64{}, map[int64]int64{}, map[int64]int64{}
	type key struct {
		op   uuid.UUID
		item int64
		line int
	}
	once := map[key]bool{}
	for _, e := range w.ledger {
		quantity[e.ItemID] += e.QuantityDelta
		reserved[e.ItemID] += e.ReservedDelta
		require.Equal(t, quantity[e.ItemID], e.QuantityAfter)
		require.Equal(t, reserved[e.ItemID], e.ReservedAfter)
		k := key{e.OperationID, e.ItemID, e.Line}
		require.False(t, once[k], "an operation acted twice")
		once[k] = true
	}

	for _, r := range w.reservations {
		for _, l := range r.Lines {
			require.True(t, 0 <= l.Returned && l.Returned <= l.Quantity)
			if r.Status == inventoryapi.StatusPending {
				held[l.ItemID] += l.Quantity
			}
		}
	}

	for id, it := range w.items {
		require.True(t, it.Quantity >= 0 && it.Reserved >= 0 && it.Reserved <= it.Quantity, "item %d: %+v", id, it)
		require.Equal(t, quantity[id], it.Quantity, "quantity is the ledger's sum")
		require.Equal(t, reserved[id], it.Reserved, "reserved is the ledger's sum")
		require.Equal(t, held[id], it.Reserved, "reserved is what open reservations hold")
		require.False(t, it.Deleted && it.Quantity > 0, "deleted items are empty")
	}

	type announced struct {
		id      uuid.UUID
		version int64
		kind    string
	}
	seen := map[announced]bool{}
	for _, e := range w.events {
		k := announced{e.AggregateID, e.Version, e.Type}
		require.False(t, seen[k], "event %+v would break the outbox's key", k)
		seen[k] = true
	}
}

// anyRequest decides one request whose answer may be of any type, so that a test can draw from all of them.
type anyRequest func(*Book) (any, error)

func anyOf[T any](r Request[T]) anyRequest {
	return func(b *Book) (any, error) { return Decide(b, r) }
}

func untyped[R Request[T], T any](r R, err error) (anyRequest, error) { return anyOf[T](r), err }

// TestRules applies random batches and checks the invariants after each.
func TestRules(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		products := []uuid.UUID{{1}, {2}, {3}}
		w := newWorld(products)
		serial := byte(0)
		operation := func() uuid.UUID {
			serial++
			return uuid.UUID{0xff, serial}
		}

		var ops []uuid.UUID
		draw := func() anyRequest {
			id := uuid.UUID{9, byte(rapid.IntRange(0, 5).Draw(rt, "reservation"))}
			owner := Owner{Kind: inventoryapi.OwnerOrder, ID: id, Number: 1}
			op := operation()
			if len(ops) > 0 && rapid.IntRange(0, 5).Draw(rt, "again") == 0 {
				op = rapid.SampledFrom(ops).Draw(rt, "operation")
			}
			resolve := inventoryapi.ResolveRequest{OperationID: operation(), Actor: "a"}
			var r anyRequest
			var err error
			switch rapid.SampledFrom([]string{
				"receive", "reserve", "reserve", "confirm", "release", "expire", "extend", "return",
				"adjust", "count", "transfer", "threshold", "create", "delete",
			}).Draw(rt, "kind") {
			case "adjust", "count", "transfer", "threshold", "create", "delete":
				ops = append(ops, op)
				r, err = drawAdministration(rt, w, op, products)
			case "receive":
				in := Receive{
					OperationID: op,
					ProductID:   rapid.SampledFrom(products).Draw(rt, "product"),
					Location:    rapid.SampledFrom([]string{"near", "far"}).Draw(rt, "location"),
					Quantity:    int64(rapid.IntRange(0, 5).Draw(rt, "quantity")),
					Actor:       "a",
				}
				ops = append(ops, op)
				r, err = untyped(in, in.Check())
			case "reserve":
				in := inventoryapi.ReserveRequest{
					ReservationID: id,
					OwnerKind:     owner.Kind,
					OwnerID:       owner.ID,
					Number:        1,
					OperationID:   operation(),
					Actor:         "a",
					TTLSeconds:    10,
				}
				for range rapid.IntRange(1, 3).Draw(rt, "lines") {
					in.Lines = append(in.Lines, inventoryapi.ReserveLine{
						ProductID: rapid.SampledFrom(products).Draw(rt, "product"),
						Quantity:  int64(rapid.IntRange(1, 4).Draw(rt, "quantity")),
					})
				}
				r, err = untyped(NewReserve(in, time.Minute, ""))
			case "confirm":
				r, err = untyped(NewConfirm(id, resolve, ""))
			case "expire":
				r, err = untyped(NewExpire(id, resolve, ""))
			case "release":
				in := inventoryapi.ReleaseRequest{OperationID: operation(), Actor: "a"}
				if rapid.Bool().Draw(rt, "tombstone") {
					in.OwnerKind, in.OwnerID, in.Number = owner.Kind, owner.ID, 1
				}
				r, err = untyped(NewRelease(id, in, ""))
			case "extend":
				to := w.now.Add(time.Duration(rapid.IntRange(-20, 20).Draw(rt, "to")) * time.Second)
				r, err = untyped(NewExtend(id, inventoryapi.ExtendRequest{ExpiresAt: to, Actor: "a"}, ""))
			case "return":
				in := inventoryapi.ReturnRequest{OperationID: op, Actor: "a"}
				if rapid.Bool().Draw(rt, "partly") {
					in.Lines = []inventoryapi.ReturnLine{{
						LineNo:   rapid.IntRange(1, 3).Draw(rt, "line"),
						Quantity: int64(rapid.IntRange(1, 4).Draw(rt, "quantity")),
					}}
				}
				ops = append(ops, op)
				r, err = untyped(NewReturn(id, in, ""))
			}
			require.NoError(rt, err)
			return r
		}

		for range rapid.IntRange(1, 12).Draw(rt, "batches") {
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 6).Draw(rt, "seconds")) * time.Second)
			b := w.book()
			for range rapid.IntRange(1, 6).Draw(rt, "size") {
				r := draw()
				entries, events := len(b.newEntries), len(b.events)
				answer, err := r(b)
				require.NotErrorIs(rt, err, ErrStale)
				if errors.Is(err, ErrVersionTold) { // the book is unusable
					b = w.book()
					continue
				}
				if err != nil {
					expired := map[uuid.UUID]bool{} // what a refused reserve took back
					for _, e := range b.newEntries[entries:] {
						require.ErrorIs(rt, err, inventoryapi.InsufficientStock, "a refused request wrote an entry")
						require.Equal(rt, takeBackOperation(e.ReservationID), e.OperationID)
						require.Equal(rt, Expired, e.Kind)
						expired[e.ReservationID] = true
					}
					require.Len(rt, b.events, events+len(expired), "a refused request announced something")
					require.NotEmpty(rt, inventoryapi.CodeOf(err))
					requireNoneOverdue(rt, b, err)
					continue
				}

				again, err := r(b)
				if c, ok := again.(inventoryapi.Reservation); ok {
					c.Replayed = answer.(inventoryapi.Reservation).Replayed
					again = c
				}
				if c, ok := again.(Receipt); ok && c.Quantity > 0 {
					c.Replayed, c.Version = answer.(Receipt).Replayed, answer.(Receipt).Version
					again = c
				}
				require.NoError(rt, err, "the same request again")
				require.Equal(rt, first(answer), first(again))
			}
			w.commit(rt, b.Changes())
			w.check(rt)
		}
	})
}

// requireNoneOverdue fails if a reserve was refused although an overdue reservation holds a product that it wants.
func requireNoneOverdue(t require.TestingT, b *Book, refusal error) {
	var short *inventoryapi.InsufficientStockError
	if !errors.As(refusal, &short) || short.Detail != "" { // an operator's change takes nothing back
		return
	}
	for _, held := range b.reservations {
		for _, line := range held.Lines {
			for _, s := range short.Lines {
				require.False(t, held.Status == inventoryapi.StatusPending && b.due(held) &&
					b.items[line.ItemID].ProductID == s.ProductID, "%+v is overdue and holds stock", held)
			}
		}
	}
}

// TestStaleBook: a request for a reservation whose items were not read must be decided again, not answered.
func TestStaleBook(t *testing.T) {
	t.Parallel()
	now := time.Now()
	held := Reservation{
		ID:        uuid.New(),
		Status:    inventoryapi.StatusPending,
		ExpiresAt: now.Add(time.Minute),
		Version:   1,
		Lines:     []Line{{No: 1, ItemID: 7, Quantity: 1}},
	}
	in := inventoryapi.ResolveRequest{OperationID: uuid.New(), Actor: "a"}
	confirm, err := NewConfirm(held.ID, in, "")
	require.NoError(t, err)

	b := NewBook(now, nil, []Reservation{held}, nil)
	_, err = Decide(b, confirm)
	require.ErrorIs(t, err, ErrStale)
	require.True(t, b.Changes().Empty())
}

// TestCountersThatDoNotCover: if the counters of an item are less than its reservations, a request is refused with an
// error of its own.
func TestCountersThatDoNotCover(t *testing.T) {
	t.Parallel()
	now := time.Now()
	item := Item{ID: 7, Quantity: 5, Reserved: 1}
	held := Reservation{
		ID:        uuid.New(),
		Status:    inventoryapi.StatusPending,
		ExpiresAt: now.Add(time.Minute),
		Version:   1,
		Lines:     []Line{{No: 1, ItemID: 7, Quantity: 2}},
	}
	confirm, err := NewConfirm(held.ID, inventoryapi.ResolveRequest{OperationID: uuid.New(), Actor: "a"}, "")
	require.NoError(t, err)
	release, err := NewRelease(held.ID, inventoryapi.ReleaseRequest{OperationID: uuid.New(), Actor: "a"}, "")
	require.NoError(t, err)

	b := NewBook(now, []Item{item}, []Reservation{held}, nil)
	_, err = Decide(b, confirm)
	require.ErrorIs(t, err, inventoryapi.InvalidConfirm)
	_, err = Decide(b, release)
	require.ErrorIs(t, err, inventoryapi.InvalidRelease)
	require.True(t, b.Changes().Empty())
}

// TestDeadlineInstant: at the instant of the deadline a reservation expires and cannot be confirmed.
func TestDeadlineInstant(t *testing.T) {
	t.Parallel()
	at := time.Now()
	held := Reservation{ID: uuid.New(), Status: inventoryapi.StatusPending, ExpiresAt: at, Version: 1}
	in := inventoryapi.ResolveRequest{OperationID: uuid.New(), Actor: "a"}
	confirm, err := NewConfirm(held.ID, in, "")
	require.NoError(t, err)
	expire, err := NewExpire(held.ID, in, "")
	require.NoError(t, err)

	for _, c := range []struct {
		now      time.Time
		refusing anyRequest
		code     inventoryapi.Code
	}{
		{at, anyOf(confirm), inventoryapi.ReservationExpired},
		{at.Add(-time.Microsecond), anyOf(expire), inventoryapi.NotDue},
	} {
		b := NewBook(c.now, nil, []Reservation{held}, nil)
		_, err := c.refusing(b)
		require.ErrorIs(t, err, c.code)
	}
}
