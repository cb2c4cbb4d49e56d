package inventorytest

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

// Actor is the actor of these tests.
const Actor = "inventorytest"

// Subject is an implementation under test. Through Service and Pool a test changes its database directly.
type Subject struct {
	API     inventoryapi.API
	Service *inventory.Service // on the same database, to put stock in
	Pool    *pgxpool.Pool
}

// NewSubject returns a subject and creates the locations of its database: "near" is preferred to "far".
func NewSubject(t testing.TB, api inventoryapi.API, pool *pgxpool.Pool) Subject {
	t.Helper()
	s := Subject{API: api, Service: inventory.New(inventory.Options{Pool: pool}), Pool: pool}
	require.NoError(t, s.Service.PutLocations(t.Context(),
		store.Location{Code: "near", Name: "Near", Priority: 1}, store.Location{Code: "far", Name: "Far", Priority: 2}))
	return s
}

// Stock puts a new product with the given quantities into near and far and returns its id.
func (s Subject) Stock(t testing.TB, near int64, far ...int64) uuid.UUID {
	t.Helper()
	p := uuid.New()
	in := []stock.Receive{{OperationID: uuid.New(), ProductID: p, Location: "near", Quantity: near, Actor: Actor}}
	for _, q := range far {
		in = append(in, stock.Receive{OperationID: uuid.New(), ProductID: p, Location: "far", Quantity: q, Actor: Actor})
	}
	_, err := s.Service.Receive(t.Context(), in...)
	require.NoError(t, err)
	return p
}

// Age moves a reservation's deadline into the past, as waiting for it would.
func (s Subject) Age(t testing.TB, id uuid.UUID) {
	t.Helper()
	tag, err := s.Pool.Exec(t.Context(), `
		UPDATE reservations SET expires_at = clock_timestamp() - interval '1 second'
		WHERE reservation_id = $1`, id)
	require.NoError(t, err)
	require.EqualValues(t, 1, tag.RowsAffected())
}

// Available returns the quantities of a product that are available and reserved.
func (s Subject) Available(t testing.TB, product uuid.UUID) (available, reserved int64) {
	t.Helper()
	a, err := s.API.Availability(t.Context(), product, 1)
	require.NoError(t, err)
	return a.AvailableQuantity, a.ReservedQuantity
}

// NewReserve makes a request of a new order.
func NewReserve(lines ...inventoryapi.ReserveLine) inventoryapi.ReserveRequest {
	owner := uuid.New()
	return inventoryapi.ReserveRequest{
		ReservationID: inventoryapi.NewReservationID(inventoryapi.OwnerOrder, owner, 1),
		OwnerKind:     inventoryapi.OwnerOrder,
		OwnerID:       owner,
		Number:        1,
		WorkflowID:    "order-" + owner.String(),
		OperationID:   uuid.New(),
		Actor:         Actor,
		Lines:         lines,
	}
}

// NewReserves returns n requests for one unit of a product each, as callers send them and as the write path takes them.
func NewReserves(
	t testing.TB, product uuid.UUID, n int,
) ([]inventoryapi.ReserveRequest, []stock.Request[inventoryapi.Reservation]) {
	t.Helper()
	in, requests := make([]inventoryapi.ReserveRequest, n), make([]stock.Request[inventoryapi.Reservation], n)
	for i := range in {
		in[i] = NewReserve(Line(product, 1))
		requests[i] = StockReserve(t, in[i])
	}
	return in, requests
}

// StockReserve returns the request as the write path takes it.
func StockReserve(t testing.TB, in inventoryapi.ReserveRequest) stock.Request[inventoryapi.Reservation] {
	t.Helper()
	r, err := stock.NewReserve(in, time.Minute, "")
	require.NoError(t, err)
	return r
}

// Line is a line of a reserve request.
func Line(product uuid.UUID, quantity int64) inventoryapi.ReserveLine {
	return inventoryapi.ReserveLine{ProductID: product, Quantity: quantity}
}

// Resolve makes a request to confirm or expire.
func Resolve() inventoryapi.ResolveRequest {
	return inventoryapi.ResolveRequest{OperationID: uuid.New(), Actor: Actor, Reason: "test"}
}

// ReleaseOf makes a request to release the reservation of r, or to record its tombstone.
func ReleaseOf(r inventoryapi.ReserveRequest) inventoryapi.ReleaseRequest {
	return inventoryapi.ReleaseRequest{
		OperationID: uuid.New(),
		Actor:       Actor,
		Reason:      "test",
		OwnerKind:   r.OwnerKind,
		OwnerID:     r.OwnerID,
		Number:      r.Number,
		WorkflowID:  r.WorkflowID,
	}
}

// ReturnOf makes a request to return lines; without lines it returns everything.
func ReturnOf(lines ...inventoryapi.ReturnLine) inventoryapi.ReturnRequest {
	return inventoryapi.ReturnRequest{OperationID: uuid.New(), Actor: Actor, Reason: "test", Lines: lines}
}

// reserve makes a reservation that must succeed.
func (s Subject) reserve(
	t testing.TB, lines ...inventoryapi.ReserveLine,
) (inventoryapi.ReserveRequest, inventoryapi.Reservation) {
	t.Helper()
	in := NewReserve(lines...)
	out, err := s.API.Reserve(context.WithoutCancel(t.Context()), in)
	require.NoError(t, err)
	return in, out
}
