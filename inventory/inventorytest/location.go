package inventorytest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

func testLocations(t *testing.T, a administered) {
	list, err := a.admin.Locations(t.Context())
	require.NoError(t, err)
	require.Contains(t, list, inventoryapi.Location{Code: "near", Name: "Near", Priority: 1})

	want := inventoryapi.Location{Code: "attic", Name: "Über dem Büro", Priority: 1_000_000}
	for range 2 {
		in := inventoryapi.LocationRequest{Name: want.Name, Priority: ptr(want.Priority)}
		got, err := a.admin.PutLocation(t.Context(), "attic", in, By)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}

	list, err = a.admin.Locations(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, list[len(list)-1], "by priority")
}
