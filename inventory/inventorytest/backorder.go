package inventorytest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

// backordered is a subject with its backorders.
type backordered struct {
	administered
	wait     inventoryapi.Backorders
	incoming inventoryapi.IncomingStock
}

// Backorders tests an implementation of inventoryapi.Backorders and inventoryapi.IncomingStock against the contract.
// The subject's API must implement them. The database must be consistent afterwards.
func Backorders(t *testing.T, s Subject) {
	wait, ok := s.API.(inventoryapi.Backorders)
	require.True(t, ok, "%T does not implement inventoryapi.Backorders", s.API)
	incoming, ok := s.API.(inventoryapi.IncomingStock)
	require.True(t, ok, "%T does not implement inventoryapi.IncomingStock", s.API)
	admin, ok := s.API.(inventoryapi.Administration)
	require.True(t, ok, "%T does not implement inventoryapi.Administration", s.API)
	b := backordered{administered{s, admin}, wait, incoming}
	for _, c := range []struct {
		name string
		test func(*testing.T, backordered)
	}{
		{"granted at once", testGrantedAtOnce},
		{"whatever makes stock available grants", testGrants},
		{"first come first served", testFirstCome},
		{"several products", testSeveralProducts},
		{"promised stock", testPromisedStock},
		{"place again", testPlaceAgain},
		{"place refused", testPlaceRefused},
		{"cancel", testCancelBackorder},
		{"cancel before place", testBackorderTombstone},
		{"release cancels", testReleaseCancels},
		{"expire", testExpireBackorder},
		{"overdue", testOverdueBackorder},
		{"extend", testExtendBackorder},
		{"a product without stock-keeping", testUnknownProduct},
		{"waiting list", testWaitingList},
		{"versions while backorders wait", testVersionWhileWaiting},
		{"malformed", testMalformedBackorders},
		{"incoming stock", testIncoming},
		{"incoming stock under a key", testIncomingKeys},
		{"incoming stock refused", testIncomingRefused},
		{"promised dates", testPromisedDates},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, b) })
	}
	RequireConsistent(t, s.Pool)
}

// NewPlace makes a request of a new order that waits for an hour.
func NewPlace(lines ...inventoryapi.ReserveLine) inventoryapi.PlaceBackorderRequest {
	in := NewReserve(lines...)
	return inventoryapi.PlaceBackorderRequest{
		BackorderID: in.ReservationID,
		OwnerKind:   in.OwnerKind,
		OwnerID:     in.OwnerID,
		Number:      in.Number,
		WorkflowID:  in.WorkflowID,
		OperationID: in.OperationID,
		Actor:       in.Actor,
		WaitSeconds: 3600,
		Lines:       lines,
	}
}

// CancelOf makes a request to cancel the backorder of in, or to record its tombstone.
func CancelOf(in inventoryapi.PlaceBackorderRequest) inventoryapi.ReleaseRequest {
	return inventoryapi.ReleaseRequest{
		OperationID: uuid.New(),
		Actor:       Actor,
		Reason:      "test",
		OwnerKind:   in.OwnerKind,
		OwnerID:     in.OwnerID,
		Number:      in.Number,
		WorkflowID:  in.WorkflowID,
	}
}

// AgeBackorder moves a backorder's deadline into the past, as waiting for it would.
func (s Subject) AgeBackorder(t testing.TB, id uuid.UUID) {
	t.Helper()
	tag, err := s.Pool.Exec(t.Context(), `
		WITH late AS (SELECT clock_timestamp() - interval '1 second' AS at),
			b AS (UPDATE backorders SET deadline = late.at FROM late WHERE backorder_id = $1)
		UPDATE backorder_lines SET deadline = late.at FROM late WHERE backorder_id = $1`, id)
	require.NoError(t, err)
	require.Positive(t, tag.RowsAffected())
}

// place places a backorder that must wait.
func (b backordered) place(t testing.TB, lines ...inventoryapi.ReserveLine) inventoryapi.PlaceBackorderRequest {
	t.Helper()
	in := NewPlace(lines...)
	out, err := b.wait.PlaceBackorder(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.BackorderWaiting, out.Status)
	return in
}

// status returns the status of a backorder.
func (b backordered) status(t testing.TB, id uuid.UUID) inventoryapi.BackorderStatus {
	t.Helper()
	out, err := b.wait.GetBackorder(t.Context(), id)
	require.NoError(t, err)
	return out.Status
}

// receive receives stock near.
func (b backordered) receive(t testing.TB, product uuid.UUID, n int64) {
	t.Helper()
	in := inventoryapi.ReceiveRequest{Location: "near", Quantity: n}
	_, err := b.admin.ReceiveStock(t.Context(), product, in, By)
	require.NoError(t, err)
}

func testGrantedAtOnce(t *testing.T, b backordered) {
	p := b.Stock(t, 5)
	in := NewPlace(Line(p, 2))
	in.TTLSeconds = 60
	out, err := b.wait.PlaceBackorder(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.BackorderGranted, out.Status)
	require.False(t, out.Replayed)
	require.Zero(t, out.Position)
	require.Equal(t, []inventoryapi.BackorderLine{{LineNo: 1, ProductID: p, Quantity: 2}}, out.Lines)
	held := out.Reservation
	require.Equal(t, in.BackorderID, held.ReservationID)
	require.Equal(t, inventoryapi.StatusPending, held.Status)
	require.Equal(t, time.Minute, held.ExpiresAt.Sub(held.CreatedAt))

	again, err := b.wait.PlaceBackorder(t.Context(), in)
	require.NoError(t, err)
	require.True(t, again.Replayed)
	require.Equal(t, held.Lines, again.Reservation.Lines)
	got, err := b.wait.GetBackorder(t.Context(), in.BackorderID)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.BackorderGranted, got.Status)
	require.Equal(t, in.BackorderID, got.Reservation.ReservationID)

	_, err = b.wait.CancelBackorder(t.Context(), in.BackorderID, CancelOf(in))
	requireEnded(t, err, inventoryapi.BackorderGranted)
	_, err = b.API.Confirm(t.Context(), in.BackorderID, Resolve())
	require.NoError(t, err)
}

// requireEnded requires a refusal because the backorder has the status.
func requireEnded(t testing.TB, err error, status inventoryapi.BackorderStatus) {
	t.Helper()
	var ended *inventoryapi.BackorderStatusError
	require.ErrorAs(t, err, &ended)
	require.Equal(t, status, ended.Status)
}

// testGrants: each change that makes one unit available grants the first backorder in its own transaction.
func testGrants(t *testing.T, b backordered) {
	for name, change := range map[string]func(*testing.T, uuid.UUID, inventoryapi.ReserveRequest){
		"receive": func(t *testing.T, p uuid.UUID, _ inventoryapi.ReserveRequest) { b.receive(t, p, 1) },
		"release": func(t *testing.T, _ uuid.UUID, held inventoryapi.ReserveRequest) {
			_, err := b.API.Release(t.Context(), held.ReservationID, ReleaseOf(held))
			require.NoError(t, err)
		},
		"expire": func(t *testing.T, _ uuid.UUID, held inventoryapi.ReserveRequest) {
			b.Age(t, held.ReservationID)
			_, err := b.API.Expire(t.Context(), held.ReservationID, Resolve())
			require.NoError(t, err)
		},
		"return": func(t *testing.T, _ uuid.UUID, held inventoryapi.ReserveRequest) {
			_, err := b.API.Confirm(t.Context(), held.ReservationID, Resolve())
			require.NoError(t, err)
			_, err = b.API.Return(t.Context(), held.ReservationID, ReturnOf())
			require.NoError(t, err)
		},
		"adjust": func(t *testing.T, p uuid.UUID, _ inventoryapi.ReserveRequest) {
			in := inventoryapi.AdjustRequest{Location: "near", Delta: ptr(int64(1)), Reason: "found"}
			_, err := b.admin.AdjustStock(t.Context(), p, in, By)
			require.NoError(t, err)
		},
		"receive elsewhere": func(t *testing.T, p uuid.UUID, _ inventoryapi.ReserveRequest) {
			in := inventoryapi.ReceiveRequest{Location: "far", Quantity: 1}
			_, err := b.admin.ReceiveStock(t.Context(), p, in, By)
			require.NoError(t, err)
		},
		"import": func(t *testing.T, p uuid.UUID, _ inventoryapi.ReserveRequest) {
			file := "product_id,location,quantity\n" + p.String() + ",near,2\n"
			_, err := b.admin.ImportStock(t.Context(), strings.NewReader(file), inventoryapi.ImportOptions{Actor: Actor})
			require.NoError(t, err)
		},
		"take-back by a reserve": func(t *testing.T, p uuid.UUID, held inventoryapi.ReserveRequest) {
			b.Age(t, held.ReservationID)
			_, err := b.API.Reserve(t.Context(), NewReserve(Line(p, 1)))
			require.ErrorIs(t, err, inventoryapi.InsufficientStock, "the waiting list comes first")
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := b.Stock(t, 1)
			held, _ := b.reserve(t, Line(p, 1))
			first, second := b.place(t, Line(p, 1)), b.place(t, Line(p, 1))

			change(t, p, held)
			got, err := b.wait.GetBackorder(t.Context(), first.BackorderID)
			require.NoError(t, err)
			require.Equal(t, inventoryapi.BackorderGranted, got.Status)
			require.Equal(t, inventoryapi.StatusPending, got.Reservation.Status)
			require.Equal(t, got.Reservation.CreatedAt.Add(15*time.Minute), got.Reservation.ExpiresAt,
				"its time to live begins with the grant")
			require.Equal(t, inventoryapi.BackorderWaiting, b.status(t, second.BackorderID))
			requireOneTransaction(t, b.Subject, first.BackorderID)
		})
	}
}

// requireOneTransaction requires that the entry before the grant was written in the same transaction.
func requireOneTransaction(t testing.TB, s Subject, backorder uuid.UUID) {
	t.Helper()
	var same bool
	require.NoError(t, s.Pool.QueryRow(t.Context(), `
		SELECT EXISTS (
			SELECT 1 FROM stock_ledger g
			JOIN stock_ledger e ON e.ledger_id < g.ledger_id AND e.xmin = g.xmin AND e.kind <> 'reserved'
			WHERE g.reservation_id = $1 AND g.kind = 'reserved'
		)`, backorder).Scan(&same))
	require.True(t, same)
}

// testFirstCome: backorders are served in order; one that wants too much is skipped, and served once there is enough.
func testFirstCome(t *testing.T, b backordered) {
	p := b.Stock(t, 0)
	big := b.place(t, Line(p, 2), Line(p, 3))
	small := make([]inventoryapi.PlaceBackorderRequest, 3)
	for i := range small {
		small[i] = b.place(t, Line(p, 2))
	}
	out, err := b.wait.GetBackorder(t.Context(), small[2].BackorderID)
	require.NoError(t, err)
	require.EqualValues(t, 4, out.Position)

	b.receive(t, p, 3)
	require.Equal(t, inventoryapi.BackorderWaiting, b.status(t, big.BackorderID), "it is served whole or not at all")
	require.Equal(t, inventoryapi.BackorderGranted, b.status(t, small[0].BackorderID))
	require.Equal(t, inventoryapi.BackorderWaiting, b.status(t, small[1].BackorderID))

	b.receive(t, p, 5) // 6 are available
	require.Equal(t, inventoryapi.BackorderGranted, b.status(t, big.BackorderID), "it is still the first")
	require.Equal(t, inventoryapi.BackorderWaiting, b.status(t, small[1].BackorderID))
	_, err = b.wait.CancelBackorder(t.Context(), small[1].BackorderID, CancelOf(small[1]))
	require.NoError(t, err)
	b.receive(t, p, 1)
	require.Equal(t, inventoryapi.BackorderGranted, b.status(t, small[2].BackorderID))
	available, reserved := b.Available(t, p)
	require.Equal(t, [2]int64{0, 9}, [2]int64{available, reserved})
}

// testSeveralProducts: a backorder of two products is granted when the last of them arrives, whichever that is.
func testSeveralProducts(t *testing.T, b backordered) {
	for _, last := range []int{0, 1} {
		products := []uuid.UUID{b.Stock(t, 0), b.Stock(t, 0)}
		both := b.place(t, Line(products[0], 1), Line(products[1], 2))
		one := b.place(t, Line(products[1-last], 1))

		b.receive(t, products[1-last], 1)
		require.Equal(t, inventoryapi.BackorderWaiting, b.status(t, both.BackorderID))
		require.Equal(t, inventoryapi.BackorderGranted, b.status(t, one.BackorderID), "it needs no other product")
		b.receive(t, products[1-last], 2)
		b.receive(t, products[last], 2)
		require.Equal(t, inventoryapi.BackorderGranted, b.status(t, both.BackorderID))
	}
}

// testPromisedStock: a new request gets only what the waiting list leaves over.
func testPromisedStock(t *testing.T, b backordered) {
	p, missing := b.Stock(t, 5), b.Stock(t, 0)
	both := b.place(t, Line(p, 2), Line(missing, 1))
	available, reserved := b.Available(t, p)
	require.Equal(t, [2]int64{3, 0}, [2]int64{available, reserved}, "two are promised")
	a, err := b.API.Availability(t.Context(), p, 4)
	require.NoError(t, err)
	require.EqualValues(t, 2, a.WaitingQuantity)
	require.False(t, a.IsAvailable)

	_, err = b.API.Reserve(t.Context(), NewReserve(Line(p, 4)))
	var short *inventoryapi.InsufficientStockError
	require.ErrorAs(t, err, &short)
	require.Equal(t, []inventoryapi.ShortLine{{ProductID: p, Requested: 4, Available: 3}}, short.Lines)
	behind := b.place(t, Line(p, 4))
	_, err = b.wait.CancelBackorder(t.Context(), behind.BackorderID, CancelOf(behind))
	require.NoError(t, err)

	b.reserve(t, Line(p, 2))
	out, err := b.wait.PlaceBackorder(t.Context(), NewPlace(Line(p, 1)))
	require.NoError(t, err)
	require.Equal(t, inventoryapi.BackorderGranted, out.Status, "it is left over")
	_, err = b.API.Reserve(t.Context(), NewReserve(Line(p, 1)))
	require.ErrorIs(t, err, inventoryapi.InsufficientStock)

	b.receive(t, missing, 1)
	require.Equal(t, inventoryapi.BackorderGranted, b.status(t, both.BackorderID))
	a, err = b.API.Availability(t.Context(), p, 1)
	require.NoError(t, err)
	require.Zero(t, a.WaitingQuantity)
	require.Zero(t, a.AvailableQuantity)
}

func testPlaceAgain(t *testing.T, b backordered) {
	p := b.Stock(t, 0)
	in := b.place(t, Line(p, 1))
	again, err := b.wait.PlaceBackorder(t.Context(), in)
	require.NoError(t, err)
	require.True(t, again.Replayed)
	require.Equal(t, inventoryapi.BackorderWaiting, again.Status)
	require.EqualValues(t, 1, again.Position, "it waits once")

	b.receive(t, p, 3)
	again, err = b.wait.PlaceBackorder(t.Context(), in)
	require.NoError(t, err)
	require.True(t, again.Replayed)
	require.Equal(t, inventoryapi.BackorderGranted, again.Status)
	require.Equal(t, in.BackorderID, again.Reservation.ReservationID)
	available, reserved := b.Available(t, p)
	require.Equal(t, [2]int64{2, 1}, [2]int64{available, reserved})

	_, err = b.API.Release(t.Context(), in.BackorderID, ReleaseOf(reserveOf(in)))
	require.NoError(t, err)
	again, err = b.wait.PlaceBackorder(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.StatusReleased, again.Reservation.Status, "a released reservation is not revived")
}

// reserveOf returns the reserve with the same id, owner and lines.
func reserveOf(in inventoryapi.PlaceBackorderRequest) inventoryapi.ReserveRequest {
	return inventoryapi.ReserveRequest{
		ReservationID: in.BackorderID,
		OwnerKind:     in.OwnerKind,
		OwnerID:       in.OwnerID,
		Number:        in.Number,
		WorkflowID:    in.WorkflowID,
		OperationID:   in.OperationID,
		Actor:         in.Actor,
		Lines:         in.Lines,
	}
}

func testPlaceRefused(t *testing.T, b backordered) {
	p, q := b.Stock(t, 0), b.Stock(t, 9)
	in := b.place(t, Line(p, 1))
	other := in
	other.WaitSeconds++
	_, err := b.wait.PlaceBackorder(t.Context(), other)
	fails(t, err, inventoryapi.AlreadyExists, "backorder_id")
	other = in
	other.BackorderID = uuid.New()
	_, err = b.wait.PlaceBackorder(t.Context(), other)
	fails(t, err, inventoryapi.AlreadyExists, "number")

	// A reservation cannot have the id or the number of a backorder, and the other way round.
	reserve := reserveOf(in)
	reserve.Lines = []inventoryapi.ReserveLine{Line(q, 1)}
	_, err = b.API.Reserve(t.Context(), reserve)
	fails(t, err, inventoryapi.AlreadyExists, "reservation_id")
	held, _ := b.reserve(t, Line(q, 1))
	place := NewPlace(Line(p, 1))
	place.BackorderID = held.ReservationID
	_, err = b.wait.PlaceBackorder(t.Context(), place)
	require.ErrorIs(t, err, inventoryapi.AlreadyExists)
	place = NewPlace(Line(p, 1))
	place.OwnerID, place.Number = held.OwnerID, held.Number
	_, err = b.wait.PlaceBackorder(t.Context(), place)
	fails(t, err, inventoryapi.AlreadyExists, "number")
}
