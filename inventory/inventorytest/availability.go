package inventorytest

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

func testAvailability(t *testing.T, s Subject) {
	a, b := s.Stock(t, 3, 5), s.Stock(t, 0)
	s.reserve(t, Line(a, 4))
	got, err := s.API.Availability(t.Context(), a, 5)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.Availability{
		ProductID:         a,
		IsAvailable:       false,
		Sellable:          true,
		RequestedQuantity: 5,
		AvailableQuantity: 4,
		TotalStock:        8,
		ReservedQuantity:  4,
		Version:           3,
		Locations: []inventoryapi.LocationStock{
			{Location: "near", Quantity: 3, Reserved: 0, Available: 3, Version: 1},
			{Location: "far", Quantity: 5, Reserved: 4, Available: 1, Version: 2},
		},
	}, got)

	list, err := s.API.Availabilities(t.Context(), []uuid.UUID{b, uuid.New(), a, b})
	require.NoError(t, err)
	require.Len(t, list, 2, "the answer omits unknown products and contains each known product once")
	require.Equal(t, b, list[0].ProductID)
	require.False(t, list[0].IsAvailable)
	require.Equal(t, a, list[1].ProductID)
	require.True(t, list[1].IsAvailable)

	_, err = s.API.Availability(t.Context(), uuid.New(), 1)
	require.ErrorIs(t, err, inventoryapi.ProductNotFound)
}
