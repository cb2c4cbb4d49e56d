package inventorytest

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

// testSellable: a product that the catalogue does not sell is not available, with any quantity in stock, and not low.
// The version moves, because the answer to readers changes. Late and repeated messages change nothing.
func testSellable(t *testing.T, a administered) {
	tell := func(p uuid.UUID, sellable bool, version int64) inventoryapi.Sellable {
		in := inventoryapi.SellableRequest{Sellable: &sellable, CatalogueVersion: version}
		out, err := a.admin.SetSellable(t.Context(), p, in)
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

	// A message may come before the first stock of its product.
	q := uuid.New()
	tell(q, false, 1)
	_, err := a.API.Availability(t.Context(), q, 1)
	require.ErrorIs(t, err, inventoryapi.ProductNotFound)
	_, err = a.admin.ReceiveStock(t.Context(), q, inventoryapi.ReceiveRequest{Location: "near", Quantity: 3}, By)
	require.NoError(t, err)
	require.False(t, read(q).IsAvailable)

	for _, c := range []struct {
		field string
		in    inventoryapi.SellableRequest
	}{
		{"sellable", inventoryapi.SellableRequest{CatalogueVersion: 1}},
		{"catalogue_version", inventoryapi.SellableRequest{Sellable: ptr(true)}},
	} {
		_, err = a.admin.SetSellable(t.Context(), q, c.in)
		fails(t, err, inventoryapi.InvalidInput, c.field)
	}
}
