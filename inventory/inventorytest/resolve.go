package inventorytest

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

// alreadyResolved is the refusal of a request for a reservation that has the terminal status.
func alreadyResolved(id uuid.UUID, status inventoryapi.Status) error {
	return &inventoryapi.StatusError{Code: inventoryapi.AlreadyResolved, ReservationID: id, Status: status}
}

func testConfirm(t *testing.T, s Subject) {
	p := s.Stock(t, 10)
	in, _ := s.reserve(t, Line(p, 4))
	s.reserve(t, Line(p, 1))
	first, err := s.API.Confirm(t.Context(), in.ReservationID, Resolve())
	require.NoError(t, err)
	require.Equal(t, inventoryapi.ConfirmResult{
		ReservationID:     in.ReservationID,
		Status:            inventoryapi.StatusConfirmed,
		QuantityConfirmed: 4,
		FinalStock:        6,
		ReservedStock:     1,
		Lines: []inventoryapi.StockLine{{
			LineNo:         1,
			ProductID:      p,
			Location:       "near",
			Quantity:       4,
			Stock:          6,
			ReservedStock:  1,
			AvailableStock: 5,
		}},
	}, first)
	s.reserve(t, Line(p, 1))
	again, err := s.API.Confirm(t.Context(), in.ReservationID, Resolve())
	require.NoError(t, err)
	require.Equal(t, first, again)

	confirmed := alreadyResolved(in.ReservationID, inventoryapi.StatusConfirmed)
	_, err = s.API.Release(t.Context(), in.ReservationID, ReleaseOf(in))
	require.Equal(t, confirmed, err)
	_, err = s.API.Expire(t.Context(), in.ReservationID, Resolve())
	require.Equal(t, confirmed, err)
	_, err = s.API.Confirm(t.Context(), uuid.New(), Resolve())
	require.ErrorIs(t, err, inventoryapi.ReservationNotFound)
	_, err = s.API.Expire(t.Context(), uuid.New(), Resolve())
	require.ErrorIs(t, err, inventoryapi.ReservationNotFound)

	late, out := s.reserve(t, Line(p, 1))
	s.Age(t, late.ReservationID)
	_, err = s.API.Confirm(t.Context(), late.ReservationID, Resolve())
	require.ErrorIs(t, err, inventoryapi.ReservationExpired)
	var deadline *inventoryapi.DeadlineError
	require.ErrorAs(t, err, &deadline)
	require.True(t, deadline.ExpiresAt.Before(out.ExpiresAt))
	got, err := s.API.GetReservation(t.Context(), late.ReservationID)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.StatusPending, got.Status, "a refused confirm changes nothing")
}

func testRelease(t *testing.T, s Subject) {
	p := s.Stock(t, 10)
	in, _ := s.reserve(t, Line(p, 4))
	first, err := s.API.Release(t.Context(), in.ReservationID, ReleaseOf(in))
	require.NoError(t, err)
	require.Equal(t, inventoryapi.ReleaseResult{
		ReservationID:    in.ReservationID,
		Status:           inventoryapi.StatusReleased,
		QuantityReleased: 4,
		AvailableStock:   10,
		Lines: []inventoryapi.StockLine{{
			LineNo:         1,
			ProductID:      p,
			Location:       "near",
			Quantity:       4,
			Stock:          10,
			AvailableStock: 10,
		}},
	}, first)
	s.reserve(t, Line(p, 1))
	again, err := s.API.Release(t.Context(), in.ReservationID, ReleaseOf(in))
	require.NoError(t, err)
	require.Equal(t, first, again)

	released := alreadyResolved(in.ReservationID, inventoryapi.StatusReleased)
	_, err = s.API.Reserve(t.Context(), in)
	require.Equal(t, released, err)
	_, err = s.API.Confirm(t.Context(), in.ReservationID, Resolve())
	require.Equal(t, released, err)
	require.Equal(t, inventoryapi.Conflict, inventoryapi.CodeOf(err).Category())
}

func testTombstone(t *testing.T, s Subject) {
	p := s.Stock(t, 1)
	in := NewReserve(Line(p, 1))
	withoutOwner := inventoryapi.ReleaseRequest{OperationID: uuid.New(), Actor: Actor}
	_, err := s.API.Release(t.Context(), in.ReservationID, withoutOwner)
	require.ErrorIs(t, err, inventoryapi.ReservationNotFound, "without an owner no tombstone is recorded")

	for range 2 {
		out, err := s.API.Release(t.Context(), in.ReservationID, ReleaseOf(in))
		require.NoError(t, err)
		require.Equal(t, inventoryapi.ReleaseResult{
			ReservationID: in.ReservationID, Status: inventoryapi.StatusReleased, Lines: []inventoryapi.StockLine{},
		}, out)
	}

	_, err = s.API.Reserve(t.Context(), in)
	require.Equal(t, alreadyResolved(in.ReservationID, inventoryapi.StatusReleased), err)
	_, reserved := s.Available(t, p)
	require.Zero(t, reserved)
}

func testExpire(t *testing.T, s Subject) {
	p := s.Stock(t, 10)
	in, out := s.reserve(t, Line(p, 2))
	_, err := s.API.Expire(t.Context(), in.ReservationID, Resolve())
	require.Equal(t, &inventoryapi.DeadlineError{
		Code:          inventoryapi.NotDue,
		ReservationID: in.ReservationID,
		ExpiresAt:     out.ExpiresAt,
		Status:        inventoryapi.StatusPending,
	}, err)

	s.Age(t, in.ReservationID)
	first, err := s.API.Expire(t.Context(), in.ReservationID, Resolve())
	require.NoError(t, err)
	require.Equal(t, inventoryapi.StatusExpired, first.Status)
	require.EqualValues(t, 2, first.QuantityReleased)
	require.EqualValues(t, 10, first.AvailableStock)
	again, err := s.API.Expire(t.Context(), in.ReservationID, Resolve())
	require.NoError(t, err)
	require.Equal(t, first, again)
	_, err = s.API.Confirm(t.Context(), in.ReservationID, Resolve())
	require.ErrorIs(t, err, inventoryapi.ReservationExpired)
	require.Equal(t, inventoryapi.Expired, inventoryapi.CodeOf(err).Category())

	expired := alreadyResolved(in.ReservationID, inventoryapi.StatusExpired)
	_, err = s.API.Reserve(t.Context(), in)
	require.Equal(t, expired, err)
	_, err = s.API.Release(t.Context(), in.ReservationID, ReleaseOf(in))
	require.Equal(t, expired, err)
}

func testExtend(t *testing.T, s Subject) {
	p := s.Stock(t, 10)
	in, out := s.reserve(t, Line(p, 1))
	extend := func(id uuid.UUID, to time.Time) (inventoryapi.ExtendResult, error) {
		return s.API.Extend(t.Context(), id, inventoryapi.ExtendRequest{ExpiresAt: to, Actor: Actor})
	}

	later := out.ExpiresAt.Add(time.Hour)
	for range 2 {
		res, err := extend(in.ReservationID, later)
		require.NoError(t, err)
		require.Equal(t, later, res.ExpiresAt)
	}
	res, err := extend(in.ReservationID, out.ExpiresAt)
	require.NoError(t, err)
	require.Equal(t, later, res.ExpiresAt, "a deadline is never shortened")
	_, err = extend(in.ReservationID, time.Now().Add(25*time.Hour))
	require.ErrorIs(t, err, inventoryapi.InvalidDuration)
	_, err = extend(uuid.New(), later)
	require.ErrorIs(t, err, inventoryapi.ReservationNotFound)

	s.Age(t, in.ReservationID)
	_, err = extend(in.ReservationID, later)
	require.ErrorIs(t, err, inventoryapi.ReservationExpired, "past the deadline, although still pending")
	_, err = s.API.Expire(t.Context(), in.ReservationID, Resolve())
	require.NoError(t, err)
	_, err = extend(in.ReservationID, later)
	require.ErrorIs(t, err, inventoryapi.ReservationExpired)

	done, _ := s.reserve(t, Line(p, 1))
	_, err = s.API.Confirm(t.Context(), done.ReservationID, Resolve())
	require.NoError(t, err)
	_, err = extend(done.ReservationID, later)
	require.Equal(t, &inventoryapi.StatusError{
		Code:          inventoryapi.ReservationNotPending,
		ReservationID: done.ReservationID,
		Status:        inventoryapi.StatusConfirmed,
	}, err)
}
