package inventorytest

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

// Conformance holds an implementation of inventoryapi.API to the contract. All subtests share the
// subject's database and keep apart by product; it must be consistent afterwards.
func Conformance(t *testing.T, s Subject) {
	for name, test := range map[string]func(*testing.T, Subject){
		"reserve":                          testReserve,
		"reserve splits by priority":       testSplit,
		"the same product on two lines":    testSameProductTwice,
		"all or nothing":                   testAllOrNothing,
		"reserve again":                    testReserveAgain,
		"reserve refused":                  testReserveRefused,
		"confirm":                          testConfirm,
		"release":                          testRelease,
		"release before reserve":           testTombstone,
		"expire":                           testExpire,
		"extend":                           testExtend,
		"return":                           testReturn,
		"return refused":                   testReturnRefused,
		"availability":                     testAvailability,
		"operation id used for two things": testOperationReused,
		"malformed requests":               testMalformed,
	} {
		t.Run(name, func(t *testing.T) { test(t, s) })
	}
	RequireConsistent(t, s.Pool)
}

func testReserve(t *testing.T, s Subject) {
	p := s.Stock(t, 10)
	before := time.Now()
	in := NewReserve(Line(p, 3))
	in.TTLSeconds = 60
	out, err := s.API.Reserve(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.StatusPending, out.Status)
	require.Equal(t, in.ReservationID, out.ReservationID)
	require.Equal(t, in.OwnerID, out.OwnerID)
	require.WithinDuration(t, before.Add(time.Minute), out.ExpiresAt, 10*time.Second)
	require.False(t, out.Replayed)
	require.Equal(t, []inventoryapi.ReservationLine{
		{LineNo: 1, ProductID: p, Location: "near", Quantity: 3, RemainingStock: 7, ReservedQuantity: 3},
	}, out.Lines)

	got, err := s.API.GetReservation(t.Context(), in.ReservationID)
	require.NoError(t, err)
	require.Equal(t, out, got)
	_, err = s.API.GetReservation(t.Context(), uuid.New())
	require.ErrorIs(t, err, inventoryapi.ReservationNotFound)
}

func testSplit(t *testing.T, s Subject) {
	p := s.Stock(t, 3, 5)
	// One location that has enough is preferred to two nearer ones that have not.
	_, whole := s.reserve(t, Line(p, 4))
	require.Len(t, whole.Lines, 1)
	require.Equal(t, "far", whole.Lines[0].Location)
	_, split := s.reserve(t, Line(p, 4))
	require.Equal(t, []inventoryapi.ReservationLine{
		{LineNo: 1, ProductID: p, Location: "near", Quantity: 3, RemainingStock: 0, ReservedQuantity: 3},
		{LineNo: 1, ProductID: p, Location: "far", Quantity: 1, RemainingStock: 0, ReservedQuantity: 5},
	}, split.Lines)
	res, err := s.API.Confirm(t.Context(), split.ReservationID, Resolve())
	require.NoError(t, err)
	require.EqualValues(t, 4, res.QuantityConfirmed)
	require.EqualValues(t, 4, res.FinalStock)
	require.EqualValues(t, 4, res.ReservedStock)
}

func testSameProductTwice(t *testing.T, s Subject) {
	p := s.Stock(t, 5)
	_, err := s.API.Reserve(t.Context(), NewReserve(Line(p, 3), Line(p, 3)))
	var short *inventoryapi.InsufficientStockError
	require.ErrorAs(t, err, &short, "the lines must be summed")
	require.Equal(t, []inventoryapi.ShortLine{{ProductID: p, Requested: 6, Available: 5}}, short.Lines)
	_, out := s.reserve(t, Line(p, 3), Line(p, 2))
	require.Len(t, out.Lines, 2)
	res, err := s.API.Release(t.Context(), out.ReservationID, inventoryapi.ReleaseRequest{OperationID: uuid.New(), Actor: Actor})
	require.NoError(t, err)
	require.EqualValues(t, 5, res.QuantityReleased)
	require.EqualValues(t, 5, res.AvailableStock)
	require.EqualValues(t, 0, res.ReservedStock)
}

func testAllOrNothing(t *testing.T, s Subject) {
	a, b, c := s.Stock(t, 10), s.Stock(t, 1), s.Stock(t, 0)
	_, err := s.API.Reserve(t.Context(), NewReserve(Line(a, 1), Line(b, 2), Line(c, 3)))
	require.Equal(t, &inventoryapi.InsufficientStockError{Lines: []inventoryapi.ShortLine{
		{ProductID: b, Requested: 2, Available: 1}, {ProductID: c, Requested: 3, Available: 0},
	}}, err)
	require.ErrorIs(t, err, inventoryapi.InsufficientStock)
	require.False(t, inventoryapi.Retryable(err))
	_, reserved := s.Available(t, a)
	require.Zero(t, reserved)
}

func testReserveAgain(t *testing.T, s Subject) {
	p := s.Stock(t, 10, 5)
	in, first := s.reserve(t, Line(p, 2), Line(p, 1))
	s.reserve(t, Line(p, 4)) // the answer must not follow what happens meanwhile
	again, err := s.API.Reserve(t.Context(), in)
	require.NoError(t, err)
	require.True(t, again.Replayed)
	first.Replayed = true
	require.Equal(t, first, again)
	_, reserved := s.Available(t, p)
	require.EqualValues(t, 7, reserved)

	other := in
	other.Lines = []inventoryapi.ReserveLine{Line(p, 1)}
	_, err = s.API.Reserve(t.Context(), other)
	require.ErrorIs(t, err, inventoryapi.AlreadyExists)
	other = in
	other.TTLSeconds = 77
	_, err = s.API.Reserve(t.Context(), other)
	require.ErrorIs(t, err, inventoryapi.AlreadyExists)
	other = in
	other.ReservationID = uuid.New()
	_, err = s.API.Reserve(t.Context(), other)
	require.ErrorIs(t, err, inventoryapi.AlreadyExists, "one reservation per owner and number")

	_, err = s.API.Confirm(t.Context(), in.ReservationID, Resolve())
	require.NoError(t, err)
	again, err = s.API.Reserve(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.StatusConfirmed, again.Status)
}

func testReserveRefused(t *testing.T, s Subject) {
	p := s.Stock(t, 10)
	unknown := uuid.New()
	_, err := s.API.Reserve(t.Context(), NewReserve(Line(p, 1), Line(unknown, 1)))
	require.Equal(t, &inventoryapi.InsufficientStockError{Lines: []inventoryapi.ShortLine{{ProductID: unknown, Requested: 1}}}, err,
		"what no stock is kept of is out of stock, by all that is asked")
}

func testConfirm(t *testing.T, s Subject) {
	p := s.Stock(t, 10)
	in, _ := s.reserve(t, Line(p, 4))
	s.reserve(t, Line(p, 1))
	first, err := s.API.Confirm(t.Context(), in.ReservationID, Resolve())
	require.NoError(t, err)
	require.Equal(t, inventoryapi.ConfirmResult{
		ReservationID: in.ReservationID, Status: inventoryapi.StatusConfirmed, QuantityConfirmed: 4, FinalStock: 6, ReservedStock: 1,
		Lines: []inventoryapi.StockLine{{LineNo: 1, ProductID: p, Location: "near", Quantity: 4, Stock: 6, ReservedStock: 1, AvailableStock: 5}},
	}, first)
	s.reserve(t, Line(p, 1))
	again, err := s.API.Confirm(t.Context(), in.ReservationID, Resolve())
	require.NoError(t, err)
	require.Equal(t, first, again)

	confirmed := &inventoryapi.StatusError{Code: inventoryapi.AlreadyResolved, ReservationID: in.ReservationID, Status: inventoryapi.StatusConfirmed}
	_, err = s.API.Release(t.Context(), in.ReservationID, ReleaseOf(in))
	require.Equal(t, confirmed, err)
	_, err = s.API.Expire(t.Context(), in.ReservationID, Resolve())
	require.Equal(t, confirmed, err)
	_, err = s.API.Confirm(t.Context(), uuid.New(), Resolve())
	require.ErrorIs(t, err, inventoryapi.ReservationNotFound)
	_, err = s.API.Expire(t.Context(), uuid.New(), Resolve())
	require.ErrorIs(t, err, inventoryapi.ReservationNotFound)

	late, out := s.reserve(t, Line(p, 1))
	s.Age(t, late.ReservationID)
	_, err = s.API.Confirm(t.Context(), late.ReservationID, Resolve())
	require.ErrorIs(t, err, inventoryapi.ReservationExpired)
	var deadline *inventoryapi.DeadlineError
	require.ErrorAs(t, err, &deadline)
	require.True(t, deadline.ExpiresAt.Before(out.ExpiresAt))
	got, err := s.API.GetReservation(t.Context(), late.ReservationID)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.StatusPending, got.Status, "a refused confirm changes nothing")
}

func testRelease(t *testing.T, s Subject) {
	p := s.Stock(t, 10)
	in, _ := s.reserve(t, Line(p, 4))
	first, err := s.API.Release(t.Context(), in.ReservationID, ReleaseOf(in))
	require.NoError(t, err)
	require.Equal(t, inventoryapi.ReleaseResult{
		ReservationID: in.ReservationID, Status: inventoryapi.StatusReleased, QuantityReleased: 4, AvailableStock: 10,
		Lines: []inventoryapi.StockLine{{LineNo: 1, ProductID: p, Location: "near", Quantity: 4, Stock: 10, AvailableStock: 10}},
	}, first)
	s.reserve(t, Line(p, 1))
	again, err := s.API.Release(t.Context(), in.ReservationID, ReleaseOf(in))
	require.NoError(t, err)
	require.Equal(t, first, again)
	released := &inventoryapi.StatusError{Code: inventoryapi.AlreadyResolved, ReservationID: in.ReservationID, Status: inventoryapi.StatusReleased}
	_, err = s.API.Reserve(t.Context(), in)
	require.Equal(t, released, err)
	_, err = s.API.Confirm(t.Context(), in.ReservationID, Resolve())
	require.Equal(t, released, err)
	require.Equal(t, inventoryapi.Conflict, inventoryapi.CodeOf(err).Category())
}

func testTombstone(t *testing.T, s Subject) {
	p := s.Stock(t, 1)
	in := NewReserve(Line(p, 1))
	_, err := s.API.Release(t.Context(), in.ReservationID, inventoryapi.ReleaseRequest{OperationID: uuid.New(), Actor: Actor})
	require.ErrorIs(t, err, inventoryapi.ReservationNotFound, "without an owner no tombstone is planted")
	for range 2 {
		out, err := s.API.Release(t.Context(), in.ReservationID, ReleaseOf(in))
		require.NoError(t, err)
		require.Equal(t, inventoryapi.ReleaseResult{
			ReservationID: in.ReservationID, Status: inventoryapi.StatusReleased, Lines: []inventoryapi.StockLine{},
		}, out)
	}
	_, err = s.API.Reserve(t.Context(), in)
	require.Equal(t, &inventoryapi.StatusError{Code: inventoryapi.AlreadyResolved, ReservationID: in.ReservationID, Status: inventoryapi.StatusReleased}, err)
	_, reserved := s.Available(t, p)
	require.Zero(t, reserved)
}

func testExpire(t *testing.T, s Subject) {
	p := s.Stock(t, 10)
	in, out := s.reserve(t, Line(p, 2))
	_, err := s.API.Expire(t.Context(), in.ReservationID, Resolve())
	require.Equal(t, &inventoryapi.DeadlineError{
		Code: inventoryapi.NotDue, ReservationID: in.ReservationID, ExpiresAt: out.ExpiresAt, Status: inventoryapi.StatusPending,
	}, err)
	s.Age(t, in.ReservationID)
	first, err := s.API.Expire(t.Context(), in.ReservationID, Resolve())
	require.NoError(t, err)
	require.Equal(t, inventoryapi.StatusExpired, first.Status)
	require.EqualValues(t, 2, first.QuantityReleased)
	require.EqualValues(t, 10, first.AvailableStock)
	again, err := s.API.Expire(t.Context(), in.ReservationID, Resolve())
	require.NoError(t, err)
	require.Equal(t, first, again)
	_, err = s.API.Confirm(t.Context(), in.ReservationID, Resolve())
	require.ErrorIs(t, err, inventoryapi.ReservationExpired)
	require.Equal(t, inventoryapi.Expired, inventoryapi.CodeOf(err).Category())
	expired := &inventoryapi.StatusError{Code: inventoryapi.AlreadyResolved, ReservationID: in.ReservationID, Status: inventoryapi.StatusExpired}
	_, err = s.API.Reserve(t.Context(), in)
	require.Equal(t, expired, err)
	_, err = s.API.Release(t.Context(), in.ReservationID, ReleaseOf(in))
	require.Equal(t, expired, err)
}

func testExtend(t *testing.T, s Subject) {
	p := s.Stock(t, 10)
	in, out := s.reserve(t, Line(p, 1))
	extend := func(id uuid.UUID, to time.Time) (inventoryapi.ExtendResult, error) {
		return s.API.Extend(t.Context(), id, inventoryapi.ExtendRequest{ExpiresAt: to, Actor: Actor})
	}
	later := out.ExpiresAt.Add(time.Hour)
	for range 2 {
		res, err := extend(in.ReservationID, later)
		require.NoError(t, err)
		require.Equal(t, later, res.ExpiresAt)
	}
	res, err := extend(in.ReservationID, out.ExpiresAt)
	require.NoError(t, err)
	require.Equal(t, later, res.ExpiresAt, "a deadline is never shortened")
	_, err = extend(in.ReservationID, time.Now().Add(25*time.Hour))
	require.ErrorIs(t, err, inventoryapi.InvalidDuration)
	_, err = extend(uuid.New(), later)
	require.ErrorIs(t, err, inventoryapi.ReservationNotFound)

	s.Age(t, in.ReservationID)
	_, err = extend(in.ReservationID, later)
	require.ErrorIs(t, err, inventoryapi.ReservationExpired, "past the deadline, though nobody expired it yet")
	_, err = s.API.Expire(t.Context(), in.ReservationID, Resolve())
	require.NoError(t, err)
	_, err = extend(in.ReservationID, later)
	require.ErrorIs(t, err, inventoryapi.ReservationExpired)

	done, _ := s.reserve(t, Line(p, 1))
	_, err = s.API.Confirm(t.Context(), done.ReservationID, Resolve())
	require.NoError(t, err)
	_, err = extend(done.ReservationID, later)
	require.Equal(t, &inventoryapi.StatusError{Code: inventoryapi.ReservationNotPending, ReservationID: done.ReservationID, Status: inventoryapi.StatusConfirmed}, err)
}
