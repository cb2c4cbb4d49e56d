package inventory_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/internal/database"
	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/stock"
)

// patience is how long a test waits for what must happen: an error where it does not, never a pace.
const patience = 30 * time.Second

// reserves makes n requests for one unit of a product each, and what names them.
func reserves(t *testing.T, product uuid.UUID, n int) ([]inventoryapi.ReserveRequest, []stock.Request) {
	t.Helper()
	ins, requests := make([]inventoryapi.ReserveRequest, n), make([]stock.Request, n)
	for i := range ins {
		ins[i] = inventorytest.NewReserve(inventorytest.Line(product, 1))
		requests[i] = reserveOf(t, ins[i])
	}
	return ins, requests
}

func reserveOf(t *testing.T, in inventoryapi.ReserveRequest) stock.Request {
	t.Helper()
	r, err := stock.NewReserve(in, time.Minute, "")
	require.NoError(t, err)
	return r
}

// exists tells which of the reservations are in the database.
func exists(t *testing.T, pool *pgxpool.Pool, ids []uuid.UUID) map[uuid.UUID]bool {
	t.Helper()
	rows, err := pool.Query(context.WithoutCancel(t.Context()), "SELECT reservation_id FROM reservations WHERE reservation_id = ANY ($1)", ids)
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	require.NoError(t, err)
	set := map[uuid.UUID]bool{}
	for _, id := range found {
		set[id] = true
	}
	return set
}

// lockProduct holds the rows of a product until the returned function is called.
func lockProduct(t *testing.T, pool *pgxpool.Pool, product uuid.UUID) (unlock func()) {
	t.Helper()
	tx, err := pool.Begin(context.WithoutCancel(t.Context()))
	require.NoError(t, err)
	tag, err := tx.Exec(t.Context(), "SELECT 1 FROM items WHERE product_id = $1 FOR UPDATE", product)
	require.NoError(t, err)
	require.NotZero(t, tag.RowsAffected())
	done := false
	unlock = func() {
		if !done {
			done = true
			require.NoError(t, tx.Rollback(context.WithoutCancel(t.Context())))
		}
	}
	t.Cleanup(unlock)
	return unlock
}

// awaitBlocked waits until a transaction of this database waits for somebody's lock.
func awaitBlocked(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	require.Eventually(t, func() bool {
		var blocked bool
		err := pool.QueryRow(t.Context(), "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')").Scan(&blocked)
		return err == nil && blocked
	}, patience, time.Millisecond)
}

// newReplica is one more service on a database, with connections of its own.
func newReplica(t *testing.T, url string, o inventory.Options, p database.Pool) *inventory.Service {
	t.Helper()
	pool, err := database.Open(context.WithoutCancel(t.Context()), url, p, "test", nil)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	o.Pool = pool
	s := inventory.New(o)
	t.Cleanup(s.Close) // before the pool
	return s
}

// TestOneFaultInABatchFailsAlone: whatever is wrong with one request of a batch, which the database or
// a fault of ours may find out only when it is decided together with a hundred others, it is refused
// and they are done.
func TestOneFaultInABatchFailsAlone(t *testing.T) {
	t.Parallel()
	const good = 100
	s := newService(t)
	_, err := s.Pool.Exec(t.Context(), "ALTER TABLE reservations ADD CONSTRAINT no_such_workflow CHECK (workflow_id <> 'at fault')")
	require.NoError(t, err)
	faults := map[string]func(product uuid.UUID) (stock.Request, func(error)){
		"an operation id that another operation used": func(p uuid.UUID) (stock.Request, func(error)) {
			before := inventorytest.NewReserve(inventorytest.Line(p, 1))
			_, err := s.API.Reserve(t.Context(), before)
			require.NoError(t, err)
			in := inventorytest.NewReserve(inventorytest.Line(p, 1))
			in.OperationID = before.OperationID
			return reserveOf(t, in), func(err error) { require.ErrorIs(t, err, inventoryapi.AlreadyExists) }
		},
		"a constraint that nobody expects": func(p uuid.UUID) (stock.Request, func(error)) {
			in := inventorytest.NewReserve(inventorytest.Line(p, 1))
			in.WorkflowID = "at fault"
			return reserveOf(t, in), func(err error) { require.ErrorContains(t, err, "no_such_workflow") }
		},
		"a rule that panics": func(p uuid.UUID) (stock.Request, func(error)) {
			return inventory.FaultyRequest{Product: p}, func(err error) { require.ErrorContains(t, err, "panic") }
		},
	}
	for name, fault := range faults {
		for _, at := range []int{0, 37, good} {
			t.Run(name, func(t *testing.T) {
				p := s.Stock(t, good+10)
				bad, refused := fault(p)
				_, before := s.Available(t, p)
				_, requests := reserves(t, p, good)
				requests = append(requests[:at:at], append([]stock.Request{bad}, requests[at:]...)...)
				for i, err := range s.Service.ApplyAtOnce(t.Context(), requests...) {
					if i == at {
						refused(err)
						continue
					}
					require.NoError(t, err, "request %d", i)
				}
				_, reserved := s.Available(t, p)
				require.EqualValues(t, good, reserved-before)
			})
		}
	}
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestLockedProductDelaysNoOther: while somebody else holds the rows of one product, its own callers
// wait and everybody else's are answered; then they are answered as well.
func TestLockedProductDelaysNoOther(t *testing.T) {
	t.Parallel()
	url, pool := newDatabase(t)
	service := newReplica(t, url, inventory.Options{}, database.Pool{MaxConns: 10})
	s := inventorytest.NewSubject(t, service, pool)
	locked := s.Stock(t, 100)
	others := make([]uuid.UUID, 5)
	for i := range others {
		others[i] = s.Stock(t, 100)
	}
	unlock := lockProduct(t, pool, locked)
	const callers = 20
	held := make(chan error, callers)
	for range callers {
		go func() {
			_, err := s.API.Reserve(context.WithoutCancel(t.Context()), inventorytest.NewReserve(inventorytest.Line(locked, 1)))
			held <- err
		}()
	}
	awaitBlocked(t, pool)
	var outcomes tally
	together(100, func(i int) {
		_, err := s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(others[i%len(others)], 1)))
		outcomes.add(err)
	})
	require.Equal(t, map[inventoryapi.Code]int{"": 100}, outcomes.n)
	require.Empty(t, held, "an answer about stock that somebody else holds")
	unlock()
	for range callers {
		require.NoError(t, <-held)
	}
	inventorytest.RequireConsistent(t, pool)
}

// TestLockedProductDelaysNoOthersConfirm: what products confirmations concern is not known when they come.
// Once one is found to wait for a lock it is, and those of other products do not wait behind it.
func TestLockedProductDelaysNoOthersConfirm(t *testing.T) {
	t.Parallel()
	url, pool := newDatabase(t)
	service := newReplica(t, url, inventory.Options{}, database.Pool{MaxConns: 10, LockTimeout: 500 * time.Millisecond})
	s := inventorytest.NewSubject(t, service, pool)
	reserved := func(product uuid.UUID, n int) (ids []uuid.UUID) {
		ins, _ := reserves(t, product, n)
		for _, in := range ins {
			_, err := service.Reserve(t.Context(), in)
			require.NoError(t, err)
			ids = append(ids, in.ReservationID)
		}
		return ids
	}
	const stuck, free = 20, 10
	locked := s.Stock(t, 100)
	held, others := reserved(locked, stuck), reserved(s.Stock(t, 100), free)
	unlock := lockProduct(t, pool, locked)
	answers := make(chan error, stuck)
	for _, id := range held {
		go func() {
			_, err := service.Confirm(context.WithoutCancel(t.Context()), id, inventorytest.Resolve())
			answers <- err
		}()
	}
	awaitBlocked(t, pool)
	together(free, func(i int) {
		if _, err := service.Confirm(t.Context(), others[i], inventorytest.Resolve()); err != nil {
			t.Error(err)
		}
	})
	require.Less(t, len(answers), stuck/2, "all of the others' came last")
	unlock()
	for range stuck {
		if err := <-answers; err != nil {
			require.True(t, inventoryapi.Retryable(err), "%v", err)
		}
	}
	for _, id := range held {
		_, err := service.Confirm(t.Context(), id, inventorytest.Resolve())
		require.NoError(t, err)
	}
	inventorytest.RequireConsistent(t, pool)
}

// TestLockedProductIsBounded: who wants a product that stays locked is told so within bounds, may send
// the same again, and had nothing done.
func TestLockedProductIsBounded(t *testing.T) {
	t.Parallel()
	url, pool := newDatabase(t)
	service := newReplica(t, url, inventory.Options{}, database.Pool{MaxConns: 10, LockTimeout: 20 * time.Millisecond})
	s := inventorytest.NewSubject(t, service, pool)
	p := s.Stock(t, 100)
	unlock := lockProduct(t, pool, p)
	ins, _ := reserves(t, p, 5)
	together(len(ins), func(i int) {
		_, err := s.API.Reserve(t.Context(), ins[i])
		if code := inventoryapi.CodeOf(err); code != inventoryapi.VersionConflict && code != inventoryapi.Unavailable || !inventoryapi.Retryable(err) {
			t.Errorf("error %v", err)
		}
	})
	_, reserved := s.Available(t, p)
	require.Zero(t, reserved)
	unlock()
	for _, in := range ins {
		_, err := s.API.Reserve(t.Context(), in)
		require.NoError(t, err)
	}
	inventorytest.RequireConsistent(t, pool)
}

// TestGoneCallerReservesNothing: a caller that gives up while its request waits behind somebody's lock
// is answered at once, and its reservation is never made.
func TestGoneCallerReservesNothing(t *testing.T) {
	t.Parallel()
	url, pool := newDatabase(t)
	service := newReplica(t, url, inventory.Options{}, database.Pool{MaxConns: 10})
	s := inventorytest.NewSubject(t, service, pool)
	p := s.Stock(t, 10)
	unlock := lockProduct(t, pool, p)
	reserve := func(ctx context.Context, in inventoryapi.ReserveRequest) chan error {
		result := make(chan error, 1)
		go func() {
			_, err := s.API.Reserve(ctx, in)
			result <- err
		}()
		return result
	}
	ins, _ := reserves(t, p, 3)
	first := reserve(t.Context(), ins[0])
	awaitBlocked(t, pool)
	ctx, cancel := context.WithCancel(t.Context())
	gone, stays := reserve(ctx, ins[1]), reserve(t.Context(), ins[2])
	require.Eventually(t, func() bool { return service.Waiting() == 2 }, patience, time.Millisecond)
	cancel()
	select {
	case err := <-gone: // although the lock is still held
		require.True(t, errors.Is(err, context.Canceled), "%v", err)
	case <-time.After(patience):
		t.Fatal("the caller that gave up was not answered")
	}
	require.Equal(t, 1, service.Waiting())
	unlock()
	require.NoError(t, <-first)
	require.NoError(t, <-stays)
	require.Len(t, exists(t, pool, []uuid.UUID{ins[0].ReservationID, ins[1].ReservationID, ins[2].ReservationID}), 2)
	_, err := s.API.GetReservation(t.Context(), ins[1].ReservationID)
	require.ErrorIs(t, err, inventoryapi.ReservationNotFound)
	inventorytest.RequireConsistent(t, pool)
}
