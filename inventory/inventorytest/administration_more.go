package inventorytest

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

func testReturnRevives(t *testing.T, a administered) {
	p := a.Stock(t, 3)
	in, _ := a.reserve(t, Line(p, 2))
	_, err := a.API.Confirm(t.Context(), in.ReservationID, Resolve())
	require.NoError(t, err)
	_, err = a.admin.DeleteItem(t.Context(), p, "near", inventoryapi.DeleteItemRequest{Reason: "r"}, By)
	require.NoError(t, err)
	held, err := a.API.GetReservation(t.Context(), in.ReservationID)
	require.NoError(t, err)
	require.Equal(t, p, held.Lines[0].ProductID, "the reservation's lines stay readable")
	again, err := a.API.Reserve(t.Context(), in)
	require.NoError(t, err)
	require.True(t, again.Replayed)
	_, err = a.API.Return(t.Context(), in.ReservationID, ReturnOf())
	require.NoError(t, err)
	available, _ := a.Available(t, p)
	require.EqualValues(t, 2, available)
}

// testVersions lets a second writer who read the same version try every operation: each is refused,
// by the body as a conflict and by the header as a failed precondition, and changes nothing.
func testVersions(t *testing.T, a administered) {
	p := a.Stock(t, 10, 10)
	read := a.version(t, p)
	first := inventoryapi.AdjustRequest{Location: "near", Delta: ptr(int64(1)), Reason: "r", ExpectedVersion: &read}
	out, err := a.admin.AdjustStock(t.Context(), p, first, By)
	require.NoError(t, err)
	require.Equal(t, read+1, out.Version)
	writes := map[string]func(expected *int64, o inventoryapi.WriteOptions) error{
		"receive": func(v *int64, o inventoryapi.WriteOptions) error {
			_, err := a.admin.ReceiveStock(t.Context(), p, inventoryapi.ReceiveRequest{Location: "near", Quantity: 1, ExpectedVersion: v}, o)
			return err
		},
		"adjust": func(v *int64, o inventoryapi.WriteOptions) error {
			_, err := a.admin.AdjustStock(t.Context(), p, inventoryapi.AdjustRequest{Location: "near", Delta: ptr(int64(1)), Reason: "r", ExpectedVersion: v}, o)
			return err
		},
		"transfer": func(v *int64, o inventoryapi.WriteOptions) error {
			_, err := a.admin.TransferStock(t.Context(), p, inventoryapi.TransferRequest{From: "near", To: "far", Quantity: 1, Reason: "r", ExpectedVersion: v}, o)
			return err
		},
		"threshold": func(v *int64, o inventoryapi.WriteOptions) error {
			_, err := a.admin.SetThreshold(t.Context(), p, inventoryapi.ThresholdRequest{LowStockThreshold: ptr(a.version(t, p)), ExpectedVersion: v}, o)
			return err
		},
		"create": func(v *int64, o inventoryapi.WriteOptions) error {
			_, err := a.admin.DeleteItem(t.Context(), p, "far", inventoryapi.DeleteItemRequest{Reason: "r"}, By)
			require.NoError(t, err)
			if v != nil && *v == a.version(t, p)-1 {
				v = ptr(*v + 1) // it was the version until just now
			}
			_, err = a.admin.CreateItem(t.Context(), p, "far", inventoryapi.CreateItemRequest{ExpectedVersion: v}, o)
			return err
		},
		"delete": func(v *int64, o inventoryapi.WriteOptions) error {
			_, err := a.admin.DeleteItem(t.Context(), p, "near", inventoryapi.DeleteItemRequest{Reason: "r", ExpectedVersion: v}, o)
			return err
		},
	}
	for _, name := range []string{"receive", "adjust", "transfer", "threshold", "create", "delete"} {
		write := writes[name]
		stale := inventoryapi.WriteOptions{Actor: Actor, IfMatch: inventoryapi.ETag(read)}
		fails(t, write(&read, By), inventoryapi.VersionConflict, "expected_version")
		fails(t, write(nil, stale), inventoryapi.PreconditionFailed, "If-Match")
		stale.IfMatch = `W/` + inventoryapi.ETag(a.version(t, p)) + `, "x", "-1"`
		fails(t, write(nil, stale), inventoryapi.PreconditionFailed, "If-Match")
		for _, malformed := range []string{"7", `"7`, `"7" "8"`, "*,*", `"7",`, "W/7"} {
			fails(t, write(nil, inventoryapi.WriteOptions{Actor: Actor, IfMatch: malformed}), inventoryapi.InvalidInput, "If-Match")
		}
		if name != "delete" && name != "create" {
			require.NoError(t, write(nil, inventoryapi.WriteOptions{Actor: Actor, IfMatch: "*"}), name)
			require.NoError(t, write(nil, inventoryapi.WriteOptions{Actor: Actor, IfMatch: `"x", ` + inventoryapi.ETag(a.version(t, p))}), name)
		}
		now := a.version(t, p)
		require.NoError(t, write(&now, By), name)
	}
	_, err = a.admin.ReceiveStock(t.Context(), uuid.New(), inventoryapi.ReceiveRequest{Location: "near", Quantity: 1}, inventoryapi.WriteOptions{Actor: Actor, IfMatch: "*"})
	fails(t, err, inventoryapi.PreconditionFailed, "If-Match")
	_, err = a.admin.ReceiveStock(t.Context(), p, inventoryapi.ReceiveRequest{Location: "near", Quantity: 1, ExpectedVersion: ptr(int64(-1))}, By)
	fails(t, err, inventoryapi.InvalidInput, "expected_version")

	// The version was right when the operation was done, so its repeat is answered.
	in := inventoryapi.AdjustRequest{OperationID: uuid.New(), Location: "far", Delta: ptr(int64(1)), Reason: "r", ExpectedVersion: ptr(a.version(t, p))}
	for range 2 {
		_, err = a.admin.AdjustStock(t.Context(), p, in, By)
		require.NoError(t, err)
	}
}

// testAdministrationOperations: an id that stood for one thing stands for nothing else.
func testAdministrationOperations(t *testing.T, a administered) {
	p, op := a.Stock(t, 10, 10), uuid.New()
	_, err := a.admin.ReceiveStock(t.Context(), p, inventoryapi.ReceiveRequest{OperationID: op, Location: "near", Quantity: 1}, By)
	require.NoError(t, err)
	_, err = a.admin.AdjustStock(t.Context(), p, inventoryapi.AdjustRequest{OperationID: op, Location: "near", Delta: ptr(int64(1)), Reason: "r"}, By)
	fails(t, err, inventoryapi.AlreadyExists, "operation_id")
	_, err = a.admin.TransferStock(t.Context(), p, inventoryapi.TransferRequest{OperationID: op, From: "near", To: "far", Quantity: 1, Reason: "r"}, By)
	fails(t, err, inventoryapi.AlreadyExists, "operation_id")
	_, err = a.admin.DeleteItem(t.Context(), p, "near", inventoryapi.DeleteItemRequest{OperationID: op, Reason: "r"}, By)
	fails(t, err, inventoryapi.AlreadyExists, "operation_id")
	_, err = a.admin.ReceiveStock(t.Context(), a.Stock(t, 1), inventoryapi.ReceiveRequest{OperationID: op, Location: "near", Quantity: 1}, By)
	fails(t, err, inventoryapi.AlreadyExists, "operation_id")
	op = uuid.New()
	for _, delta := range []int64{2, 3} {
		_, err = a.admin.AdjustStock(t.Context(), p, inventoryapi.AdjustRequest{OperationID: op, Location: "near", Delta: &delta, Reason: "r"}, By)
	}
	fails(t, err, inventoryapi.AlreadyExists, "operation_id")
	available, _ := a.Available(t, p)
	require.EqualValues(t, 23, available)
}

func testLocations(t *testing.T, a administered) {
	list, err := a.admin.Locations(t.Context())
	require.NoError(t, err)
	require.Contains(t, list, inventoryapi.Location{Code: "near", Name: "Near", Priority: 1})
	want := inventoryapi.Location{Code: "attic", Name: "Über dem Büro", Priority: 1_000_000}
	for range 2 {
		got, err := a.admin.PutLocation(t.Context(), "attic", inventoryapi.LocationRequest{Name: want.Name, Priority: ptr(want.Priority)}, By)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	list, err = a.admin.Locations(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, list[len(list)-1], "by priority")
}

// testAdministrationMalformed covers what a Go caller can get wrong; the server's tests cover the JSON.
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
	const invalid, quantity, negative = inventoryapi.InvalidInput, inventoryapi.InvalidQuantity, inventoryapi.NegativeQuantity
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
		{"quantity", quantity, transfer(inventoryapi.TransferRequest{From: "near", To: "far", Quantity: 1 << 62, Reason: "r"})},
		{"reason", invalid, transfer(inventoryapi.TransferRequest{From: "near", To: "far", Quantity: 1})},
		{"low_stock_threshold", invalid, threshold(inventoryapi.ThresholdRequest{}, By)},
		{"low_stock_threshold", negative, threshold(inventoryapi.ThresholdRequest{LowStockThreshold: ptr(int64(-1))}, By)},
		{"low_stock_threshold", quantity, threshold(inventoryapi.ThresholdRequest{LowStockThreshold: ptr(int64(1) << 62)}, By)},
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
	_, err = a.admin.ImportStock(t.Context(), strings.NewReader(""), inventoryapi.ImportOptions{Actor: Actor, Key: strings.Repeat("k", 256)})
	fails(t, err, invalid, "Idempotency-Key")
	available, _ := a.Available(t, p)
	require.EqualValues(t, 10, available)
}
