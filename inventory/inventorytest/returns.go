package inventorytest

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

func testReturn(t *testing.T, s Subject) {
	p := s.Stock(t, 3, 5)
	in, _ := s.reserve(t, Line(p, 7), Line(p, 1))
	_, err := s.API.Confirm(t.Context(), in.ReservationID, Resolve())
	require.NoError(t, err)

	some := ReturnOf(inventoryapi.ReturnLine{LineNo: 1, Quantity: 4})
	first, err := s.API.Return(t.Context(), in.ReservationID, some)
	require.NoError(t, err)
	require.EqualValues(t, 4, first.QuantityReturned)
	require.EqualValues(t, 4, first.AvailableStock)
	require.Len(t, first.Lines, 2, "the line had been split")
	again, err := s.API.Return(t.Context(), in.ReservationID, some)
	require.NoError(t, err)
	require.Equal(t, first, again)

	other := some
	other.Lines = []inventoryapi.ReturnLine{{LineNo: 2, Quantity: 1}}
	_, err = s.API.Return(t.Context(), in.ReservationID, other)
	require.ErrorIs(t, err, inventoryapi.AlreadyExists, "the operation id was used for other lines")

	rest, err := s.API.Return(t.Context(), in.ReservationID, ReturnOf())
	require.NoError(t, err)
	require.EqualValues(t, 4, rest.QuantityReturned)
	require.EqualValues(t, 5, rest.AvailableStock, "only of the items that got stock back: of far")
	available, _ := s.Available(t, p)
	require.EqualValues(t, 8, available)
	_, err = s.API.Return(t.Context(), in.ReservationID, ReturnOf())
	require.ErrorIs(t, err, inventoryapi.InvalidReturn, "everything is back")

	got, err := s.API.GetReservation(t.Context(), in.ReservationID)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.StatusConfirmed, got.Status)
	for _, l := range got.Lines {
		require.Equal(t, l.Quantity, l.Returned)
	}
}

func testReturnRefused(t *testing.T, s Subject) {
	p := s.Stock(t, 10)
	in, _ := s.reserve(t, Line(p, 2))
	_, err := s.API.Return(t.Context(), in.ReservationID, ReturnOf())
	require.ErrorIs(t, err, inventoryapi.InvalidReturn, "nothing is confirmed yet")
	_, err = s.API.Confirm(t.Context(), in.ReservationID, Resolve())
	require.NoError(t, err)
	for _, c := range []struct {
		field string
		line  inventoryapi.ReturnLine
	}{
		{"lines[0].quantity", inventoryapi.ReturnLine{LineNo: 1, Quantity: 3}},
		{"lines[0].line_no", inventoryapi.ReturnLine{LineNo: 2, Quantity: 1}},
	} {
		_, err = s.API.Return(t.Context(), in.ReservationID, ReturnOf(c.line))
		var e *inventoryapi.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, inventoryapi.InvalidReturn, e.Code)
		require.Equal(t, c.field, e.Field)
	}
	_, err = s.API.Return(t.Context(), uuid.New(), ReturnOf())
	require.ErrorIs(t, err, inventoryapi.ReservationNotFound)
}
