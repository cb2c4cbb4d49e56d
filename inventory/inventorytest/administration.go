package inventorytest

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

// administered is a subject with its administration, through which operators change stock.
type administered struct {
	Subject
	admin inventoryapi.Administration
}

// By names the actor of these tests, as the header does.
var By = inventoryapi.WriteOptions{Actor: Actor}

// Administration tests an implementation of inventoryapi.Administration against the contract. The subject's API must
// implement it. The database must be consistent afterwards.
func Administration(t *testing.T, s Subject) {
	admin, ok := s.API.(inventoryapi.Administration)
	require.True(t, ok, "%T does not implement inventoryapi.Administration", s.API)
	a := administered{s, admin}
	for _, c := range []struct {
		name string
		test func(*testing.T, administered)
	}{
		{"receive", testReceiveStock},
		{"adjust by a difference", testAdjust},
		{"adjust to a count", testCount},
		{"adjust refused", testAdjustRefused},
		{"transfer", testTransfer},
		{"transfer refused", testTransferRefused},
		{"threshold", testThreshold},
		{"create and delete an item", testItemLife},
		{"delete refused", testDeleteRefused},
		{"a return revives", testReturnRevives},
		{"versions", testVersions},
		{"operation ids", testAdministrationOperations},
		{"locations", testLocations},
		{"threshold of a new location", testThresholdOfNewLocation},
		{"sellable", testSellable},
		{"low stock", testLowStockList},
		{"import", testImport},
		{"import again", testImportAgain},
		{"import under a key", testImportKey},
		{"keys", testKeys},
		{"writes that change nothing", testNothing},
		{"names of changes without an entry", testNamedWithoutEntry},
		{"import of files with mistakes", testImportMistakes},
		{"reorder proposals", testReorder},
		{"dismissed proposals", testDismiss},
		{"proposals of unsold products", testReorderOfUnsold},
		{"malformed", testAdministrationMalformed},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, a) })
	}
	RequireConsistent(t, s.Pool)
}

func ptr[T any](v T) *T { return &v }

// version returns the product's version as clients see it.
func (a administered) version(t testing.TB, product uuid.UUID) int64 {
	t.Helper()
	got, err := a.API.Availability(t.Context(), product, 1)
	require.NoError(t, err)
	return got.Version
}

// fails requires a refusal with the code and the field.
func fails(t testing.TB, err error, code inventoryapi.Code, field string) {
	t.Helper()
	var e *inventoryapi.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code, "%s", err)
	require.Equal(t, field, e.Field, "%s", err)
	require.False(t, inventoryapi.Retryable(err), "%s", err)
}
