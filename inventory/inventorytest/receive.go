package inventorytest

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

func testReceiveStock(t *testing.T, a administered) {
	p := uuid.New()
	in := inventoryapi.ReceiveRequest{OperationID: uuid.New(), Location: "far", Quantity: 5, Reason: "delivery 7"}
	first, err := a.admin.ReceiveStock(t.Context(), p, in, By)
	require.NoError(t, err)
	want := inventoryapi.StockChange{
		OperationID:    in.OperationID,
		ProductID:      p,
		Location:       "far",
		Quantity:       5,
		Stock:          5,
		AvailableStock: 5,
		Version:        1,
	}
	require.Equal(t, want, first)

	a.reserve(t, Line(p, 2))
	again, err := a.admin.ReceiveStock(t.Context(), p, in, By)
	require.NoError(t, err)
	want.Version, want.Replayed = 0, true // no version: the caller of the repeat has not seen the reservation
	require.Equal(t, want, again)

	in.Quantity = 6
	_, err = a.admin.ReceiveStock(t.Context(), p, in, By)
	fails(t, err, inventoryapi.AlreadyExists, "operation_id")
	_, err = a.admin.ReceiveStock(t.Context(), p, inventoryapi.ReceiveRequest{Location: "nowhere", Quantity: 1}, By)
	fails(t, err, inventoryapi.InvalidInput, "location")
	available, reserved := a.Available(t, p)
	require.EqualValues(t, 3, available)
	require.EqualValues(t, 2, reserved)
}
