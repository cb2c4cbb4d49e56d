package stock

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

// shelf is a book of two products with one item each, all of whose stock is reserved, one unit per reservation.
type shelf struct {
	now          time.Time
	products     [2]uuid.UUID
	reservations []Reservation
}

func newShelf() *shelf {
	return &shelf{now: time.Unix(1_700_000_000, 0).UTC(), products: [2]uuid.UUID{{1}, {2}}}
}

// hold adds a reservation that holds one unit of each named product. It became overdue that long ago.
func (s *shelf) hold(overdueFor time.Duration, products ...int) uuid.UUID {
	r := Reservation{
		ID:          uuid.UUID{9, byte(len(s.reservations))},
		Owner:       Owner{Kind: inventoryapi.OwnerOrder, ID: uuid.UUID{8, byte(len(s.reservations))}, Number: 1},
		RequestHash: make([]byte, 32),
		Status:      inventoryapi.StatusPending,
		ExpiresAt:   s.now.Add(-overdueFor),
		Version:     1,
		ReserveOp:   uuid.New(),
	}
	for i, p := range products {
		r.Lines = append(r.Lines, Line{No: i + 1, ItemID: int64(p + 1), Quantity: 1})
	}
	s.reservations = append(s.reservations, r)
	return r.ID
}

func (s *shelf) book() *Book {
	items := make([]Item, 2)
	for i, p := range s.products {
		items[i] = Item{ID: int64(i + 1), ProductID: p, Location: "near", Version: 1}
	}
	for _, r := range s.reservations {
		for _, l := range r.Lines {
			items[l.ItemID-1].Quantity++
			items[l.ItemID-1].Reserved++
		}
	}
	return NewBook(s.now, items, slices.Clone(s.reservations), nil)
}

// reserve returns a request for a quantity of each named product.
func (s *shelf) reserve(t *testing.T, quantity int64, products ...int) Reserve {
	t.Helper()
	in := inventoryapi.ReserveRequest{
		ReservationID: uuid.New(),
		OwnerKind:     inventoryapi.OwnerOrder,
		OwnerID:       uuid.New(),
		Number:        1,
		OperationID:   uuid.New(),
		Actor:         "a",
	}
	for _, p := range products {
		in.Lines = append(in.Lines, inventoryapi.ReserveLine{ProductID: s.products[p], Quantity: quantity})
	}
	r, err := NewReserve(in, time.Minute, "c-1")
	require.NoError(t, err)
	return r
}

func (s *shelf) resolve() inventoryapi.ResolveRequest {
	return inventoryapi.ResolveRequest{OperationID: uuid.New(), Actor: "owner"}
}

func statuses(b *Book, ids ...uuid.UUID) []inventoryapi.Status {
	out := make([]inventoryapi.Status, len(ids))
	for i, id := range ids {
		out[i] = b.reservations[id].Status
	}
	return out
}

// TestReserveTakesBackOverdueStock: a reserve that is short expires as many overdue reservations as it needs, oldest
// deadline first, before its own entry and its own event.
func TestReserveTakesBackOverdueStock(t *testing.T) {
	t.Parallel()
	s := newShelf()
	newer, oldest, alive, unneeded := s.hold(time.Second, 0), s.hold(time.Hour, 0), s.hold(-time.Second, 0), s.hold(0, 0)
	b := s.book()
	in := s.reserve(t, 2, 0)

	_, err := Decide(b, in)
	require.NoError(t, err)
	require.Equal(t, []inventoryapi.Status{"expired", "expired", "pending", "pending"},
		statuses(b, oldest, newer, alive, unneeded))
	c := b.Changes()
	require.Len(t, c.Entries, 3)
	for i, id := range []uuid.UUID{oldest, newer} {
		require.Equal(t, Entry{
			OperationID:   takeBackOperation(id),
			ItemID:        1,
			Line:          1,
			Kind:          Expired,
			ReservedDelta: -1,
			QuantityAfter: 4,
			ReservedAfter: int64(3 - i),
			VersionAfter:  2,
			ReservationID: id,
			Actor:         takeBackActor,
			Reason:        takeBackReason,
		}, c.Entries[i])
		require.Equal(t, inventoryapi.EventExpired, c.Events[i].Type)
		require.Equal(t, id, c.Events[i].AggregateID)
		require.EqualValues(t, 2, c.Events[i].Version)
		require.Equal(t, "c-1", c.Events[i].CorrelationID)
	}
	require.Equal(t, Reserved, c.Entries[2].Kind)
	require.Equal(t, inventoryapi.EventReserved, c.Events[2].Type)
	require.Len(t, c.Resolved, 2, "their lines are closed")
	require.Empty(t, b.Short())
}

// TestReserveThatIsNotShortTakesNothingBack: an overdue reservation stays as it is while there is other stock.
func TestReserveThatIsNotShortTakesNothingBack(t *testing.T) {
	t.Parallel()
	s := newShelf()
	overdue := s.hold(time.Hour, 0)
	b := s.book()
	b.items[1].Quantity++

	_, err := Decide(b, s.reserve(t, 1, 0))
	require.NoError(t, err)
	require.Equal(t, []inventoryapi.Status{"pending"}, statuses(b, overdue))
}

// TestTakeBackIsRightInItself: a reserve of two products stays refused if one of them stays short. The overdue
// reservations of both have expired all the same, and the refusal has the quantities after that.
func TestTakeBackIsRightInItself(t *testing.T) {
	t.Parallel()
	s := newShelf()
	first, second, alive := s.hold(time.Hour, 0), s.hold(time.Hour, 1), s.hold(-time.Second, 1)
	b := s.book()

	_, err := Decide(b, s.reserve(t, 2, 0, 1))
	require.Equal(t, &inventoryapi.InsufficientStockError{Lines: []inventoryapi.ShortLine{
		{ProductID: s.products[0], Requested: 2, Available: 1},
		{ProductID: s.products[1], Requested: 2, Available: 1},
	}}, err)
	require.Equal(t, []inventoryapi.Status{"expired", "expired", "pending"}, statuses(b, first, second, alive))
	require.Equal(t, []Shortage{{Items: []int64{2}, Quantity: 2}}, b.Short(), "nothing is reserved of the other product")

	_, err = Decide(b, s.reserve(t, 1, 0, 1))
	require.NoError(t, err, "the next reserve gets the stock")
}

// TestTakeBackInOrderOfArrival: requests for an overdue reservation in the same batch get the answers that their order
// implies.
func TestTakeBackInOrderOfArrival(t *testing.T) {
	t.Parallel()
	s := newShelf()
	id := s.hold(time.Hour, 0)
	confirm, err := NewConfirm(id, s.resolve(), "")
	require.NoError(t, err)
	expire, err := NewExpire(id, s.resolve(), "")
	require.NoError(t, err)
	extend, err := NewExtend(id, inventoryapi.ExtendRequest{ExpiresAt: s.now.Add(time.Hour), Actor: "owner"}, "")
	require.NoError(t, err)
	release, err := NewRelease(id, inventoryapi.ReleaseRequest{OperationID: uuid.New(), Actor: "owner"}, "")
	require.NoError(t, err)

	for _, c := range []struct {
		name          string
		request       anyRequest
		before, after inventoryapi.Code      // the answer to the request before or after the reserve
		ended         inventoryapi.Status    // if the request comes first
		seen          [2]inventoryapi.Status // in the refusal, before and after
	}{
		{
			name:    "confirm",
			request: anyOf(confirm),
			before:  inventoryapi.ReservationExpired,
			after:   inventoryapi.ReservationExpired,
			ended:   inventoryapi.StatusExpired,
			seen:    [2]inventoryapi.Status{inventoryapi.StatusPending, inventoryapi.StatusExpired},
		},
		{
			name:    "extend",
			request: anyOf(extend),
			before:  inventoryapi.ReservationExpired,
			after:   inventoryapi.ReservationExpired,
			ended:   inventoryapi.StatusExpired,
			seen:    [2]inventoryapi.Status{inventoryapi.StatusPending, inventoryapi.StatusExpired},
		},
		{
			name:    "release",
			request: anyOf(release),
			after:   inventoryapi.AlreadyResolved,
			ended:   inventoryapi.StatusReleased,
		},
		{name: "expire", request: anyOf(expire), ended: inventoryapi.StatusExpired},
	} {
		for i, code := range []inventoryapi.Code{c.before, c.after} {
			b := s.book()
			var err, reserved error
			if i == 0 {
				_, err = c.request(b)
				_, reserved = Decide(b, s.reserve(t, 1, 0))
				require.Equal(t, []inventoryapi.Status{c.ended}, statuses(b, id), c.name)
			} else {
				_, reserved = Decide(b, s.reserve(t, 1, 0))
				_, err = c.request(b)
			}
			require.NoError(t, reserved, c.name)
			require.Equal(t, code, inventoryapi.CodeOf(err), c.name)
			if deadline, ok := err.(*inventoryapi.DeadlineError); ok { //nolint:errorlint // never wrapped
				require.Equal(t, c.seen[i], deadline.Status, c.name)
			}
			require.Len(t, b.Changes().Resolved, 1, "it ended once")
		}
	}
}

// TestTakeBackNeedsAllItems: a reservation that also holds an item which was not read is left alone. The store reports
// it, and the batch is decided again with the item.
func TestTakeBackNeedsAllItems(t *testing.T) {
	t.Parallel()
	s := newShelf()
	id := s.hold(time.Hour, 0, 1)
	b := s.book()
	delete(b.items, 2)

	_, err := Decide(b, s.reserve(t, 1, 0))
	require.ErrorIs(t, err, inventoryapi.InsufficientStock)
	require.Equal(t, []inventoryapi.Status{"pending"}, statuses(b, id))
	require.Equal(t, []Shortage{{Items: []int64{1}, Quantity: 1}}, b.Short())
}

// TestTakeBackAfterATellingAnswer: an answer of the batch contains the version of a product. A reserve of another
// product must not change that product in the same batch.
func TestTakeBackAfterATellingAnswer(t *testing.T) {
	t.Parallel()
	s := newShelf()
	s.hold(time.Hour, 0, 1)
	b := s.book()

	receive := Receive{OperationID: uuid.New(), ProductID: s.products[1], Location: "near", Quantity: 1, Actor: "a"}
	_, err := Decide(b, receive)
	require.NoError(t, err)
	_, err = Decide(b, s.reserve(t, 1, 0))
	require.ErrorIs(t, err, ErrVersionTold)
}
