package groupcommit_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/database"
	"holdfast/inventory"
	"holdfast/inventory/groupcommit"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/store"
)

// TestLockedProductDelaysNoOther: while another transaction has locked one product, requests for it wait, and the
// service answers all other requests. After the lock is released, it answers the waiting requests as well.
func TestLockedProductDelaysNoOther(t *testing.T) {
	t.Parallel()
	url, pool := inventorytest.NewDatabase(t)
	service := inventorytest.NewReplica(t, url, inventory.Options{}, database.Pool{MaxConns: 10})
	s := inventorytest.NewSubject(t, service, pool)
	locked := s.Stock(t, 100)
	others := make([]uuid.UUID, 5)
	for i := range others {
		others[i] = s.Stock(t, 100)
	}
	unlock := inventorytest.LockProduct(t, pool, locked)

	const callers = 20
	held := make(chan error, callers)
	for range callers {
		in := inventorytest.NewReserve(inventorytest.Line(locked, 1))
		go func() {
			_, err := s.API.Reserve(context.WithoutCancel(t.Context()), in)
			held <- err
		}()
	}
	inventorytest.AwaitBlocked(t, pool)

	var outcomes inventorytest.Tally
	inventorytest.Together(100, func(i int) {
		_, err := s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(others[i%len(others)], 1)))
		outcomes.Add(err)
	})
	require.Equal(t, map[inventoryapi.Code]int{"": 100}, outcomes.Counts())
	require.Empty(t, held, "a request for locked stock was answered")

	unlock()
	for range callers {
		require.NoError(t, <-held)
	}
	inventorytest.RequireConsistent(t, pool)
}

// TestLockedProductDelaysNoOthersConfirm: the products of confirmations are unknown when they arrive. Once a batch has
// found stock locked, they are looked up, so that confirmations of other products do not wait.
func TestLockedProductDelaysNoOthersConfirm(t *testing.T) {
	t.Parallel()
	url, pool := inventorytest.NewDatabase(t)
	service := inventorytest.NewReplica(t, url, inventory.Options{},
		database.Pool{MaxConns: 10, LockTimeout: 500 * time.Millisecond})
	s := inventorytest.NewSubject(t, service, pool)
	reserved := func(product uuid.UUID, n int) (ids []uuid.UUID) {
		ins, _ := inventorytest.NewReserves(t, product, n)
		for _, in := range ins {
			_, err := service.Reserve(t.Context(), in)
			require.NoError(t, err)
			ids = append(ids, in.ReservationID)
		}
		return ids
	}

	const waiting, free = 20, 10
	locked := s.Stock(t, 100)
	held, others := reserved(locked, waiting), reserved(s.Stock(t, 100), free)
	unlock := inventorytest.LockProduct(t, pool, locked)
	answers := make(chan error, waiting)
	for _, id := range held {
		go func() {
			_, err := service.Confirm(context.WithoutCancel(t.Context()), id, inventorytest.Resolve())
			answers <- err
		}()
	}
	inventorytest.AwaitBlocked(t, pool)

	inventorytest.Together(free, func(i int) {
		if _, err := service.Confirm(t.Context(), others[i], inventorytest.Resolve()); err != nil {
			t.Error(err)
		}
	})
	require.Less(t, len(answers), waiting/2, "the confirmations of other products waited for the lock")

	unlock()
	for range waiting {
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

// TestLockedProductIsBounded: the service refuses a request for a product that stays locked in bounded time with a
// retryable error. The request changes nothing.
func TestLockedProductIsBounded(t *testing.T) {
	t.Parallel()
	url, pool := inventorytest.NewDatabase(t)
	service := inventorytest.NewReplica(t, url, inventory.Options{},
		database.Pool{MaxConns: 10, LockTimeout: 20 * time.Millisecond})
	s := inventorytest.NewSubject(t, service, pool)
	p := s.Stock(t, 100)
	unlock := inventorytest.LockProduct(t, pool, p)
	ins, _ := inventorytest.NewReserves(t, p, 5)
	inventorytest.Together(len(ins), func(i int) {
		_, err := s.API.Reserve(t.Context(), ins[i])
		code := inventoryapi.CodeOf(err)
		expected := code == inventoryapi.VersionConflict || code == inventoryapi.Unavailable
		if !expected || !inventoryapi.Retryable(err) {
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

// A caller that leaves while its request waits for another transaction's lock gets an error at once, and its
// reservation is never made.
func TestCallerWhoLeavesReservesNothing(t *testing.T) {
	t.Parallel()
	_, pool := inventorytest.NewDatabase(t)
	w := groupcommit.New(groupcommit.Options{Store: store.New(pool)})
	t.Cleanup(w.Close)
	s := inventorytest.NewSubject(t, inventory.New(inventory.Options{Pool: pool}), pool)
	product := s.Stock(t, 10)
	unlock := inventorytest.LockProduct(t, pool, product)
	in, requests := inventorytest.NewReserves(t, product, 3)
	reserve := func(ctx context.Context, i int) chan error {
		result := make(chan error, 1)
		go func() { result <- groupcommit.Apply(ctx, w, requests[i])[0].Err }()
		return result
	}

	first := reserve(t.Context(), 0)
	inventorytest.AwaitBlocked(t, pool)
	ctx, cancel := context.WithCancel(t.Context())
	second, third := reserve(ctx, 1), reserve(t.Context(), 2)
	require.Eventually(t, func() bool { return w.Waiting() == 2 }, inventorytest.Patience, time.Millisecond)

	cancel()

	select {
	case err := <-second: // although the lock is still held
		require.ErrorIs(t, err, context.Canceled)
	case <-time.After(inventorytest.Patience):
		require.Fail(t, "the caller that left got no answer")
	}
	require.Equal(t, 1, w.Waiting())

	unlock()
	require.NoError(t, <-first)
	require.NoError(t, <-third)
	ids := []uuid.UUID{in[0].ReservationID, in[1].ReservationID, in[2].ReservationID}
	require.Equal(t, map[uuid.UUID]bool{ids[0]: true, ids[2]: true}, inventorytest.ExistingReservations(t, pool, ids))
	inventorytest.RequireConsistent(t, pool)
}
