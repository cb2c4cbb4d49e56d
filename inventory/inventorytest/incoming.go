package inventorytest

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

// expect records a delivery near, some hours from now.
func (b backordered) expect(t testing.TB, product uuid.UUID, quantity int64, hours int) inventoryapi.Incoming {
	t.Helper()
	out, err := b.incoming.AddIncoming(t.Context(), product, inventoryapi.AddIncomingRequest{
		Location:   "near",
		Quantity:   quantity,
		ExpectedAt: time.Now().UTC().Add(time.Duration(hours) * time.Hour).Truncate(time.Microsecond),
		Reference:  "order 7",
	}, By)
	require.NoError(t, err)
	return out
}

// testIncoming: a delivery is changed, arrives in two parts and is no stock before that.
func testIncoming(t *testing.T, b backordered) {
	p := b.Stock(t, 0)
	in := b.expect(t, p, 5, 24)
	require.Equal(t, inventoryapi.IncomingExpected, in.Status)
	require.EqualValues(t, 1, in.Version)
	available, _ := b.Available(t, p)
	require.Zero(t, available)

	changed, err := b.incoming.ChangeIncoming(t.Context(), in.IncomingID, inventoryapi.ChangeIncomingRequest{
		Quantity: ptr(int64(6)), Location: ptr("far"), ExpectedVersion: ptr(int64(1)),
	}, By)
	require.NoError(t, err)
	require.EqualValues(t, 6, changed.Quantity)
	require.Equal(t, "far", changed.Location)
	require.Equal(t, in.ExpectedAt, changed.ExpectedAt, "an absent field stays")
	require.EqualValues(t, 2, changed.Version)
	same, err := b.incoming.ChangeIncoming(t.Context(), in.IncomingID, inventoryapi.ChangeIncomingRequest{
		Quantity: ptr(int64(6)),
	}, By)
	require.NoError(t, err)
	require.EqualValues(t, 2, same.Version, "nothing has changed")

	waiting := b.place(t, Line(p, 2))
	part, err := b.incoming.ReceiveIncoming(t.Context(), in.IncomingID, inventoryapi.ReceiveIncomingRequest{
		Quantity: 4,
	}, By)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.IncomingExpected, part.Incoming.Status)
	require.EqualValues(t, 4, part.Incoming.Received)
	require.EqualValues(t, 4, part.Change.Quantity)
	require.Equal(t, "far", part.Change.Location)
	require.Equal(t, inventoryapi.BackorderGranted, b.status(t, waiting.BackorderID))

	rest, err := b.incoming.ReceiveIncoming(t.Context(), in.IncomingID, inventoryapi.ReceiveIncomingRequest{}, By)
	require.NoError(t, err)
	require.EqualValues(t, 2, rest.Change.Quantity, "the rest")
	require.Equal(t, inventoryapi.IncomingReceived, rest.Incoming.Status)
	available, reserved := b.Available(t, p)
	require.Equal(t, [2]int64{4, 2}, [2]int64{available, reserved})
	got, err := b.incoming.GetIncoming(t.Context(), in.IncomingID)
	require.NoError(t, err)
	require.Equal(t, rest.Incoming, got)
	list, err := b.incoming.ListIncoming(t.Context(), p, inventoryapi.Page{})
	require.NoError(t, err)
	require.Empty(t, list.Items, "only open deliveries are listed")
}

// testIncomingKeys: each write acts once per key.
func testIncomingKeys(t *testing.T, b backordered) {
	p := b.Stock(t, 0)
	key := inventoryapi.WriteOptions{Actor: Actor, Key: uuid.NewString()}
	in := inventoryapi.AddIncomingRequest{Location: "near", Quantity: 5, ExpectedAt: time.Now().UTC().Add(time.Hour)}
	first, err := b.incoming.AddIncoming(t.Context(), p, in, key)
	require.NoError(t, err)
	again, err := b.incoming.AddIncoming(t.Context(), p, in, key)
	require.NoError(t, err)
	require.True(t, again.Replayed)
	require.Equal(t, first.IncomingID, again.IncomingID)
	in.Quantity++
	_, err = b.incoming.AddIncoming(t.Context(), p, in, key)
	fails(t, err, inventoryapi.IdempotencyKeyReused, "Idempotency-Key")

	key.Key = uuid.NewString()
	for i := range 2 {
		got, err := b.incoming.ReceiveIncoming(t.Context(), first.IncomingID, inventoryapi.ReceiveIncomingRequest{}, key)
		require.NoError(t, err)
		require.Equal(t, i == 1, got.Change.Replayed)
		require.EqualValues(t, 5, got.Change.Quantity)
	}
	op := inventoryapi.ReceiveIncomingRequest{OperationID: uuid.New(), Quantity: 2}
	second := b.expect(t, p, 3, 1)
	for range 2 {
		_, err := b.incoming.ReceiveIncoming(t.Context(), second.IncomingID, op, By)
		require.NoError(t, err)
	}
	key.Key = uuid.NewString()
	for range 2 {
		got, err := b.incoming.CancelIncoming(t.Context(), second.IncomingID, inventoryapi.CancelIncomingRequest{}, key)
		require.NoError(t, err)
		require.Equal(t, inventoryapi.IncomingCancelled, got.Status)
		require.EqualValues(t, 2, got.Received)
	}
	available, _ := b.Available(t, p)
	require.EqualValues(t, 7, available)
}

func testIncomingRefused(t *testing.T, b backordered) {
	p := b.Stock(t, 0)
	_, err := b.incoming.AddIncoming(t.Context(), p, inventoryapi.AddIncomingRequest{
		Location: "nowhere", Quantity: 1, ExpectedAt: time.Now().Add(time.Hour),
	}, By)
	fails(t, err, inventoryapi.InvalidInput, "location")
	_, err = b.incoming.AddIncoming(t.Context(), p, inventoryapi.AddIncomingRequest{Location: "near", Quantity: 1}, By)
	fails(t, err, inventoryapi.InvalidInput, "expected_at")
	_, err = b.incoming.GetIncoming(t.Context(), uuid.New())
	fails(t, err, inventoryapi.IncomingNotFound, "incoming_id")
	_, err = b.incoming.ReceiveIncoming(t.Context(), uuid.New(), inventoryapi.ReceiveIncomingRequest{}, By)
	fails(t, err, inventoryapi.IncomingNotFound, "incoming_id")

	in := b.expect(t, p, 5, 24)
	_, err = b.incoming.ChangeIncoming(t.Context(), in.IncomingID, inventoryapi.ChangeIncomingRequest{
		Reference: ptr("x"), ExpectedVersion: ptr(int64(7)),
	}, By)
	fails(t, err, inventoryapi.VersionConflict, "expected_version")
	_, err = b.incoming.ReceiveIncoming(t.Context(), in.IncomingID, inventoryapi.ReceiveIncomingRequest{Quantity: 3}, By)
	require.NoError(t, err)
	_, err = b.incoming.ChangeIncoming(t.Context(), in.IncomingID, inventoryapi.ChangeIncomingRequest{
		Quantity: ptr(int64(3)),
	}, By)
	fails(t, err, inventoryapi.InvalidQuantity, "quantity")
	for range 2 { // a cancellation that is in place changes nothing
		_, err = b.incoming.CancelIncoming(t.Context(), in.IncomingID, inventoryapi.CancelIncomingRequest{}, By)
		require.NoError(t, err)
	}
	_, err = b.incoming.ReceiveIncoming(t.Context(), in.IncomingID, inventoryapi.ReceiveIncomingRequest{}, By)
	fails(t, err, inventoryapi.IncomingClosed, "")
	_, err = b.incoming.ChangeIncoming(t.Context(), in.IncomingID, inventoryapi.ChangeIncomingRequest{
		Reference: ptr("x"),
	}, By)
	fails(t, err, inventoryapi.IncomingClosed, "")
}

// testPromisedDates: a backorder's date is that of the delivery that covers it and all earlier ones.
func testPromisedDates(t *testing.T, b backordered) {
	p, q := b.Stock(t, 0), b.Stock(t, 0)
	one, two := b.place(t, Line(p, 3)), b.place(t, Line(p, 4))
	both := b.place(t, Line(p, 1), Line(q, 1))
	promised := func(in inventoryapi.PlaceBackorderRequest) time.Time {
		out, err := b.wait.GetBackorder(t.Context(), in.BackorderID)
		require.NoError(t, err)
		return out.PromisedAt.UTC()
	}
	require.True(t, promised(one).IsZero(), "no delivery is known")

	late, soon := b.expect(t, p, 6, 48), b.expect(t, p, 4, 24)
	require.Equal(t, soon.ExpectedAt.UTC(), promised(one))
	require.Equal(t, late.ExpectedAt.UTC(), promised(two))
	require.True(t, promised(both).IsZero(), "its other product is not expected")
	other := b.expect(t, q, 1, 72)
	require.Equal(t, other.ExpectedAt.UTC(), promised(both), "the later of both")

	list, err := b.incoming.ListIncoming(t.Context(), p, inventoryapi.Page{Limit: 1})
	require.NoError(t, err)
	require.Equal(t, soon.IncomingID, list.Items[0].IncomingID, "the earliest first")
	list, err = b.incoming.ListIncoming(t.Context(), p, inventoryapi.Page{Cursor: list.NextCursor})
	require.NoError(t, err)
	require.Equal(t, late.IncomingID, list.Items[0].IncomingID)
	require.Empty(t, list.NextCursor)
	waiting, err := b.wait.WaitingList(t.Context(), p, inventoryapi.Page{})
	require.NoError(t, err)
	require.Equal(t, late.ExpectedAt.UTC(), waiting.Items[1].CoveredAt.UTC())

	_, err = b.incoming.CancelIncoming(t.Context(), late.IncomingID, inventoryapi.CancelIncomingRequest{}, By)
	require.NoError(t, err)
	require.True(t, promised(two).IsZero(), "a cancelled delivery promises nothing")
	_, err = b.Pool.Exec(t.Context(), `
		UPDATE incoming_stock SET expected_at = now() - interval '1 hour' WHERE incoming_id = $1`, soon.IncomingID)
	require.NoError(t, err)
	require.True(t, promised(one).IsZero(), "a late delivery promises nothing")
}
