package inventorytest

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

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
