package inventorytest

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

// ReplaceOf makes a request that replaces the reservation of r by lines, under the owner's next number.
func ReplaceOf(r inventoryapi.ReserveRequest, lines ...inventoryapi.ReserveLine) inventoryapi.ReserveRequest {
	out := r
	out.Number++
	out.ReservationID = inventoryapi.NewReservationID(r.OwnerKind, r.OwnerID, out.Number)
	out.OperationID = uuid.New()
	out.Replaces = r.ReservationID
	out.TTLSeconds = 0
	out.Lines = lines
	return out
}

// testReplace: the old units count as available to the new reservation, also if no other unit is left. The new one
// keeps the deadline, and a repeat finds it.
func testReplace(t *testing.T, s Subject) {
	a, b := s.Stock(t, 5), s.Stock(t, 2)
	in := NewReserve(Line(a, 3), Line(b, 1))
	in.TTLSeconds = 60
	old, err := s.API.Reserve(t.Context(), in)
	require.NoError(t, err)

	next := ReplaceOf(in, Line(a, 5))
	out, err := s.API.Reserve(t.Context(), next)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.StatusPending, out.Status)
	require.Equal(t, old.ExpiresAt, out.ExpiresAt, "a replacement does not lengthen the hold")
	require.Equal(t, []inventoryapi.ReservationLine{
		{LineNo: 1, ProductID: a, Location: "near", Quantity: 5, RemainingStock: 0, ReservedQuantity: 5},
	}, out.Lines)

	got, err := s.API.GetReservation(t.Context(), in.ReservationID)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.StatusReleased, got.Status)
	require.Equal(t, "replaced by another reservation of its owner", got.Reason)
	available, reserved := s.Available(t, b)
	require.Equal(t, [2]int64{2, 0}, [2]int64{available, reserved}, "what is not on the new lines went back")

	again, err := s.API.Reserve(t.Context(), next)
	require.NoError(t, err)
	require.True(t, again.Replayed)
	again.Replayed = false
	require.Equal(t, out, again)
	without := next
	without.Replaces = uuid.Nil
	again, err = s.API.Reserve(t.Context(), without)
	require.NoError(t, err, "a caller who knows only what is reserved finds it too")
	require.True(t, again.Replayed)

	shorter := ReplaceOf(next, Line(a, 1))
	shorter.TTLSeconds = 10
	out, err = s.API.Reserve(t.Context(), shorter)
	require.NoError(t, err)
	require.True(t, out.ExpiresAt.Before(old.ExpiresAt.Add(-20*time.Second)), "a time to live only shortens")
	_, err = s.API.Reserve(t.Context(), next)
	require.Equal(t, alreadyResolved(next.ReservationID, inventoryapi.StatusReleased), err)

	for _, r := range []struct {
		released inventoryapi.ReserveRequest
		replaced bool
	}{{in, true}, {next, true}, {shorter, false}} {
		released, err := s.API.Release(t.Context(), r.released.ReservationID, ReleaseOf(r.released))
		require.NoError(t, err)
		require.Equal(t, r.replaced, released.Replaced, "reservation %d", r.released.Number)
	}
}

// testReplaceRefused: a replacement that is refused changes nothing and says why.
func testReplaceRefused(t *testing.T, s Subject) {
	p, q := s.Stock(t, 5), s.Stock(t, 0)
	in, old := s.reserve(t, Line(p, 3))
	short := ReplaceOf(in, Line(p, 6), Line(q, 1))
	for range 2 {
		_, err := s.API.Reserve(t.Context(), short)
		require.Equal(t, &inventoryapi.InsufficientStockError{Lines: []inventoryapi.ShortLine{
			{ProductID: p, Requested: 6, Available: 5}, {ProductID: q, Requested: 1},
		}}, err)
	}
	got, err := s.API.GetReservation(t.Context(), in.ReservationID)
	require.NoError(t, err)
	require.Equal(t, old, got)

	itself := in
	itself.Replaces = in.ReservationID
	_, err = s.API.Reserve(t.Context(), itself)
	require.ErrorIs(t, err, inventoryapi.InvalidInput)
	foreign := NewReserve(Line(p, 1))
	foreign.Replaces = in.ReservationID
	_, err = s.API.Reserve(t.Context(), foreign)
	require.ErrorIs(t, err, inventoryapi.InvalidInput, "of another owner")
	unknown := ReplaceOf(in, Line(p, 1))
	unknown.Replaces = uuid.New()
	_, err = s.API.Reserve(t.Context(), unknown)
	require.ErrorIs(t, err, inventoryapi.ReservationNotFound)
	got, err = s.API.GetReservation(t.Context(), in.ReservationID)
	require.NoError(t, err)
	require.Equal(t, old, got)

	// A release of the new one that comes first refuses it, and the old one stays.
	next := ReplaceOf(in, Line(p, 4))
	_, err = s.API.Release(t.Context(), next.ReservationID, ReleaseOf(next))
	require.NoError(t, err)
	_, err = s.API.Reserve(t.Context(), next)
	require.Equal(t, alreadyResolved(next.ReservationID, inventoryapi.StatusReleased), err)

	next.Number++
	next.ReservationID = inventoryapi.NewReservationID(next.OwnerKind, next.OwnerID, next.Number)
	s.Age(t, in.ReservationID)
	_, err = s.API.Reserve(t.Context(), next)
	var deadline *inventoryapi.DeadlineError
	require.ErrorAs(t, err, &deadline)
	require.Equal(t, inventoryapi.ReservationExpired, deadline.Code)
	require.Equal(t, in.ReservationID, deadline.ReservationID)
	_, err = s.API.Expire(t.Context(), in.ReservationID, Resolve())
	require.NoError(t, err)
	_, err = s.API.Reserve(t.Context(), next)
	require.ErrorIs(t, err, inventoryapi.ReservationExpired)

	for status, end := range map[inventoryapi.Status]func(inventoryapi.ReserveRequest) error{
		inventoryapi.StatusConfirmed: func(r inventoryapi.ReserveRequest) error {
			_, err := s.API.Confirm(t.Context(), r.ReservationID, Resolve())
			return err
		},
		inventoryapi.StatusReleased: func(r inventoryapi.ReserveRequest) error {
			_, err := s.API.Release(t.Context(), r.ReservationID, ReleaseOf(r))
			return err
		},
	} {
		ended, _ := s.reserve(t, Line(p, 1))
		require.NoError(t, end(ended))
		_, err := s.API.Reserve(t.Context(), ReplaceOf(ended, Line(p, 1)))
		require.Equal(t, &inventoryapi.StatusError{
			Code: inventoryapi.ReservationNotPending, ReservationID: ended.ReservationID, Status: status,
		}, err)
	}
}
