package inventorytest

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

func testReserve(t *testing.T, s Subject) {
	p := s.Stock(t, 10)
	before := time.Now()
	in := NewReserve(Line(p, 3))
	in.TTLSeconds = 60
	out, err := s.API.Reserve(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.StatusPending, out.Status)
	require.Equal(t, in.ReservationID, out.ReservationID)
	require.Equal(t, in.OwnerID, out.OwnerID)
	require.WithinDuration(t, before.Add(time.Minute), out.ExpiresAt, 10*time.Second)
	require.False(t, out.Replayed)
	require.Equal(t, []inventoryapi.ReservationLine{
		{LineNo: 1, ProductID: p, Location: "near", Quantity: 3, RemainingStock: 7, ReservedQuantity: 3},
	}, out.Lines)

	got, err := s.API.GetReservation(t.Context(), in.ReservationID)
	require.NoError(t, err)
	require.Equal(t, out, got)
	_, err = s.API.GetReservation(t.Context(), uuid.New())
	require.ErrorIs(t, err, inventoryapi.ReservationNotFound)
}

func testSplit(t *testing.T, s Subject) {
	p := s.Stock(t, 3, 5)
	// One location with enough stock is preferred to a nearer one without.
	_, whole := s.reserve(t, Line(p, 4))
	require.Len(t, whole.Lines, 1)
	require.Equal(t, "far", whole.Lines[0].Location)

	_, split := s.reserve(t, Line(p, 4))
	require.Equal(t, []inventoryapi.ReservationLine{
		{LineNo: 1, ProductID: p, Location: "near", Quantity: 3, RemainingStock: 0, ReservedQuantity: 3},
		{LineNo: 1, ProductID: p, Location: "far", Quantity: 1, RemainingStock: 0, ReservedQuantity: 5},
	}, split.Lines)

	res, err := s.API.Confirm(t.Context(), split.ReservationID, Resolve())
	require.NoError(t, err)
	require.EqualValues(t, 4, res.QuantityConfirmed)
	require.EqualValues(t, 4, res.FinalStock)
	require.EqualValues(t, 4, res.ReservedStock)
}

func testSameProductTwice(t *testing.T, s Subject) {
	p := s.Stock(t, 5)
	_, err := s.API.Reserve(t.Context(), NewReserve(Line(p, 3), Line(p, 3)))
	var short *inventoryapi.InsufficientStockError
	require.ErrorAs(t, err, &short, "the lines must be summed")
	require.Equal(t, []inventoryapi.ShortLine{{ProductID: p, Requested: 6, Available: 5}}, short.Lines)

	_, out := s.reserve(t, Line(p, 3), Line(p, 2))
	require.Len(t, out.Lines, 2)
	release := inventoryapi.ReleaseRequest{OperationID: uuid.New(), Actor: Actor}
	res, err := s.API.Release(t.Context(), out.ReservationID, release)
	require.NoError(t, err)
	require.EqualValues(t, 5, res.QuantityReleased)
	require.EqualValues(t, 5, res.AvailableStock)
	require.EqualValues(t, 0, res.ReservedStock)
}

func testAllOrNothing(t *testing.T, s Subject) {
	a, b, c := s.Stock(t, 10), s.Stock(t, 1), s.Stock(t, 0)
	_, err := s.API.Reserve(t.Context(), NewReserve(Line(a, 1), Line(b, 2), Line(c, 3)))
	require.Equal(t, &inventoryapi.InsufficientStockError{Lines: []inventoryapi.ShortLine{
		{ProductID: b, Requested: 2, Available: 1}, {ProductID: c, Requested: 3, Available: 0},
	}}, err)
	require.ErrorIs(t, err, inventoryapi.InsufficientStock)
	require.False(t, inventoryapi.Retryable(err))
	_, reserved := s.Available(t, a)
	require.Zero(t, reserved)
}

func testReserveAgain(t *testing.T, s Subject) {
	p := s.Stock(t, 10, 5)
	in, first := s.reserve(t, Line(p, 2), Line(p, 1))
	s.reserve(t, Line(p, 4)) // the repeated answer must not contain later changes
	again, err := s.API.Reserve(t.Context(), in)
	require.NoError(t, err)
	require.True(t, again.Replayed)
	first.Replayed = true
	require.Equal(t, first, again)
	_, reserved := s.Available(t, p)
	require.EqualValues(t, 7, reserved)

	other := in
	other.Lines = []inventoryapi.ReserveLine{Line(p, 1)}
	_, err = s.API.Reserve(t.Context(), other)
	require.ErrorIs(t, err, inventoryapi.AlreadyExists)
	other = in
	other.TTLSeconds = 77
	_, err = s.API.Reserve(t.Context(), other)
	require.ErrorIs(t, err, inventoryapi.AlreadyExists)
	other = in
	other.ReservationID = uuid.New()
	_, err = s.API.Reserve(t.Context(), other)
	require.ErrorIs(t, err, inventoryapi.AlreadyExists, "one reservation per owner and number")

	_, err = s.API.Confirm(t.Context(), in.ReservationID, Resolve())
	require.NoError(t, err)
	again, err = s.API.Reserve(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.StatusConfirmed, again.Status)
}

func testReserveRefused(t *testing.T, s Subject) {
	p := s.Stock(t, 10)
	unknown := uuid.New()
	_, err := s.API.Reserve(t.Context(), NewReserve(Line(p, 1), Line(unknown, 1)))
	short := []inventoryapi.ShortLine{{ProductID: unknown, Requested: 1}}
	require.Equal(t, &inventoryapi.InsufficientStockError{Lines: short}, err,
		"a product without an item is out of stock, by the whole demand")
}
