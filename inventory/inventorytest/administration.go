package inventorytest

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

// administered is a subject by which people change stock.
type administered struct {
	Subject
	admin inventoryapi.Administration
}

// By is who acts in these tests, in the header.
var By = inventoryapi.WriteOptions{Actor: Actor}

// Administration holds an implementation of inventoryapi.Administration, which the subject's API must
// be as well, to the contract. The subject must be consistent afterwards.
func Administration(t *testing.T, s Subject) {
	admin, ok := s.API.(inventoryapi.Administration)
	require.True(t, ok, "%T administers nothing", s.API)
	a := administered{s, admin}
	for name, test := range map[string]func(*testing.T, administered){
		"receive":                     testReceiveStock,
		"adjust by a difference":      testAdjust,
		"adjust to a count":           testCount,
		"adjust refused":              testAdjustRefused,
		"transfer":                    testTransfer,
		"transfer refused":            testTransferRefused,
		"threshold":                   testThreshold,
		"create and delete an item":   testItemLife,
		"delete refused":              testDeleteRefused,
		"a return revives":            testReturnRevives,
		"versions":                    testVersions,
		"operation ids":               testAdministrationOperations,
		"locations":                   testLocations,
		"threshold of a new location": testThresholdOfNewLocation,
		"sellable":                    testSellable,
		"low stock":                   testLowStockList,
		"import":                      testImport,
		"import again":                testImportAgain,
		"import under a key":          testImportKey,
		"keys":                        testKeys,
		"changes of nothing":          testNothing,
		"names of what the ledger does not tell of": testNamedWithoutEntry,
		"import of files with mistakes":             testImportMistakes,
		"malformed":                                 testAdministrationMalformed,
	} {
		t.Run(name, func(t *testing.T) { test(t, a) })
	}
	RequireConsistent(t, s.Pool)
}

func ptr[T any](v T) *T { return &v }

// version is the product's as clients see it.
func (a administered) version(t testing.TB, product uuid.UUID) int64 {
	t.Helper()
	got, err := a.API.Availability(t.Context(), product, 1)
	require.NoError(t, err)
	return got.Version
}

// fails requires a refusal with a code, about a field.
func fails(t testing.TB, err error, code inventoryapi.Code, field string) {
	t.Helper()
	var e *inventoryapi.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code, "%s", err)
	require.Equal(t, field, e.Field, "%s", err)
	require.False(t, inventoryapi.Retryable(err), "%s", err)
}

func testReceiveStock(t *testing.T, a administered) {
	p := uuid.New()
	in := inventoryapi.ReceiveRequest{OperationID: uuid.New(), Location: "far", Quantity: 5, Reason: "delivery 7"}
	first, err := a.admin.ReceiveStock(t.Context(), p, in, By)
	require.NoError(t, err)
	want := inventoryapi.StockChange{OperationID: in.OperationID, ProductID: p, Location: "far", Quantity: 5, Stock: 5, AvailableStock: 5, Version: 1}
	require.Equal(t, want, first)
	a.reserve(t, Line(p, 2))
	again, err := a.admin.ReceiveStock(t.Context(), p, in, By)
	require.NoError(t, err)
	want.Version, want.Replayed = 0, true // whoever repeats has not seen the reservation
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

func testAdjust(t *testing.T, a administered) {
	p := a.Stock(t, 10)
	a.reserve(t, Line(p, 4))
	in := inventoryapi.AdjustRequest{OperationID: uuid.New(), Location: "near", Delta: ptr(int64(-3)), Reason: "broken"}
	first, err := a.admin.AdjustStock(t.Context(), p, in, By)
	require.NoError(t, err)
	want := inventoryapi.StockChange{OperationID: in.OperationID, ProductID: p, Location: "near", Quantity: -3, Stock: 7, ReservedStock: 4, AvailableStock: 3, Version: 3}
	require.Equal(t, want, first)
	_, err = a.admin.AdjustStock(t.Context(), p, inventoryapi.AdjustRequest{Location: "near", Delta: ptr(int64(5)), Reason: "found", Actor: Actor}, inventoryapi.WriteOptions{})
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
		out, err := a.admin.AdjustStock(t.Context(), p, inventoryapi.AdjustRequest{OperationID: op, Location: "near", Quantity: &n, Reason: "count"}, By)
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
	require.EqualValues(t, 4, available, "a count that is sent again later is not another count")
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
	require.EqualValues(t, 50, available, "a deletion that is sent again later takes nothing away")
}

func testAdjustRefused(t *testing.T, a administered) {
	p := a.Stock(t, 10)
	a.reserve(t, Line(p, 4))
	adjust := func(location string, delta, quantity *int64) error {
		_, err := a.admin.AdjustStock(t.Context(), p, inventoryapi.AdjustRequest{Location: location, Delta: delta, Quantity: quantity, Reason: "r"}, By)
		return err
	}
	fails(t, adjust("near", ptr(int64(-11)), nil), inventoryapi.NegativeQuantity, "delta")
	require.Equal(t, inventoryapi.Validation, inventoryapi.NegativeQuantity.Category())
	short := func(requested int64, detail string) error {
		return &inventoryapi.InsufficientStockError{Lines: []inventoryapi.ShortLine{{ProductID: p, Requested: requested, Available: 6}}, Detail: detail}
	}
	require.Equal(t, short(7, "of 10 of product "+p.String()+" at near 4 are reserved; at most 6 can be taken off"), adjust("near", ptr(int64(-7)), nil))
	require.Equal(t, short(10, "4 of product "+p.String()+" at near are reserved; the count cannot be below that"), adjust("near", nil, ptr(int64(0))))
	fails(t, adjust("near", ptr(int64(1_000_000_000_000)), nil), inventoryapi.InvalidQuantity, "quantity")
	fails(t, adjust("far", ptr(int64(1)), nil), inventoryapi.ItemNotFound, "location")
	_, err := a.admin.AdjustStock(t.Context(), uuid.New(), inventoryapi.AdjustRequest{Location: "near", Delta: ptr(int64(1)), Reason: "r"}, By)
	fails(t, err, inventoryapi.ProductNotFound, "product_id")
	available, _ := a.Available(t, p)
	require.EqualValues(t, 6, available)
}

func testTransfer(t *testing.T, a administered) {
	p := a.Stock(t, 10)
	a.reserve(t, Line(p, 4))
	in := inventoryapi.TransferRequest{OperationID: uuid.New(), From: "near", To: "far", Quantity: 6, Reason: "rebalance"}
	first, err := a.admin.TransferStock(t.Context(), p, in, By)
	require.NoError(t, err)
	want := inventoryapi.TransferResult{
		OperationID: in.OperationID, ProductID: p, From: "near", To: "far", Quantity: 6, Version: 4,
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
		{From: "near", To: "far", Quantity: 5}, {From: "far", To: "near", Quantity: 6},
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
		_, err := a.admin.TransferStock(t.Context(), product, inventoryapi.TransferRequest{From: from, To: to, Quantity: n, Reason: "r"}, By)
		return err
	}
	require.Equal(t, &inventoryapi.InsufficientStockError{
		Lines:  []inventoryapi.ShortLine{{ProductID: p, Requested: 7, Available: 6}},
		Detail: "of 10 of product " + p.String() + " at near 4 are reserved; at most 6 can be moved",
	},
		transfer(p, "near", "far", 7), "what is reserved stays where it is")
	fails(t, transfer(p, "far", "near", 1), inventoryapi.ItemNotFound, "from")
	fails(t, transfer(p, "near", "nowhere", 1), inventoryapi.InvalidInput, "to")
	fails(t, transfer(p, "near", "near", 1), inventoryapi.InvalidInput, "to")
	fails(t, transfer(uuid.New(), "near", "far", 1), inventoryapi.ProductNotFound, "product_id")
	got, err := a.API.Availability(t.Context(), p, 1)
	require.NoError(t, err)
	require.Len(t, got.Locations, 1, "a refused transfer creates no item")
}

func testThreshold(t *testing.T, a administered) {
	p := a.Stock(t, 10, 10)
	before := a.version(t, p)
	one, err := a.admin.SetThreshold(t.Context(), p, inventoryapi.ThresholdRequest{Location: "far", LowStockThreshold: ptr(int64(3))}, By)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.ThresholdResult{ProductID: p, LowStockThreshold: 3, Locations: []string{"far"}, Version: before + 1}, one)
	all := inventoryapi.ThresholdRequest{LowStockThreshold: ptr(int64(0)), ExpectedVersion: ptr(before + 1)}
	for range 2 { // the second finds what it asks for
		out, err := a.admin.SetThreshold(t.Context(), p, all, By)
		require.NoError(t, err)
		require.Equal(t, inventoryapi.ThresholdResult{ProductID: p, Locations: []string{"near", "far"}, Version: before + 3}, out)
	}
	all.LowStockThreshold = ptr(int64(1))
	_, err = a.admin.SetThreshold(t.Context(), p, all, By)
	fails(t, err, inventoryapi.VersionConflict, "expected_version")
	_, err = a.admin.SetThreshold(t.Context(), uuid.New(), inventoryapi.ThresholdRequest{LowStockThreshold: ptr(int64(1))}, By)
	fails(t, err, inventoryapi.ProductNotFound, "product_id")
	q := a.Stock(t, 1)
	_, err = a.admin.SetThreshold(t.Context(), q, inventoryapi.ThresholdRequest{Location: "far", LowStockThreshold: ptr(int64(1))}, By)
	fails(t, err, inventoryapi.ItemNotFound, "location")
	item, err := a.admin.CreateItem(t.Context(), p, "far", inventoryapi.CreateItemRequest{}, By)
	require.NoError(t, err)
	require.Zero(t, item.LowStockThreshold)
}

func testItemLife(t *testing.T, a administered) {
	p := uuid.New()
	created, err := a.admin.CreateItem(t.Context(), p, "near", inventoryapi.CreateItemRequest{}, By)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.Item{ProductID: p, Location: "near", LowStockThreshold: 10, Version: 1, Created: true}, created)
	_, err = a.API.Reserve(t.Context(), NewReserve(Line(p, 1)))
	require.ErrorIs(t, err, inventoryapi.InsufficientStock, "kept, but empty")
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
	want := inventoryapi.StockChange{OperationID: drop.OperationID, ProductID: p, Location: "near", Quantity: -7, Version: 3}
	require.Equal(t, want, gone)
	_, err = a.API.Availability(t.Context(), p, 1)
	require.ErrorIs(t, err, inventoryapi.ProductNotFound)
	list, err := a.API.Availabilities(t.Context(), []uuid.UUID{p})
	require.NoError(t, err)
	require.Empty(t, list)
	_, err = a.API.Reserve(t.Context(), NewReserve(Line(p, 1)))
	require.ErrorIs(t, err, inventoryapi.InsufficientStock, "a reserve finds none of it")

	back, err := a.admin.ReceiveStock(t.Context(), p, inventoryapi.ReceiveRequest{Location: "near", Quantity: 2}, By)
	require.NoError(t, err)
	require.EqualValues(t, 4, back.Version, "the version goes on where it was")
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
		Lines:  []inventoryapi.ShortLine{{ProductID: p, Requested: 10, Available: 6}},
		Detail: "4 of product " + p.String() + " at near are reserved; the item can be deleted once they are confirmed or released",
	}, err)
	before := a.version(t, p)
	_, err = drop("far")
	require.NoError(t, err)
	require.Equal(t, before+1, a.version(t, p), "the product's version counts deleted items, so that it never falls")
	empty, err := drop("far")
	require.NoError(t, err, "what is deleted can be deleted")
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
