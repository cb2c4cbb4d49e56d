package inventorytest

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
)

func testCancelBackorder(t *testing.T, b backordered) {
	p := b.Stock(t, 0)
	first, second := b.place(t, Line(p, 3)), b.place(t, Line(p, 1))
	b.receive(t, p, 1)
	require.Equal(t, inventoryapi.BackorderGranted, b.status(t, second.BackorderID))
	third := b.place(t, Line(p, 1))
	_, err := b.API.Release(t.Context(), second.BackorderID, ReleaseOf(reserveOf(second)))
	require.NoError(t, err)
	require.Equal(t, inventoryapi.BackorderGranted, b.status(t, third.BackorderID))

	for range 2 {
		out, err := b.wait.CancelBackorder(t.Context(), first.BackorderID, CancelOf(first))
		require.NoError(t, err)
		require.Equal(t, inventoryapi.BackorderCancelled, out.Status)
	}
	_, err = b.wait.PlaceBackorder(t.Context(), first)
	requireEnded(t, err, inventoryapi.BackorderCancelled)
	_, err = b.wait.ExpireBackorder(t.Context(), first.BackorderID, Resolve())
	requireEnded(t, err, inventoryapi.BackorderCancelled)
	_, err = b.wait.CancelBackorder(t.Context(), third.BackorderID, CancelOf(third))
	requireEnded(t, err, inventoryapi.BackorderGranted)

	// A backorder that leaves the list makes room: the next one is served if the stock is there.
	q := b.Stock(t, 2)
	large, small := b.place(t, Line(q, 3)), b.place(t, Line(q, 2))
	_, err = b.wait.CancelBackorder(t.Context(), large.BackorderID, CancelOf(large))
	require.NoError(t, err)
	require.Equal(t, inventoryapi.BackorderGranted, b.status(t, small.BackorderID))
}

func testBackorderTombstone(t *testing.T, b backordered) {
	p := b.Stock(t, 5)
	in := NewPlace(Line(p, 1))
	bare := inventoryapi.ReleaseRequest{OperationID: uuid.New(), Actor: Actor}
	_, err := b.wait.CancelBackorder(t.Context(), in.BackorderID, bare)
	fails(t, err, inventoryapi.BackorderNotFound, "backorder_id")

	out, err := b.wait.CancelBackorder(t.Context(), in.BackorderID, CancelOf(in))
	require.NoError(t, err)
	require.Equal(t, inventoryapi.BackorderCancelled, out.Status)
	_, err = b.wait.PlaceBackorder(t.Context(), in)
	requireEnded(t, err, inventoryapi.BackorderCancelled)
	_, err = b.API.Reserve(t.Context(), reserveOf(in))
	fails(t, err, inventoryapi.AlreadyExists, "reservation_id")

	late := NewPlace(Line(p, 1)) // whose release was first
	_, err = b.API.Release(t.Context(), late.BackorderID, ReleaseOf(reserveOf(late)))
	require.NoError(t, err)
	_, err = b.wait.PlaceBackorder(t.Context(), late)
	require.ErrorIs(t, err, inventoryapi.AlreadyResolved)
	available, reserved := b.Available(t, p)
	require.Equal(t, [2]int64{5, 0}, [2]int64{available, reserved})
}

// testReleaseCancels: the release of a reservation that is still a backorder cancels the backorder.
func testReleaseCancels(t *testing.T, b backordered) {
	p := b.Stock(t, 0)
	in := b.place(t, Line(p, 1))
	for range 2 {
		out, err := b.API.Release(t.Context(), in.BackorderID, ReleaseOf(reserveOf(in)))
		require.NoError(t, err)
		require.Equal(t, inventoryapi.StatusReleased, out.Status)
		require.Zero(t, out.QuantityReleased)
	}
	require.Equal(t, inventoryapi.BackorderCancelled, b.status(t, in.BackorderID))
	b.receive(t, p, 1)
	available, reserved := b.Available(t, p)
	require.Equal(t, [2]int64{1, 0}, [2]int64{available, reserved})
}

func testExpireBackorder(t *testing.T, b backordered) {
	p := b.Stock(t, 0)
	in := b.place(t, Line(p, 1))
	_, err := b.wait.ExpireBackorder(t.Context(), in.BackorderID, Resolve())
	var early *inventoryapi.DeadlineError
	require.ErrorAs(t, err, &early)
	require.Equal(t, inventoryapi.NotDue, early.Code)
	now, err := b.wait.GetBackorder(t.Context(), in.BackorderID)
	require.NoError(t, err)
	require.True(t, now.Deadline.Equal(early.ExpiresAt))
	require.Equal(t, time.Hour, now.Deadline.Sub(now.CreatedAt))

	b.AgeBackorder(t, in.BackorderID)
	for range 2 {
		out, err := b.wait.ExpireBackorder(t.Context(), in.BackorderID, Resolve())
		require.NoError(t, err)
		require.Equal(t, inventoryapi.BackorderExpired, out.Status)
	}
	_, err = b.wait.CancelBackorder(t.Context(), in.BackorderID, CancelOf(in))
	requireEnded(t, err, inventoryapi.BackorderExpired)
	_, err = b.API.Release(t.Context(), in.BackorderID, ReleaseOf(reserveOf(in)))
	require.ErrorIs(t, err, inventoryapi.AlreadyResolved)
	_, err = b.wait.ExpireBackorder(t.Context(), uuid.New(), Resolve())
	fails(t, err, inventoryapi.BackorderNotFound, "backorder_id")
}

// testOverdueBackorder: a backorder past its deadline that no owner has expired gets no stock, and refuses no buyer.
func testOverdueBackorder(t *testing.T, b backordered) {
	p := b.Stock(t, 0)
	late, next := b.place(t, Line(p, 1)), b.place(t, Line(p, 1))
	b.AgeBackorder(t, late.BackorderID)
	b.receive(t, p, 1)
	require.Equal(t, inventoryapi.BackorderExpired, b.status(t, late.BackorderID))
	require.Equal(t, inventoryapi.BackorderGranted, b.status(t, next.BackorderID))
	out, err := b.wait.ExpireBackorder(t.Context(), late.BackorderID, Resolve())
	require.NoError(t, err, "its owner gets the answer of its own expiry")
	require.Equal(t, inventoryapi.BackorderExpired, out.Status)

	q := b.Stock(t, 2)
	large := b.place(t, Line(q, 3))
	_, err = b.API.Reserve(t.Context(), NewReserve(Line(q, 2)))
	require.ErrorIs(t, err, inventoryapi.InsufficientStock)
	b.AgeBackorder(t, large.BackorderID)
	b.reserve(t, Line(q, 2))
	require.Equal(t, inventoryapi.BackorderExpired, b.status(t, large.BackorderID))
}

func testExtendBackorder(t *testing.T, b backordered) {
	p := b.Stock(t, 0)
	in := b.place(t, Line(p, 1))
	to := time.Now().UTC().Add(48 * time.Hour).Truncate(time.Microsecond)
	out, err := b.wait.ExtendBackorder(t.Context(), in.BackorderID, inventoryapi.ExtendBackorderRequest{
		Deadline: to, Actor: Actor,
	})
	require.NoError(t, err)
	require.Equal(t, to, out.Deadline.UTC())
	out, err = b.wait.ExtendBackorder(t.Context(), in.BackorderID, inventoryapi.ExtendBackorderRequest{
		Deadline: time.Now().Add(time.Hour), Actor: Actor,
	})
	require.NoError(t, err)
	require.Equal(t, to, out.Deadline.UTC(), "a deadline is never shortened")
	_, err = b.wait.ExtendBackorder(t.Context(), in.BackorderID, inventoryapi.ExtendBackorderRequest{
		Deadline: time.Now().AddDate(2, 0, 0), Actor: Actor,
	})
	fails(t, err, inventoryapi.InvalidDuration, "deadline")

	b.AgeBackorder(t, in.BackorderID)
	_, err = b.wait.ExtendBackorder(t.Context(), in.BackorderID, inventoryapi.ExtendBackorderRequest{
		Deadline: to, Actor: Actor,
	})
	require.ErrorIs(t, err, inventoryapi.BackorderPastDeadline)
	granted := b.place(t, Line(p, 1))
	b.receive(t, p, 1)
	_, err = b.wait.ExtendBackorder(t.Context(), granted.BackorderID, inventoryapi.ExtendBackorderRequest{
		Deadline: to, Actor: Actor,
	})
	requireEnded(t, err, inventoryapi.BackorderGranted)
}

// testUnknownProduct: a backorder may wait for a product of which inventory has never had any stock.
func testUnknownProduct(t *testing.T, b backordered) {
	p := uuid.New()
	first, second := b.place(t, Line(p, 1)), b.place(t, Line(p, 1))
	_, err := b.wait.CancelBackorder(t.Context(), first.BackorderID, CancelOf(first))
	require.NoError(t, err)
	third := b.place(t, Line(p, 5))
	receipts, errs := b.Service.Introduce(t.Context(), stock.Receive{
		OperationID: uuid.New(), ProductID: p, Location: "near", Quantity: 2, Actor: Actor,
	})
	require.NoError(t, errs[0], "no operator has received any")
	require.EqualValues(t, 2, receipts[0].Stock)
	require.Equal(t, inventoryapi.BackorderGranted, b.status(t, second.BackorderID))
	require.Equal(t, inventoryapi.BackorderWaiting, b.status(t, third.BackorderID))
	_, err = b.admin.CreateItem(t.Context(), p, "far", inventoryapi.CreateItemRequest{}, By)
	require.NoError(t, err)
	RequireConsistent(t, b.Pool)
}

func testWaitingList(t *testing.T, b backordered) {
	p, other := b.Stock(t, 0), b.Stock(t, 0)
	list, err := b.wait.WaitingList(t.Context(), p, inventoryapi.Page{})
	require.NoError(t, err)
	require.Empty(t, list.Items)

	var placed []inventoryapi.PlaceBackorderRequest
	for n := range int64(5) {
		placed = append(placed, b.place(t, Line(p, n+1), Line(p, 1)))
		b.place(t, Line(other, 1))
	}
	var got []inventoryapi.WaitingBackorder
	for page := (inventoryapi.Page{Limit: 2}); ; {
		list, err := b.wait.WaitingList(t.Context(), p, page)
		require.NoError(t, err)
		got = append(got, list.Items...)
		if list.NextCursor == "" {
			break
		}
		page.Cursor = list.NextCursor
	}
	require.Len(t, got, len(placed))
	ahead := int64(0)
	for i, w := range got {
		require.Equal(t, placed[i].BackorderID, w.BackorderID)
		require.Equal(t, placed[i].WorkflowID, w.WorkflowID)
		require.EqualValues(t, i+1, w.Position)
		require.EqualValues(t, i+2, w.Quantity)
		require.Equal(t, ahead, w.QuantityAhead)
		ahead += w.Quantity
	}
	_, err = b.wait.WaitingList(t.Context(), other, inventoryapi.Page{Cursor: "x"})
	fails(t, err, inventoryapi.InvalidInput, "cursor")
}

// testVersionWhileWaiting: an answer has no version while the stock that it tells may be granted in its transaction.
func testVersionWhileWaiting(t *testing.T, b backordered) {
	p := b.Stock(t, 0)
	before := b.version(t, p)
	b.place(t, Line(p, 1))
	require.Greater(t, b.version(t, p), before, "less is available, so the version moves")
	out, err := b.admin.ReceiveStock(t.Context(), p, inventoryapi.ReceiveRequest{Location: "near", Quantity: 1}, By)
	require.NoError(t, err)
	require.Zero(t, out.Version)
	out, err = b.admin.ReceiveStock(t.Context(), p, inventoryapi.ReceiveRequest{Location: "near", Quantity: 1}, By)
	require.NoError(t, err)
	require.Equal(t, b.version(t, p), out.Version)
}

func testMalformedBackorders(t *testing.T, b backordered) {
	p := b.Stock(t, 0)
	for field, spoil := range map[string]func(*inventoryapi.PlaceBackorderRequest){
		"backorder_id":      func(in *inventoryapi.PlaceBackorderRequest) { in.BackorderID = uuid.Nil },
		"owner_id":          func(in *inventoryapi.PlaceBackorderRequest) { in.OwnerID = uuid.Nil },
		"operation_id":      func(in *inventoryapi.PlaceBackorderRequest) { in.OperationID = uuid.Nil },
		"actor":             func(in *inventoryapi.PlaceBackorderRequest) { in.Actor = "" },
		"wait_seconds":      func(in *inventoryapi.PlaceBackorderRequest) { in.WaitSeconds = 0 },
		"ttl_seconds":       func(in *inventoryapi.PlaceBackorderRequest) { in.TTLSeconds = inventoryapi.MaxTTLSeconds + 1 },
		"strategy":          func(in *inventoryapi.PlaceBackorderRequest) { in.Strategy = "cheapest" },
		"lines":             func(in *inventoryapi.PlaceBackorderRequest) { in.Lines = nil },
		"lines[0].quantity": func(in *inventoryapi.PlaceBackorderRequest) { in.Lines[0].Quantity = 1001 },
	} {
		in := NewPlace(Line(p, 1))
		spoil(&in)
		_, err := b.wait.PlaceBackorder(t.Context(), in)
		var e *inventoryapi.Error
		require.ErrorAs(t, err, &e, field)
		require.Equal(t, field, e.Field, "%s", err)
	}
	_, err := b.wait.GetBackorder(t.Context(), uuid.New())
	fails(t, err, inventoryapi.BackorderNotFound, "backorder_id")
}
