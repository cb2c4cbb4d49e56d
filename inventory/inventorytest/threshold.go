package inventorytest

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

func testThreshold(t *testing.T, a administered) {
	p := a.Stock(t, 10, 10)
	before := a.version(t, p)
	one, err := a.admin.SetThreshold(t.Context(), p, inventoryapi.ThresholdRequest{
		Location: "far", LowStockThreshold: ptr(int64(3)),
	}, By)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.ThresholdResult{
		ProductID: p, LowStockThreshold: 3, Locations: []string{"far"}, Version: before + 1,
	}, one)

	all := inventoryapi.ThresholdRequest{LowStockThreshold: ptr(int64(0)), ExpectedVersion: ptr(before + 1)}
	for range 2 { // the second call finds the threshold set already
		out, err := a.admin.SetThreshold(t.Context(), p, all, By)
		require.NoError(t, err)
		require.Equal(t, inventoryapi.ThresholdResult{
			ProductID: p, Locations: []string{"near", "far"}, Version: before + 3,
		}, out)
	}

	all.LowStockThreshold = ptr(int64(1))
	_, err = a.admin.SetThreshold(t.Context(), p, all, By)
	fails(t, err, inventoryapi.VersionConflict, "expected_version")
	_, err = a.admin.SetThreshold(t.Context(), uuid.New(), inventoryapi.ThresholdRequest{
		LowStockThreshold: ptr(int64(1)),
	}, By)
	fails(t, err, inventoryapi.ProductNotFound, "product_id")
	q := a.Stock(t, 1)
	_, err = a.admin.SetThreshold(t.Context(), q, inventoryapi.ThresholdRequest{
		Location: "far", LowStockThreshold: ptr(int64(1)),
	}, By)
	fails(t, err, inventoryapi.ItemNotFound, "location")

	item, err := a.admin.CreateItem(t.Context(), p, "far", inventoryapi.CreateItemRequest{}, By)
	require.NoError(t, err)
	require.Zero(t, item.LowStockThreshold)
}

// low returns the locations at which the list of low stock contains a product.
func (a administered) low(t testing.TB, product uuid.UUID) []string {
	t.Helper()
	at := []string{}
	page := inventoryapi.Page{Limit: inventoryapi.MaxPage}
	for {
		list, err := a.API.(inventoryapi.Queries).LowStock(t.Context(), inventoryapi.LowStockFilter{}, page)
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

// testThresholdOfNewLocation: a threshold for all items of a product also applies to an item that any request creates
// later. A new item above the threshold is never announced as low.
func testThresholdOfNewLocation(t *testing.T, a administered) {
	for _, c := range []struct {
		name   string
		create func(p uuid.UUID) error
	}{
		{"received", func(p uuid.UUID) error {
			_, err := a.admin.ReceiveStock(t.Context(), p, inventoryapi.ReceiveRequest{Location: "far", Quantity: 5}, By)
			return err
		}},
		{"transferred", func(p uuid.UUID) error {
			_, err := a.admin.TransferStock(t.Context(), p, inventoryapi.TransferRequest{
				From: "near", To: "far", Quantity: 5, Reason: "r",
			}, By)
			return err
		}},
		{"created", func(p uuid.UUID) error {
			_, err := a.admin.CreateItem(t.Context(), p, "far", inventoryapi.CreateItemRequest{}, By)
			return err
		}},
		{"imported", func(p uuid.UUID) error {
			report := a.importing(t, inventoryapi.ImportOptions{}, "product_id,location,quantity", p.String()+",far,5")
			require.Equal(t, []string{"2 created"}, outcomes(report))
			return nil
		}},
	} {
		p := a.Stock(t, 20)
		_, err := a.admin.SetThreshold(t.Context(), p, inventoryapi.ThresholdRequest{LowStockThreshold: ptr(int64(3))}, By)
		require.NoError(t, err)
		require.NoError(t, c.create(p), c.name)

		item, err := a.admin.CreateItem(t.Context(), p, "far", inventoryapi.CreateItemRequest{}, By)
		require.NoError(t, err)
		require.False(t, item.Created, c.name)
		require.EqualValues(t, 3, item.LowStockThreshold, c.name)
		require.Empty(t, a.low(t, p), c.name)

		var announced int
		require.NoError(t, a.Pool.QueryRow(t.Context(), `
			SELECT count(*) FROM outbox
			WHERE event_type = 'inventory.low_stock' AND payload::jsonb->>'productId' = $1::text`,
			p).Scan(&announced))
		require.Zero(t, announced, c.name)
	}

	// A deleted item has the threshold when a request creates it again.
	p := a.Stock(t, 20, 20)
	_, err := a.admin.DeleteItem(t.Context(), p, "far", inventoryapi.DeleteItemRequest{Reason: "r"}, By)
	require.NoError(t, err)
	_, err = a.admin.SetThreshold(t.Context(), p, inventoryapi.ThresholdRequest{LowStockThreshold: ptr(int64(2))}, By)
	require.NoError(t, err)
	item, err := a.admin.CreateItem(t.Context(), p, "far", inventoryapi.CreateItemRequest{}, By)
	require.NoError(t, err)
	require.EqualValues(t, 2, item.LowStockThreshold)
}

// testLowStockList: an item whose whole stock was transferred away is not low, and a deleted item is not low. All items
// of a product that is sold out everywhere are low.
func testLowStockList(t *testing.T, a administered) {
	p := a.Stock(t, 20)
	_, err := a.admin.TransferStock(t.Context(), p, inventoryapi.TransferRequest{
		From: "near", To: "far", Quantity: 20, Reason: "r",
	}, By)
	require.NoError(t, err)
	require.Empty(t, a.low(t, p))

	_, err = a.admin.AdjustStock(t.Context(), p, inventoryapi.AdjustRequest{
		Location: "far", Quantity: ptr(int64(0)), Reason: "lost",
	}, By)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"near", "far"}, a.low(t, p))

	_, err = a.admin.DeleteItem(t.Context(), p, "near", inventoryapi.DeleteItemRequest{Reason: "r"}, By)
	require.NoError(t, err)
	require.Equal(t, []string{"far"}, a.low(t, p))
}
