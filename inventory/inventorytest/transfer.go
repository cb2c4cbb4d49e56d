package inventorytest

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

func testTransfer(t *testing.T, a administered) {
	p := a.Stock(t, 10)
	a.reserve(t, Line(p, 4))
	in := inventoryapi.TransferRequest{OperationID: uuid.New(), From: "near", To: "far", Quantity: 6, Reason: "rebalance"}
	first, err := a.admin.TransferStock(t.Context(), p, in, By)
	require.NoError(t, err)
	want := inventoryapi.TransferResult{
		OperationID: in.OperationID,
		ProductID:   p,
		From:        "near",
		To:          "far",
		Quantity:    6,
		Version:     4,
		Lines: []inventoryapi.StockLine{
			{LineNo: 1, ProductID: p, Location: "near", Quantity: 6, Stock: 4, ReservedStock: 4, AvailableStock: 0},
			{LineNo: 2, ProductID: p, Location: "far", Quantity: 6, Stock: 6, AvailableStock: 6},
		},
	}
	require.Equal(t, want, first)

	a.reserve(t, Line(p, 1))
	again, err := a.admin.TransferStock(t.Context(), p, in, By)
	require.NoError(t, err)
	want.Version, want.Replayed = 0, true
	require.Equal(t, want, again)

	for _, other := range []inventoryapi.TransferRequest{
		{From: "near", To: "far", Quantity: 5},
		{From: "far", To: "near", Quantity: 6},
	} {
		other.OperationID, other.Reason = in.OperationID, in.Reason
		_, err = a.admin.TransferStock(t.Context(), p, other, By)
		fails(t, err, inventoryapi.AlreadyExists, "operation_id")
	}
}

func testTransferRefused(t *testing.T, a administered) {
	p := a.Stock(t, 10)
	a.reserve(t, Line(p, 4))
	transfer := func(product uuid.UUID, from, to string, n int64) error {
		_, err := a.admin.TransferStock(t.Context(), product, inventoryapi.TransferRequest{
			From: from, To: to, Quantity: n, Reason: "r",
		}, By)
		return err
	}

	require.Equal(t, &inventoryapi.InsufficientStockError{
		Lines:  []inventoryapi.ShortLine{{ProductID: p, Requested: 7, Available: 6}},
		Detail: "product " + p.String() + " has 10 at near, of which 4 are reserved; at most 6 can be moved",
	}, transfer(p, "near", "far", 7), "reserved stock stays where it is")
	fails(t, transfer(p, "far", "near", 1), inventoryapi.ItemNotFound, "from")
	fails(t, transfer(p, "near", "nowhere", 1), inventoryapi.InvalidInput, "to")
	fails(t, transfer(p, "near", "near", 1), inventoryapi.InvalidInput, "to")
	fails(t, transfer(uuid.New(), "near", "far", 1), inventoryapi.ProductNotFound, "product_id")

	got, err := a.API.Availability(t.Context(), p, 1)
	require.NoError(t, err)
	require.Len(t, got.Locations, 1, "a refused transfer creates no item")
}
