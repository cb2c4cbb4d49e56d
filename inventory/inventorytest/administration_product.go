package inventorytest

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

// low are the locations at which a product is in the list of low stock.
func (a administered) low(t testing.TB, product uuid.UUID) []string {
	t.Helper()
	at := []string{}
	page := inventoryapi.Page{Limit: inventoryapi.MaxPage}
	for {
		list, err := a.API.(inventoryapi.Queries).LowStock(t.Context(), "", page)
		require.NoError(t, err)
		for _, it := range list.Items {
			if it.ProductID == product {
				at = append(at, it.Location)
			}
		}
		if page.Cursor = list.NextCursor; page.Cursor == "" {
			return at
		}
	}
}

// testThresholdOfNewLocation: what is set for all of a product holds where it comes to later, whichever way, and a
// location that is above it is not low for a moment.
func testThresholdOfNewLocation(t *testing.T, a administered) {
	for name, come := range map[string]func(p uuid.UUID) error{
		"received": func(p uuid.UUID) error {
			_, err := a.admin.ReceiveStock(t.Context(), p, inventoryapi.ReceiveRequest{Location: "far", Quantity: 5}, By)
			return err
		},
		"transferred": func(p uuid.UUID) error {
			_, err := a.admin.TransferStock(t.Context(), p, inventoryapi.TransferRequest{From: "near", To: "far", Quantity: 5, Reason: "r"}, By)
			return err
		},
		"created": func(p uuid.UUID) error {
			_, err := a.admin.CreateItem(t.Context(), p, "far", inventoryapi.CreateItemRequest{}, By)
			return err
		},
		"imported": func(p uuid.UUID) error {
			require.Equal(t, []string{"2 created"}, outcomes(a.importing(t, inventoryapi.ImportOptions{}, "product_id,location,quantity", p.String()+",far,5")))
			return nil
		},
	} {
		p := a.Stock(t, 20)
		_, err := a.admin.SetThreshold(t.Context(), p, inventoryapi.ThresholdRequest{LowStockThreshold: ptr(int64(3))}, By)
		require.NoError(t, err)
		require.NoError(t, come(p), name)
		item, err := a.admin.CreateItem(t.Context(), p, "far", inventoryapi.CreateItemRequest{}, By)
		require.NoError(t, err)
		require.False(t, item.Created, name)
		require.EqualValues(t, 3, item.LowStockThreshold, name)
		require.Empty(t, a.low(t, p), name)
		var told int
		require.NoError(t, a.Pool.QueryRow(t.Context(), "SELECT count(*) FROM outbox WHERE event_type = 'inventory.low_stock' AND payload::jsonb->>'productId' = $1::text", p).Scan(&told))
		require.Zero(t, told, name)
	}
	// One that was deleted has it when it comes back.
	p := a.Stock(t, 20, 20)
	_, err := a.admin.DeleteItem(t.Context(), p, "far", inventoryapi.DeleteItemRequest{Reason: "r"}, By)
	require.NoError(t, err)
	_, err = a.admin.SetThreshold(t.Context(), p, inventoryapi.ThresholdRequest{LowStockThreshold: ptr(int64(2))}, By)
	require.NoError(t, err)
	item, err := a.admin.CreateItem(t.Context(), p, "far", inventoryapi.CreateItemRequest{}, By)
	require.NoError(t, err)
	require.EqualValues(t, 2, item.LowStockThreshold)
}

// testSellable: what the catalogue does not sell is not available, whatever there is of it, and not low; the version
// moves, since what is answered changes. Messages that come late or twice change nothing.
func testSellable(t *testing.T, a administered) {
	tell := func(p uuid.UUID, sellable bool, version int64) inventoryapi.Sellable {
		out, err := a.admin.SetSellable(t.Context(), p, inventoryapi.SellableRequest{Sellable: &sellable, CatalogueVersion: version})
		require.NoError(t, err)
		return out
	}
	read := func(p uuid.UUID) inventoryapi.Availability {
		out, err := a.API.Availability(t.Context(), p, 1)
		require.NoError(t, err)
		return out
	}
	p := a.Stock(t, 5)
	before := read(p)
	require.True(t, before.Sellable && before.IsAvailable)
	require.Equal(t, []string{"near"}, a.low(t, p))
	for range 2 {
		require.Equal(t, inventoryapi.Sellable{ProductID: p, CatalogueVersion: 4}, tell(p, false, 4))
	}
	after := read(p)
	require.False(t, after.Sellable || after.IsAvailable)
	require.Equal(t, []int64{5, before.Version + 1}, []int64{after.AvailableQuantity, after.Version})
	require.Empty(t, a.low(t, p))
	require.Equal(t, inventoryapi.Sellable{ProductID: p, CatalogueVersion: 4}, tell(p, true, 3), "late")
	require.Equal(t, after, read(p))
	tell(p, true, 5)
	require.True(t, read(p).IsAvailable)

	// A product that there is no stock of yet.
	q := uuid.New()
	tell(q, false, 1)
	_, err := a.API.Availability(t.Context(), q, 1)
	require.ErrorIs(t, err, inventoryapi.ProductNotFound)
	_, err = a.admin.ReceiveStock(t.Context(), q, inventoryapi.ReceiveRequest{Location: "near", Quantity: 3}, By)
	require.NoError(t, err)
	require.False(t, read(q).IsAvailable)
	for field, in := range map[string]inventoryapi.SellableRequest{"sellable": {CatalogueVersion: 1}, "catalogue_version": {Sellable: ptr(true)}} {
		_, err = a.admin.SetSellable(t.Context(), q, in)
		fails(t, err, inventoryapi.InvalidInput, field)
	}
}

// testLowStockList: a location that all was moved away from is not low, and neither is one that was deleted; what is
// sold out everywhere is.
func testLowStockList(t *testing.T, a administered) {
	p := a.Stock(t, 20)
	_, err := a.admin.TransferStock(t.Context(), p, inventoryapi.TransferRequest{From: "near", To: "far", Quantity: 20, Reason: "r"}, By)
	require.NoError(t, err)
	require.Empty(t, a.low(t, p))
	_, err = a.admin.AdjustStock(t.Context(), p, inventoryapi.AdjustRequest{Location: "far", Quantity: ptr(int64(0)), Reason: "lost"}, By)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"near", "far"}, a.low(t, p))
	_, err = a.admin.DeleteItem(t.Context(), p, "near", inventoryapi.DeleteItemRequest{Reason: "r"}, By)
	require.NoError(t, err)
	require.Equal(t, []string{"far"}, a.low(t, p))
}
