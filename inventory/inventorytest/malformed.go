package inventorytest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

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

// testMalformed covers the mistakes that a Go caller can make; the server's own tests cover the JSON.
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
	one := inventoryapi.ReturnLine{LineNo: 1, Quantity: 1}
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
		{"reason", inventoryapi.InvalidInput, resolve(uuid.New(), inventoryapi.ResolveRequest{
			OperationID: uuid.New(), Actor: Actor, Reason: strings.Repeat("r", 3000),
		})},
		{"reservation_id", inventoryapi.InvalidInput, resolve(uuid.Nil, Resolve())},
		{"owner_id", inventoryapi.InvalidInput, release(inventoryapi.ReleaseRequest{
			OperationID: uuid.New(), Actor: Actor, OwnerKind: "order", Number: 1,
		})},
		{"owner_kind", inventoryapi.InvalidInput, release(inventoryapi.ReleaseRequest{
			OperationID: uuid.New(), Actor: Actor, Number: 1,
		})},
		{"expires_at", inventoryapi.InvalidInput, extend(inventoryapi.ExtendRequest{Actor: Actor})},
		{"actor", inventoryapi.InvalidInput, extend(inventoryapi.ExtendRequest{ExpiresAt: time.Now()})},
		{"lines[0].line_no", inventoryapi.InvalidInput, giveBack(inventoryapi.ReturnLine{Quantity: 1})},
		{"lines[1].line_no", inventoryapi.InvalidInput, giveBack(one, one)},
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

// testAdministrationOperations: an operation id that was used for one request is refused for a different request.
func testAdministrationOperations(t *testing.T, a administered) {
	p, op := a.Stock(t, 10, 10), uuid.New()
	receive := inventoryapi.ReceiveRequest{OperationID: op, Location: "near", Quantity: 1}
	_, err := a.admin.ReceiveStock(t.Context(), p, receive, By)
	require.NoError(t, err)

	_, err = a.admin.AdjustStock(t.Context(), p, inventoryapi.AdjustRequest{
		OperationID: op, Location: "near", Delta: ptr(int64(1)), Reason: "r",
	}, By)
	fails(t, err, inventoryapi.AlreadyExists, "operation_id")
	_, err = a.admin.TransferStock(t.Context(), p, inventoryapi.TransferRequest{
		OperationID: op, From: "near", To: "far", Quantity: 1, Reason: "r",
	}, By)
	fails(t, err, inventoryapi.AlreadyExists, "operation_id")
	_, err = a.admin.DeleteItem(t.Context(), p, "near", inventoryapi.DeleteItemRequest{OperationID: op, Reason: "r"}, By)
	fails(t, err, inventoryapi.AlreadyExists, "operation_id")
	_, err = a.admin.ReceiveStock(t.Context(), a.Stock(t, 1), receive, By)
	fails(t, err, inventoryapi.AlreadyExists, "operation_id")

	op = uuid.New()
	for _, delta := range []int64{2, 3} {
		_, err = a.admin.AdjustStock(t.Context(), p, inventoryapi.AdjustRequest{
			OperationID: op, Location: "near", Delta: &delta, Reason: "r",
		}, By)
	}
	fails(t, err, inventoryapi.AlreadyExists, "operation_id")
	available, _ := a.Available(t, p)
	require.EqualValues(t, 23, available)
}

// testAdministrationMalformed covers the mistakes that a Go caller can make; the server's tests cover the JSON.
func testAdministrationMalformed(t *testing.T, a administered) {
	p := a.Stock(t, 10)
	type O = inventoryapi.WriteOptions
	receive := func(in inventoryapi.ReceiveRequest, o O) error {
		_, err := a.admin.ReceiveStock(t.Context(), p, in, o)
		return err
	}
	adjust := func(change func(*inventoryapi.AdjustRequest)) error {
		in := inventoryapi.AdjustRequest{Location: "near", Delta: ptr(int64(1)), Reason: "r"}
		change(&in)
		_, err := a.admin.AdjustStock(t.Context(), p, in, By)
		return err
	}
	transfer := func(in inventoryapi.TransferRequest) error {
		_, err := a.admin.TransferStock(t.Context(), p, in, By)
		return err
	}
	threshold := func(in inventoryapi.ThresholdRequest, o O) error {
		_, err := a.admin.SetThreshold(t.Context(), p, in, o)
		return err
	}
	location := func(code, name string, priority *int, o O) error {
		_, err := a.admin.PutLocation(t.Context(), code, inventoryapi.LocationRequest{Name: name, Priority: priority}, o)
		return err
	}
	item := func(code string, o O) error {
		_, err := a.admin.CreateItem(t.Context(), p, code, inventoryapi.CreateItemRequest{}, o)
		return err
	}
	drop := func(in inventoryapi.DeleteItemRequest, o O) error {
		_, err := a.admin.DeleteItem(t.Context(), p, "near", in, o)
		return err
	}

	type A = inventoryapi.AdjustRequest
	long := strings.Repeat("x", 3000)
	const (
		invalid  = inventoryapi.InvalidInput
		quantity = inventoryapi.InvalidQuantity
		negative = inventoryapi.NegativeQuantity
	)
	for _, c := range []struct {
		field string
		code  inventoryapi.Code
		err   error
	}{
		{"actor", invalid, receive(inventoryapi.ReceiveRequest{Location: "near", Quantity: 1}, O{})},
		{"actor", invalid, receive(inventoryapi.ReceiveRequest{Location: "near", Quantity: 1}, O{Actor: long})},
		{"location", invalid, receive(inventoryapi.ReceiveRequest{Quantity: 1}, By)},
		{"location", invalid, receive(inventoryapi.ReceiveRequest{Location: "n\x00", Quantity: 1}, By)},
		{"location", invalid, receive(inventoryapi.ReceiveRequest{Location: long, Quantity: 1}, By)},
		{"reason", invalid, receive(inventoryapi.ReceiveRequest{Location: "near", Quantity: 1, Reason: long}, By)},
		{"quantity", quantity, receive(inventoryapi.ReceiveRequest{Location: "near"}, By)},
		{"quantity", quantity, receive(inventoryapi.ReceiveRequest{Location: "near", Quantity: -1}, By)},
		{"quantity", quantity, receive(inventoryapi.ReceiveRequest{Location: "near", Quantity: 1 << 62}, By)},
		{"quantity", quantity, receive(inventoryapi.ReceiveRequest{Location: "near", Quantity: 1_000_000_000_000}, By)},
		{"delta", invalid, adjust(func(a *A) { a.Delta = nil })},
		{"quantity", invalid, adjust(func(a *A) { a.Quantity = ptr(int64(1)) })},
		{"delta", quantity, adjust(func(a *A) { a.Delta = ptr(int64(-1) << 63) })},
		{"delta", quantity, adjust(func(a *A) { a.Delta = ptr(int64(1) << 62) })},
		{"quantity", negative, adjust(func(a *A) { a.Delta, a.Quantity = nil, ptr(int64(-1)) })},
		{"quantity", quantity, adjust(func(a *A) { a.Delta, a.Quantity = nil, ptr(int64(1)<<62) })},
		{"reason", invalid, adjust(func(a *A) { a.Reason = "" })},
		{"reason", invalid, adjust(func(a *A) { a.Reason = "r\x00" })},
		{"location", invalid, adjust(func(a *A) { a.Location = "" })},
		{"from", invalid, transfer(inventoryapi.TransferRequest{To: "far", Quantity: 1, Reason: "r"})},
		{"to", invalid, transfer(inventoryapi.TransferRequest{From: "near", Quantity: 1, Reason: "r"})},
		{"quantity", quantity, transfer(inventoryapi.TransferRequest{From: "near", To: "far", Reason: "r"})},
		{"quantity", quantity, transfer(inventoryapi.TransferRequest{From: "near", To: "far", Quantity: -5, Reason: "r"})},
		{"quantity", quantity, transfer(inventoryapi.TransferRequest{
			From: "near", To: "far", Quantity: 1 << 62, Reason: "r",
		})},
		{"reason", invalid, transfer(inventoryapi.TransferRequest{From: "near", To: "far", Quantity: 1})},
		{"low_stock_threshold", invalid, threshold(inventoryapi.ThresholdRequest{}, By)},
		{"low_stock_threshold", negative, threshold(inventoryapi.ThresholdRequest{LowStockThreshold: ptr(int64(-1))}, By)},
		{"low_stock_threshold", quantity, threshold(inventoryapi.ThresholdRequest{
			LowStockThreshold: ptr(int64(1) << 62),
		}, By)},
		{"location", invalid, threshold(inventoryapi.ThresholdRequest{LowStockThreshold: ptr(int64(1)), Location: long}, By)},
		{"actor", invalid, threshold(inventoryapi.ThresholdRequest{LowStockThreshold: ptr(int64(1))}, O{})},
		{"actor", invalid, item("near", O{})},
		{"location", invalid, item("n\x00", By)},
		{"reason", invalid, drop(inventoryapi.DeleteItemRequest{}, By)},
		{"actor", invalid, drop(inventoryapi.DeleteItemRequest{Reason: "r"}, O{})},
		{"code", invalid, location("No Code", "x", ptr(1), By)},
		{"name", invalid, location("x", "", ptr(1), By)},
		{"name", invalid, location("x", "n\x00", ptr(1), By)},
		{"name", invalid, location("x", strings.Repeat("ü", 256), ptr(1), By)},
		{"priority", invalid, location("x", "x", nil, By)},
		{"priority", invalid, location("x", "x", ptr(-1), By)},
		{"priority", invalid, location("x", "x", ptr(1_000_001), By)},
		{"actor", invalid, location("x", "x", ptr(1), O{})},
	} {
		fails(t, c.err, c.code, c.field)
		require.Equal(t, inventoryapi.Validation, c.code.Category())
	}

	_, err := a.admin.ImportStock(t.Context(), strings.NewReader(""), inventoryapi.ImportOptions{})
	fails(t, err, invalid, "actor")
	_, err = a.admin.ImportStock(t.Context(), strings.NewReader(""), inventoryapi.ImportOptions{
		Actor: Actor, Key: strings.Repeat("k", 256),
	})
	fails(t, err, invalid, "Idempotency-Key")
	available, _ := a.Available(t, p)
	require.EqualValues(t, 10, available)
}
