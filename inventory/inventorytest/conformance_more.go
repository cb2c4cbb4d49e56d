package inventorytest

import (
	"strings"
	"testing"
	"time"

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
	require.ErrorIs(t, err, inventoryapi.AlreadyExists, "the operation's id stands for other lines")
	rest, err := s.API.Return(t.Context(), in.ReservationID, ReturnOf())
	require.NoError(t, err)
	require.EqualValues(t, 4, rest.QuantityReturned)
	require.EqualValues(t, 5, rest.AvailableStock, "of the items concerned: only far was short")
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
	for field, line := range map[string]inventoryapi.ReturnLine{
		"lines[0].quantity": {LineNo: 1, Quantity: 3},
		"lines[0].line_no":  {LineNo: 2, Quantity: 1},
	} {
		_, err = s.API.Return(t.Context(), in.ReservationID, ReturnOf(line))
		var e *inventoryapi.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, inventoryapi.InvalidReturn, e.Code)
		require.Equal(t, field, e.Field)
	}
	_, err = s.API.Return(t.Context(), uuid.New(), ReturnOf())
	require.ErrorIs(t, err, inventoryapi.ReservationNotFound)
}

func testAvailability(t *testing.T, s Subject) {
	a, b := s.Stock(t, 3, 5), s.Stock(t, 0)
	s.reserve(t, Line(a, 4))
	got, err := s.API.Availability(t.Context(), a, 5)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.Availability{
		ProductID: a, IsAvailable: false, Sellable: true, RequestedQuantity: 5, AvailableQuantity: 4, TotalStock: 8, ReservedQuantity: 4, Version: 3,
		Locations: []inventoryapi.LocationStock{
			{Location: "near", Quantity: 3, Reserved: 0, Available: 3, Version: 1},
			{Location: "far", Quantity: 5, Reserved: 4, Available: 1, Version: 2},
		},
	}, got)
	list, err := s.API.Availabilities(t.Context(), []uuid.UUID{b, uuid.New(), a, b})
	require.NoError(t, err)
	require.Len(t, list, 2, "unknown products are left out, each known one is there once")
	require.Equal(t, b, list[0].ProductID)
	require.False(t, list[0].IsAvailable)
	require.Equal(t, a, list[1].ProductID)
	require.True(t, list[1].IsAvailable)
	_, err = s.API.Availability(t.Context(), uuid.New(), 1)
	require.ErrorIs(t, err, inventoryapi.ProductNotFound)
}

func testOperationReused(t *testing.T, s Subject) {
	p := s.Stock(t, 10)
	in, _ := s.reserve(t, Line(p, 2))
	other := NewReserve(Line(p, 1))
	other.OperationID = in.OperationID
	_, err := s.API.Reserve(t.Context(), other)
	require.ErrorIs(t, err, inventoryapi.AlreadyExists)
	var e *inventoryapi.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "operation_id", e.Field)
	confirm := Resolve()
	_, err = s.API.Confirm(t.Context(), in.ReservationID, confirm)
	require.NoError(t, err)
	back := ReturnOf()
	back.OperationID = confirm.OperationID
	_, err = s.API.Return(t.Context(), in.ReservationID, back)
	require.ErrorIs(t, err, inventoryapi.AlreadyExists)
}

// testMalformed covers what a Go caller can get wrong; the server's own tests cover the JSON.
func testMalformed(t *testing.T, s Subject) {
	p := s.Stock(t, 10)
	many := make([]inventoryapi.ReserveLine, inventoryapi.MaxLines+1)
	for i := range many {
		many[i] = Line(p, 1)
	}
	reserve := func(change func(*inventoryapi.ReserveRequest)) error {
		in := NewReserve(Line(p, 1), Line(p, 1))
		change(&in)
		_, err := s.API.Reserve(t.Context(), in)
		return err
	}
	resolve := func(id uuid.UUID, in inventoryapi.ResolveRequest) error {
		_, err := s.API.Confirm(t.Context(), id, in)
		return err
	}
	release := func(in inventoryapi.ReleaseRequest) error {
		_, err := s.API.Release(t.Context(), uuid.New(), in)
		return err
	}
	extend := func(in inventoryapi.ExtendRequest) error {
		_, err := s.API.Extend(t.Context(), uuid.New(), in)
		return err
	}
	giveBack := func(lines ...inventoryapi.ReturnLine) error {
		_, err := s.API.Return(t.Context(), uuid.New(), ReturnOf(lines...))
		return err
	}
	available := func(n int64) error {
		_, err := s.API.Availability(t.Context(), p, n)
		return err
	}
	list := func(ids ...uuid.UUID) error {
		_, err := s.API.Availabilities(t.Context(), ids)
		return err
	}
	type R = inventoryapi.ReserveRequest
	for _, c := range []struct {
		field string
		code  inventoryapi.Code
		err   error
	}{
		{"reservation_id", inventoryapi.InvalidInput, reserve(func(r *R) { r.ReservationID = uuid.Nil })},
		{"owner_kind", inventoryapi.InvalidInput, reserve(func(r *R) { r.OwnerKind = "" })},
		{"owner_kind", inventoryapi.InvalidInput, reserve(func(r *R) { r.OwnerKind = "shop" })},
		{"owner_id", inventoryapi.InvalidInput, reserve(func(r *R) { r.OwnerID = uuid.Nil })},
		{"number", inventoryapi.InvalidInput, reserve(func(r *R) { r.Number = 0 })},
		{"number", inventoryapi.InvalidInput, reserve(func(r *R) { r.Number = 1 << 40 })},
		{"workflow_id", inventoryapi.InvalidInput, reserve(func(r *R) { r.WorkflowID = strings.Repeat("w", 256) })},
		{"workflow_id", inventoryapi.InvalidInput, reserve(func(r *R) { r.WorkflowID = "w\x00" })},
		{"operation_id", inventoryapi.InvalidInput, reserve(func(r *R) { r.OperationID = uuid.Nil })},
		{"actor", inventoryapi.InvalidInput, reserve(func(r *R) { r.Actor = "" })},
		{"actor", inventoryapi.InvalidInput, reserve(func(r *R) { r.Actor = "a\x00" })},
		{"actor", inventoryapi.InvalidInput, reserve(func(r *R) { r.Actor = strings.Repeat("a", 256) })},
		{"ttl_seconds", inventoryapi.InvalidDuration, reserve(func(r *R) { r.TTLSeconds = -1 })},
		{"ttl_seconds", inventoryapi.InvalidDuration, reserve(func(r *R) { r.TTLSeconds = inventoryapi.MaxTTLSeconds + 1 })},
		{"lines", inventoryapi.InvalidInput, reserve(func(r *R) { r.Lines = []inventoryapi.ReserveLine{} })},
		{"lines", inventoryapi.InvalidInput, reserve(func(r *R) { r.Lines = many })},
		{"lines[1].product_id", inventoryapi.InvalidInput, reserve(func(r *R) { r.Lines[1].ProductID = uuid.Nil })},
		{"lines[0].quantity", inventoryapi.InvalidQuantity, reserve(func(r *R) { r.Lines[0].Quantity = 0 })},
		{"lines[1].quantity", inventoryapi.InvalidQuantity, reserve(func(r *R) { r.Lines[1].Quantity = -1 })},
		{"lines[1].quantity", inventoryapi.InvalidQuantity, reserve(func(r *R) { r.Lines[1].Quantity = 1001 })},
		{"lines[1].quantity", inventoryapi.InvalidQuantity, reserve(func(r *R) { r.Lines[1].Quantity = 1 << 62 })},
		{"lines[1].line_no", inventoryapi.InvalidInput, reserve(func(r *R) { r.Lines[0].LineNo, r.Lines[1].LineNo = 7, 7 })},
		{"lines[1].line_no", inventoryapi.InvalidInput, reserve(func(r *R) { r.Lines[0].LineNo, r.Lines[1].LineNo = 7, 0 })},
		{"lines[1].line_no", inventoryapi.InvalidInput, reserve(func(r *R) { r.Lines[0].LineNo, r.Lines[1].LineNo = 0, 7 })},
		{"lines[0].line_no", inventoryapi.InvalidInput, reserve(func(r *R) { r.Lines[0].LineNo, r.Lines[1].LineNo = -1, 1 })},
		{"operation_id", inventoryapi.InvalidInput, resolve(uuid.New(), inventoryapi.ResolveRequest{Actor: Actor})},
		{"actor", inventoryapi.InvalidInput, resolve(uuid.New(), inventoryapi.ResolveRequest{OperationID: uuid.New()})},
		{"reason", inventoryapi.InvalidInput, resolve(uuid.New(), inventoryapi.ResolveRequest{OperationID: uuid.New(), Actor: Actor, Reason: strings.Repeat("r", 3000)})},
		{"reservation_id", inventoryapi.InvalidInput, resolve(uuid.Nil, Resolve())},
		{"owner_id", inventoryapi.InvalidInput, release(inventoryapi.ReleaseRequest{OperationID: uuid.New(), Actor: Actor, OwnerKind: "order", Number: 1})},
		{"owner_kind", inventoryapi.InvalidInput, release(inventoryapi.ReleaseRequest{OperationID: uuid.New(), Actor: Actor, Number: 1})},
		{"expires_at", inventoryapi.InvalidInput, extend(inventoryapi.ExtendRequest{Actor: Actor})},
		{"actor", inventoryapi.InvalidInput, extend(inventoryapi.ExtendRequest{ExpiresAt: time.Now()})},
		{"lines[0].line_no", inventoryapi.InvalidInput, giveBack(inventoryapi.ReturnLine{Quantity: 1})},
		{"lines[1].line_no", inventoryapi.InvalidInput, giveBack(inventoryapi.ReturnLine{LineNo: 1, Quantity: 1}, inventoryapi.ReturnLine{LineNo: 1, Quantity: 1})},
		{"lines[0].quantity", inventoryapi.InvalidQuantity, giveBack(inventoryapi.ReturnLine{LineNo: 1})},
		{"quantity", inventoryapi.InvalidQuantity, available(0)},
		{"quantity", inventoryapi.InvalidQuantity, available(-1)},
		{"quantity", inventoryapi.InvalidQuantity, available(1001)},
		{"product_ids", inventoryapi.InvalidInput, list(make([]uuid.UUID, inventoryapi.MaxProducts+1)...)},
		{"product_ids", inventoryapi.InvalidInput, list()},
	} {
		var e *inventoryapi.Error
		require.ErrorAs(t, c.err, &e, c.field)
		require.Equal(t, c.field, e.Field, "%s", c.err)
		require.Equal(t, c.code, e.Code, "%s", c.err)
		require.Equal(t, inventoryapi.Validation, e.Code.Category())
		require.False(t, inventoryapi.Retryable(c.err))
	}
	_, reserved := s.Available(t, p)
	require.Zero(t, reserved, "a malformed request reserves nothing")
}
