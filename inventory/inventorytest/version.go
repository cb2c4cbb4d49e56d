package inventorytest

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

// testVersions sends every operation as a second writer that read the same version. Each is refused and changes
// nothing: a version in the body is a conflict, a version in the header is a failed precondition.
func testVersions(t *testing.T, a administered) {
	p := a.Stock(t, 10, 10)
	read := a.version(t, p)
	first := inventoryapi.AdjustRequest{Location: "near", Delta: ptr(int64(1)), Reason: "r", ExpectedVersion: &read}
	out, err := a.admin.AdjustStock(t.Context(), p, first, By)
	require.NoError(t, err)
	require.Equal(t, read+1, out.Version)

	writes := map[string]func(expected *int64, o inventoryapi.WriteOptions) error{
		"ReceiveStock": func(v *int64, o inventoryapi.WriteOptions) error {
			_, err := a.admin.ReceiveStock(t.Context(), p, inventoryapi.ReceiveRequest{
				Location: "near", Quantity: 1, ExpectedVersion: v,
			}, o)
			return err
		},
		"AdjustStock": func(v *int64, o inventoryapi.WriteOptions) error {
			_, err := a.admin.AdjustStock(t.Context(), p, inventoryapi.AdjustRequest{
				Location: "near", Delta: ptr(int64(1)), Reason: "r", ExpectedVersion: v,
			}, o)
			return err
		},
		"TransferStock": func(v *int64, o inventoryapi.WriteOptions) error {
			_, err := a.admin.TransferStock(t.Context(), p, inventoryapi.TransferRequest{
				From: "near", To: "far", Quantity: 1, Reason: "r", ExpectedVersion: v,
			}, o)
			return err
		},
		"SetThreshold": func(v *int64, o inventoryapi.WriteOptions) error {
			_, err := a.admin.SetThreshold(t.Context(), p, inventoryapi.ThresholdRequest{
				LowStockThreshold: ptr(a.version(t, p)), ExpectedVersion: v,
			}, o)
			return err
		},
		"CreateItem": func(v *int64, o inventoryapi.WriteOptions) error {
			_, err := a.admin.DeleteItem(t.Context(), p, "far", inventoryapi.DeleteItemRequest{Reason: "r"}, By)
			require.NoError(t, err)
			if v != nil && *v == a.version(t, p)-1 {
				v = ptr(*v + 1) // the deletion has just moved the version
			}
			_, err = a.admin.CreateItem(t.Context(), p, "far", inventoryapi.CreateItemRequest{ExpectedVersion: v}, o)
			return err
		},
		"DeleteItem": func(v *int64, o inventoryapi.WriteOptions) error {
			in := inventoryapi.DeleteItemRequest{Reason: "r", ExpectedVersion: v}
			_, err := a.admin.DeleteItem(t.Context(), p, "near", in, o)
			return err
		},
	}
	ifMatch := func(header string) inventoryapi.WriteOptions {
		return inventoryapi.WriteOptions{Actor: Actor, IfMatch: header}
	}

	order := []string{"ReceiveStock", "AdjustStock", "TransferStock", "SetThreshold", "CreateItem", "DeleteItem"}
	require.ElementsMatch(t, writeMethods(true), order, "each write with an expected version is named here")
	for _, name := range order {
		write := writes[name]
		fails(t, write(&read, By), inventoryapi.VersionConflict, "expected_version")
		fails(t, write(nil, ifMatch(inventoryapi.ETag(read))), inventoryapi.PreconditionFailed, "If-Match")
		weak := ifMatch(`W/` + inventoryapi.ETag(a.version(t, p)) + `, "x", "-1"`)
		fails(t, write(nil, weak), inventoryapi.PreconditionFailed, "If-Match")
		for _, malformed := range []string{"7", `"7`, `"7" "8"`, "*,*", `"7",`, "W/7"} {
			fails(t, write(nil, ifMatch(malformed)), inventoryapi.InvalidInput, "If-Match")
		}
		if name != "DeleteItem" && name != "CreateItem" {
			require.NoError(t, write(nil, ifMatch("*")), name)
			require.NoError(t, write(nil, ifMatch(`"x", `+inventoryapi.ETag(a.version(t, p)))), name)
		}
		now := a.version(t, p)
		require.NoError(t, write(&now, By), name)
	}

	_, err = a.admin.ReceiveStock(t.Context(), uuid.New(), inventoryapi.ReceiveRequest{
		Location: "near", Quantity: 1,
	}, ifMatch("*"))
	fails(t, err, inventoryapi.PreconditionFailed, "If-Match")
	_, err = a.admin.ReceiveStock(t.Context(), p, inventoryapi.ReceiveRequest{
		Location: "near", Quantity: 1, ExpectedVersion: ptr(int64(-1)),
	}, By)
	fails(t, err, inventoryapi.InvalidInput, "expected_version")

	// The version was right when the operation was performed, so its repeat gets an answer.
	in := inventoryapi.AdjustRequest{
		OperationID:     uuid.New(),
		Location:        "far",
		Delta:           ptr(int64(1)),
		Reason:          "r",
		ExpectedVersion: ptr(a.version(t, p)),
	}
	for range 2 {
		_, err = a.admin.AdjustStock(t.Context(), p, in, By)
		require.NoError(t, err)
	}
}
