package inventorytest

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

func testItemLife(t *testing.T, a administered) {
	p := uuid.New()
	created, err := a.admin.CreateItem(t.Context(), p, "near", inventoryapi.CreateItemRequest{}, By)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.Item{
		ProductID:         p,
		Location:          "near",
		LowStockThreshold: 10,
		Version:           1,
		Created:           true,
	}, created)
	_, err = a.API.Reserve(t.Context(), NewReserve(Line(p, 1)))
	require.ErrorIs(t, err, inventoryapi.InsufficientStock, "the item exists, but is empty")

	created.Created = false
	again, err := a.admin.CreateItem(t.Context(), p, "near", inventoryapi.CreateItemRequest{}, By)
	require.NoError(t, err)
	require.Equal(t, created, again)
	_, err = a.admin.CreateItem(t.Context(), p, "nowhere", inventoryapi.CreateItemRequest{}, By)
	fails(t, err, inventoryapi.InvalidInput, "location")

	_, err = a.admin.ReceiveStock(t.Context(), p, inventoryapi.ReceiveRequest{Location: "near", Quantity: 7}, By)
	require.NoError(t, err)
	drop := inventoryapi.DeleteItemRequest{OperationID: uuid.New(), Reason: "discontinued"}
	gone, err := a.admin.DeleteItem(t.Context(), p, "near", drop, By)
	require.NoError(t, err)
	want := inventoryapi.StockChange{
		OperationID: drop.OperationID,
		ProductID:   p,
		Location:    "near",
		Quantity:    -7,
		Version:     3,
	}
	require.Equal(t, want, gone)

	_, err = a.API.Availability(t.Context(), p, 1)
	require.ErrorIs(t, err, inventoryapi.ProductNotFound)
	list, err := a.API.Availabilities(t.Context(), []uuid.UUID{p})
	require.NoError(t, err)
	require.Empty(t, list)
	_, err = a.API.Reserve(t.Context(), NewReserve(Line(p, 1)))
	require.ErrorIs(t, err, inventoryapi.InsufficientStock, "a reserve finds no stock of it")

	back, err := a.admin.ReceiveStock(t.Context(), p, inventoryapi.ReceiveRequest{Location: "near", Quantity: 2}, By)
	require.NoError(t, err)
	require.EqualValues(t, 4, back.Version, "the version continues from its old value")
	late, err := a.admin.DeleteItem(t.Context(), p, "near", drop, By)
	require.NoError(t, err)
	want.Version, want.Replayed = 0, true
	require.Equal(t, want, late, "a late repeat deletes nothing")
	available, _ := a.Available(t, p)
	require.EqualValues(t, 2, available)
}

func testDeleteRefused(t *testing.T, a administered) {
	p := a.Stock(t, 10, 1)
	in, _ := a.reserve(t, Line(p, 4))
	drop := func(location string) (inventoryapi.StockChange, error) {
		return a.admin.DeleteItem(t.Context(), p, location, inventoryapi.DeleteItemRequest{Reason: "r"}, By)
	}
	_, err := drop("near")
	require.Equal(t, &inventoryapi.InsufficientStockError{
		Lines: []inventoryapi.ShortLine{{ProductID: p, Requested: 10, Available: 6}},
		Detail: "4 of product " + p.String() + " at near are reserved; " +
			"the item can be deleted once they are confirmed or released",
	}, err)

	before := a.version(t, p)
	_, err = drop("far")
	require.NoError(t, err)
	require.Equal(t, before+1, a.version(t, p), "the product's version counts deleted items, so that it never falls")
	empty, err := drop("far")
	require.NoError(t, err, "deleting a deleted item succeeds")
	require.Zero(t, empty.Quantity)

	_, err = drop("nowhere")
	fails(t, err, inventoryapi.ItemNotFound, "location")
	_, err = a.admin.DeleteItem(t.Context(), uuid.New(), "near", inventoryapi.DeleteItemRequest{Reason: "r"}, By)
	fails(t, err, inventoryapi.ProductNotFound, "product_id")

	_, err = a.API.Release(t.Context(), in.ReservationID, ReleaseOf(in))
	require.NoError(t, err)
	_, err = drop("near")
	require.NoError(t, err)
}

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
