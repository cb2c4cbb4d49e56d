package inventorytest

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

// namedWrite sends a write of one kind, which the options may name. It returns whether the answer was a repeat, and the
// version in the answer.
type namedWrite func(o inventoryapi.WriteOptions) (replayed bool, version int64, err error)

// named has a write of one kind for a test of names.
type named struct {
	write namedWrite
	other func(o inventoryapi.WriteOptions) error // the same kind of write with another body
}

func (a administered) namedWrites(t *testing.T, p uuid.UUID) map[string]named {
	t.Helper()
	receive := func(n int64) namedWrite {
		return func(o inventoryapi.WriteOptions) (bool, int64, error) {
			out, err := a.admin.ReceiveStock(t.Context(), p, inventoryapi.ReceiveRequest{Location: "near", Quantity: n}, o)
			return out.Replayed, out.Version, err
		}
	}
	adjust := func(reason string) namedWrite {
		return func(o inventoryapi.WriteOptions) (bool, int64, error) {
			out, err := a.admin.AdjustStock(t.Context(), p, inventoryapi.AdjustRequest{
				Location: "near", Delta: ptr(int64(-1)), Reason: reason,
			}, o)
			return out.Replayed, out.Version, err
		}
	}
	transfer := func(n int64) namedWrite {
		return func(o inventoryapi.WriteOptions) (bool, int64, error) {
			out, err := a.admin.TransferStock(t.Context(), p, inventoryapi.TransferRequest{
				From: "near", To: "far", Quantity: n, Reason: "r",
			}, o)
			return out.Replayed, out.Version, err
		}
	}
	threshold := func(n int64) namedWrite {
		return func(o inventoryapi.WriteOptions) (bool, int64, error) {
			out, err := a.admin.SetThreshold(t.Context(), p, inventoryapi.ThresholdRequest{LowStockThreshold: &n}, o)
			return out.Replayed, out.Version, err
		}
	}
	create := func(location string) namedWrite {
		return func(o inventoryapi.WriteOptions) (bool, int64, error) {
			out, err := a.admin.CreateItem(t.Context(), p, location, inventoryapi.CreateItemRequest{}, o)
			return out.Replayed, out.Version, err
		}
	}
	drop := func(reason string) namedWrite {
		return func(o inventoryapi.WriteOptions) (bool, int64, error) {
			out, err := a.admin.DeleteItem(t.Context(), p, "far", inventoryapi.DeleteItemRequest{Reason: reason}, o)
			return out.Replayed, out.Version, err
		}
	}
	location := func(name string) namedWrite {
		return func(o inventoryapi.WriteOptions) (bool, int64, error) {
			in := inventoryapi.LocationRequest{Name: name, Priority: ptr(50)}
			out, err := a.admin.PutLocation(t.Context(), "cellar", in, o)
			return out.Replayed, 0, err
		}
	}
	only := func(write namedWrite) func(inventoryapi.WriteOptions) error {
		return func(o inventoryapi.WriteOptions) error {
			_, _, err := write(o)
			return err
		}
	}

	return map[string]named{
		"ReceiveStock":  {receive(5), only(receive(6))},
		"AdjustStock":   {adjust("broken"), only(adjust("lost"))},
		"TransferStock": {transfer(2), only(transfer(3))},
		"SetThreshold":  {threshold(3), only(threshold(4))},
		"CreateItem":    {create("far"), only(create("near"))},
		"DeleteItem":    {drop("closed"), only(drop("burnt"))},
		"PutLocation":   {location("Cellar"), only(location("Basement"))},
	}
}

// writeMethods returns the names of the contract's methods with WriteOptions; with versioned, only of those whose
// request may have an expected version.
func writeMethods(versioned bool) []string {
	var out []string
	contract := reflect.TypeFor[inventoryapi.Administration]()
	for i := range contract.NumMethod() {
		method := contract.Method(i)
		last := method.Type.NumIn() - 1
		if method.Type.In(last) != reflect.TypeFor[inventoryapi.WriteOptions]() {
			continue
		}
		if _, has := method.Type.In(last - 1).FieldByName("ExpectedVersion"); has || !versioned {
			out = append(out, method.Name)
		}
	}
	return out
}

// testKeys sends every write twice under one key. The service performs it once and gives the second request the first
// answer. It refuses another body and another kind of write under the key. The same key of another actor is another
// name.
func testKeys(t *testing.T, a administered) {
	p := a.Stock(t, 10, 10)
	writes := a.namedWrites(t, p)
	key := func(name string) inventoryapi.WriteOptions {
		return inventoryapi.WriteOptions{Actor: Actor, Key: name + "-" + p.String()}
	}
	order := []string{
		"ReceiveStock", "AdjustStock", "TransferStock", "SetThreshold", "DeleteItem", "CreateItem", "PutLocation",
	}
	require.ElementsMatch(t, writeMethods(false), order, "each write that has options is named here")
	for _, name := range order {
		w := writes[name]
		replayed, _, err := w.write(key(name))
		require.NoError(t, err, name)
		require.False(t, replayed, name)

		before := a.version(t, p)
		replayed, version, err := w.write(key(name))
		require.NoError(t, err, name)
		require.True(t, replayed, name)
		require.Zero(t, version, "%s: the answer to a repeat has no version", name)

		fails(t, w.other(key(name)), inventoryapi.IdempotencyKeyReused, "Idempotency-Key")
		for _, other := range slices.Sorted(maps.Keys(writes)) {
			o := writes[other]
			if other != name {
				_, _, err := o.write(key(name))
				fails(t, err, inventoryapi.IdempotencyKeyReused, "Idempotency-Key")
			}
		}
		require.Equal(t, before, a.version(t, p), name)
	}

	theirs := key("ReceiveStock")
	theirs.Actor = "another"
	replayed, _, err := writes["ReceiveStock"].write(theirs)
	require.NoError(t, err)
	require.False(t, replayed, "each actor has keys of its own")

	// The operation id in the answer belongs to the key, so both together name one operation. Any other id is refused,
	// because it is a second name.
	again := inventoryapi.ReceiveRequest{Location: "near", Quantity: 5}
	got, err := a.admin.ReceiveStock(t.Context(), p, again, key("ReceiveStock"))
	require.NoError(t, err)
	again.OperationID = got.OperationID
	got, err = a.admin.ReceiveStock(t.Context(), p, again, key("ReceiveStock"))
	require.NoError(t, err)
	require.True(t, got.Replayed)
	again.OperationID = uuid.New()
	_, err = a.admin.ReceiveStock(t.Context(), p, again, key("ReceiveStock"))
	fails(t, err, inventoryapi.InvalidInput, "Idempotency-Key")

	for _, malformed := range []string{"two words", "schlüssel", strings.Repeat("k", 256), "n\x00"} {
		_, _, err := writes["AdjustStock"].write(inventoryapi.WriteOptions{Actor: Actor, Key: malformed})
		require.Error(t, err) // Go's HTTP client itself refuses some of these
	}

	// A refusal is not remembered: the same request may succeed later.
	q := a.Stock(t, 1)
	take := func() error {
		in := inventoryapi.AdjustRequest{Location: "near", Delta: ptr(int64(-3)), Reason: "r"}
		o := inventoryapi.WriteOptions{Actor: Actor, Key: "later-" + q.String()}
		_, err := a.admin.AdjustStock(t.Context(), q, in, o)
		return err
	}
	fails(t, take(), inventoryapi.NegativeQuantity, "delta")
	_, err = a.admin.ReceiveStock(t.Context(), q, inventoryapi.ReceiveRequest{Location: "near", Quantity: 4}, By)
	require.NoError(t, err)
	require.NoError(t, take())
	require.NoError(t, take())
	available, _ := a.Available(t, q)
	require.EqualValues(t, 2, available)
}

// testNothing requests values that are set already. Such a write succeeds at the present version, moves no version, and
// writes no entry and no event.
func testNothing(t *testing.T, a administered) {
	p := a.Stock(t, 10)
	_, err := a.admin.SetThreshold(t.Context(), p, inventoryapi.ThresholdRequest{LowStockThreshold: ptr(int64(4))}, By)
	require.NoError(t, err)
	count := func() (entries, events int) {
		require.NoError(t, a.Pool.QueryRow(t.Context(), `
			SELECT (SELECT count(*) FROM stock_ledger l JOIN items i USING (item_id) WHERE i.product_id = $1),
				(SELECT count(*) FROM outbox WHERE payload::jsonb->>'productId' = $1::text)`,
			p).Scan(&entries, &events))
		return entries, events
	}

	before := a.version(t, p)
	entries, events := count()
	for _, in := range []inventoryapi.AdjustRequest{
		{Delta: ptr(int64(0))},
		{Quantity: ptr(int64(10))},
		{OperationID: uuid.New(), Quantity: ptr(int64(10))},
	} {
		in.Location, in.Reason = "near", "count"
		in.ExpectedVersion = &before
		out, err := a.admin.AdjustStock(t.Context(), p, in, By)
		require.NoError(t, err)
		require.Equal(t, []int64{0, 10, before}, []int64{out.Quantity, out.Stock, out.Version})
	}
	set, err := a.admin.SetThreshold(t.Context(), p, inventoryapi.ThresholdRequest{LowStockThreshold: ptr(int64(4))}, By)
	require.NoError(t, err)
	require.Equal(t, before, set.Version)
	made, err := a.admin.CreateItem(t.Context(), p, "near", inventoryapi.CreateItemRequest{}, By)
	require.NoError(t, err)
	require.Equal(t, before, made.Version)
	report := a.importing(t, inventoryapi.ImportOptions{},
		"product_id,location,quantity,low_stock_threshold", p.String()+",near,10,4")
	require.Equal(t, []string{"2 unchanged"}, outcomes(report))

	require.Equal(t, before, a.version(t, p))
	nowEntries, nowEvents := count()
	require.Equal(t, []int{entries, events}, []int{nowEntries, nowEvents})

	// Deleting an empty item writes no entry.
	_, err = a.admin.AdjustStock(t.Context(), p, inventoryapi.AdjustRequest{
		Location: "near", Quantity: ptr(int64(0)), Reason: "r",
	}, By)
	require.NoError(t, err)
	entries, _ = count()
	for range 2 { // the second call finds the item deleted
		_, err = a.admin.DeleteItem(t.Context(), p, "near", inventoryapi.DeleteItemRequest{Reason: "r"}, By)
		require.NoError(t, err)
	}
	nowEntries, _ = count()
	require.Equal(t, entries, nowEntries)
}

// testNamedWithoutEntry repeats, after a later change, a request that wrote no entry in the ledger. The repeat gets the
// first answer and changes nothing: a late repeat of "the count is 10" must not set the quantity to 10 again.
func testNamedWithoutEntry(t *testing.T, a administered) {
	p, op := a.Stock(t, 10), uuid.New()
	right := inventoryapi.AdjustRequest{OperationID: op, Location: "near", Quantity: ptr(int64(10)), Reason: "count"}
	_, err := a.admin.AdjustStock(t.Context(), p, right, By)
	require.NoError(t, err)
	_, err = a.admin.ReceiveStock(t.Context(), p, inventoryapi.ReceiveRequest{Location: "near", Quantity: 7}, By)
	require.NoError(t, err)

	again, err := a.admin.AdjustStock(t.Context(), p, right, By)
	require.NoError(t, err)
	require.True(t, again.Replayed)
	require.Equal(t, []int64{0, 10, 0}, []int64{again.Quantity, again.Stock, again.Version})
	available, _ := a.Available(t, p)
	require.EqualValues(t, 17, available)

	right.Reason = "another"
	_, err = a.admin.AdjustStock(t.Context(), p, right, By)
	fails(t, err, inventoryapi.AlreadyExists, "operation_id")

	set := func(n int64, key string) {
		in := inventoryapi.ThresholdRequest{Location: "near", LowStockThreshold: &n}
		_, err := a.admin.SetThreshold(t.Context(), p, in, inventoryapi.WriteOptions{Actor: Actor, Key: key})
		require.NoError(t, err)
	}
	set(3, "first-"+p.String())
	set(5, "")
	set(3, "first-"+p.String())
	item, err := a.admin.CreateItem(t.Context(), p, "near", inventoryapi.CreateItemRequest{}, By)
	require.NoError(t, err)
	require.EqualValues(t, 5, item.LowStockThreshold)
}
