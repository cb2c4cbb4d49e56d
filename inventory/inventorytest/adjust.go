package inventorytest

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

func testAdjust(t *testing.T, a administered) {
	p := a.Stock(t, 10)
	a.reserve(t, Line(p, 4))

	in := inventoryapi.AdjustRequest{OperationID: uuid.New(), Location: "near", Delta: ptr(int64(-3)), Reason: "broken"}
	first, err := a.admin.AdjustStock(t.Context(), p, in, By)
	require.NoError(t, err)
	want := inventoryapi.StockChange{
		OperationID:    in.OperationID,
		ProductID:      p,
		Location:       "near",
		Quantity:       -3,
		Stock:          7,
		ReservedStock:  4,
		AvailableStock: 3,
		Version:        3,
	}
	require.Equal(t, want, first)

	_, err = a.admin.AdjustStock(t.Context(), p, inventoryapi.AdjustRequest{
		Location: "near", Delta: ptr(int64(5)), Reason: "found", Actor: Actor,
	}, inventoryapi.WriteOptions{})
	require.NoError(t, err, "without an operation id, and with the actor in the body")

	again, err := a.admin.AdjustStock(t.Context(), p, in, By)
	require.NoError(t, err)
	want.Version, want.Replayed = 0, true
	require.Equal(t, want, again)
	available, _ := a.Available(t, p)
	require.EqualValues(t, 8, available)
}

func testCount(t *testing.T, a administered) {
	p := a.Stock(t, 10)
	counted := func(op uuid.UUID, n int64) inventoryapi.StockChange {
		out, err := a.admin.AdjustStock(t.Context(), p, inventoryapi.AdjustRequest{
			OperationID: op, Location: "near", Quantity: &n, Reason: "count",
		}, By)
		require.NoError(t, err)
		return out
	}
	count := func(n int64) inventoryapi.StockChange { return counted(uuid.New(), n) }

	require.EqualValues(t, -4, count(6).Quantity)
	op := uuid.New()
	same := counted(op, 6)
	require.Zero(t, same.Quantity)
	require.EqualValues(t, 6, same.Stock)
	require.Equal(t, same.Version, a.version(t, p))

	require.EqualValues(t, -2, count(4).Quantity)
	again := counted(op, 6)
	require.True(t, again.Replayed)
	require.EqualValues(t, 6, again.Stock)
	available, _ := a.Available(t, p)
	require.EqualValues(t, 4, available, "a repeat of a count changes nothing")

	require.EqualValues(t, -4, count(0).Quantity)
	require.Zero(t, count(0).Quantity)

	remove := inventoryapi.DeleteItemRequest{OperationID: uuid.New(), Reason: "closed"}
	_, err := a.admin.DeleteItem(t.Context(), p, "near", remove, By)
	require.NoError(t, err)
	_, err = a.admin.ReceiveStock(t.Context(), p, inventoryapi.ReceiveRequest{Location: "near", Quantity: 50}, By)
	require.NoError(t, err)
	_, err = a.admin.DeleteItem(t.Context(), p, "near", remove, By)
	require.NoError(t, err)
	available, _ = a.Available(t, p)
	require.EqualValues(t, 50, available, "a repeat of a deletion changes nothing")
}

func testAdjustRefused(t *testing.T, a administered) {
	p := a.Stock(t, 10)
	a.reserve(t, Line(p, 4))
	adjust := func(location string, delta, quantity *int64) error {
		_, err := a.admin.AdjustStock(t.Context(), p, inventoryapi.AdjustRequest{
			Location: location, Delta: delta, Quantity: quantity, Reason: "r",
		}, By)
		return err
	}
	fails(t, adjust("near", ptr(int64(-11)), nil), inventoryapi.NegativeQuantity, "delta")
	require.Equal(t, inventoryapi.Validation, inventoryapi.NegativeQuantity.Category())

	short := func(requested int64, detail string) error {
		return &inventoryapi.InsufficientStockError{
			Lines:  []inventoryapi.ShortLine{{ProductID: p, Requested: requested, Available: 6}},
			Detail: detail,
		}
	}
	require.Equal(t,
		short(7, "product "+p.String()+" has 10 at near, of which 4 are reserved; at most 6 can be taken off"),
		adjust("near", ptr(int64(-7)), nil))
	require.Equal(t,
		short(10, "4 of product "+p.String()+" at near are reserved; the count cannot be below that"),
		adjust("near", nil, ptr(int64(0))))

	fails(t, adjust("near", ptr(int64(1_000_000_000_000)), nil), inventoryapi.InvalidQuantity, "quantity")
	fails(t, adjust("far", ptr(int64(1)), nil), inventoryapi.ItemNotFound, "location")
	_, err := a.admin.AdjustStock(t.Context(), uuid.New(), inventoryapi.AdjustRequest{
		Location: "near", Delta: ptr(int64(1)), Reason: "r",
	}, By)
	fails(t, err, inventoryapi.ProductNotFound, "product_id")

	available, _ := a.Available(t, p)
	require.EqualValues(t, 6, available)
}
