package inventory_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
)

// TestVersionIsOneState: what is decided together moves a product's version once, so that of two who are
// answered a version none may be answered the state in between: it would pass for what is there.
func TestVersionIsOneState(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	p := s.Stock(t, 100)
	unlock := inventorytest.LockProduct(t, s.Pool, p)
	ctx := context.WithoutCancel(t.Context())
	type told struct {
		inventoryapi.StockChange
		err error
	}
	answers := make(chan told, 3)
	for n := range 3 { // the first waits for the lock, and the others for their batch
		go func() {
			out, err := s.Service.ReceiveStock(ctx, p, inventoryapi.ReceiveRequest{Location: "near", Quantity: 10}, inventorytest.By)
			answers <- told{out, err}
		}()
		if n == 0 {
			inventorytest.AwaitBlocked(t, s.Pool)
			continue
		}
		require.Eventually(t, func() bool { return s.Service.Waiting() == n }, inventorytest.Patience, time.Millisecond)
	}
	reserved := make(chan error, 1)
	go func() {
		_, err := s.Service.Reserve(ctx, inventorytest.NewReserve(inventorytest.Line(p, 1)))
		reserved <- err
	}()
	require.Eventually(t, func() bool { return s.Service.Waiting() == 3 }, inventorytest.Patience, time.Millisecond)
	unlock()
	states := map[int64]int64{}
	for range 3 {
		a := <-answers
		require.NoError(t, a.err)
		require.NotContains(t, states, a.Version)
		states[a.Version] = a.Stock
	}
	require.NoError(t, <-reserved)
	now, err := s.Service.Availability(t.Context(), p, 1)
	require.NoError(t, err)
	require.NotContains(t, states, now.Version, "the reserve came after all of them")
	for version, stock := range states {
		_, err := s.Service.AdjustStock(t.Context(), p, inventoryapi.AdjustRequest{Location: "near", Quantity: &stock, Reason: "count"},
			inventoryapi.WriteOptions{Actor: "a", IfMatch: inventoryapi.ETag(version)})
		require.ErrorIs(t, err, inventoryapi.PreconditionFailed)
	}
}

// TestOneOperationIsOneThing: of two things that are asked for under one operation id at the same time, one is
// done, whatever stock they concern.
func TestOneOperationIsOneThing(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	for range 5 {
		p, q := s.Stock(t, 1), s.Stock(t, 1)
		unlocks := []func(){inventorytest.LockProduct(t, s.Pool, p), inventorytest.LockProduct(t, s.Pool, q)}
		op, answers := uuid.New(), make(chan error, 2)
		for _, product := range []uuid.UUID{p, q} {
			go func() {
				_, err := s.Service.ReceiveStock(context.WithoutCancel(t.Context()), product,
					inventoryapi.ReceiveRequest{OperationID: op, Location: "near", Quantity: 10}, inventorytest.By)
				answers <- err
			}()
			if product == p {
				inventorytest.AwaitBlocked(t, s.Pool)
			}
		}
		require.Eventually(t, func() bool { return s.Service.Waiting() == 1 }, inventorytest.Patience, time.Millisecond, "both are under way")
		for _, unlock := range unlocks {
			unlock()
		}
		first, second := <-answers, <-answers
		if first != nil {
			first, second = second, first
		}
		require.NoError(t, first)
		require.ErrorIs(t, second, inventoryapi.AlreadyExists)
	}
	inventorytest.RequireConsistent(t, s.Pool)
}
