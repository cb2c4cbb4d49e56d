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

// TestVersionIsOneState: one batch moves a product's version once, so after a request whose answer has the version, a
// batch must not change the product again: the answer would have a state that no reader can find.
func TestVersionIsOneState(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	p := s.Stock(t, 100)
	unlock := inventorytest.LockProduct(t, s.Pool, p)
	ctx := context.WithoutCancel(t.Context())

	type answer struct {
		inventoryapi.StockChange
		err error
	}
	answers := make(chan answer, 3)
	for n := range 3 { // the first waits for the lock, and the others for their batch
		go func() {
			in := inventoryapi.ReceiveRequest{Location: "near", Quantity: 10}
			out, err := s.Service.ReceiveStock(ctx, p, in, inventorytest.By)
			answers <- answer{out, err}
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
		in := inventoryapi.AdjustRequest{Location: "near", Quantity: &stock, Reason: "count"}
		o := inventoryapi.WriteOptions{Actor: "a", IfMatch: inventoryapi.ETag(version)}
		_, err := s.Service.AdjustStock(t.Context(), p, in, o)
		require.ErrorIs(t, err, inventoryapi.PreconditionFailed)
	}
}

// TestOneOperationIsOneThing: if two different requests arrive at the same time under one operation id, the service
// does one of them, also if they concern different stock.
func TestOneOperationIsOneThing(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	for range 5 {
		p, q := s.Stock(t, 1), s.Stock(t, 1)
		unlocks := []func(){inventorytest.LockProduct(t, s.Pool, p), inventorytest.LockProduct(t, s.Pool, q)}

		op, answers := uuid.New(), make(chan error, 2)
		for _, product := range []uuid.UUID{p, q} {
			go func() {
				in := inventoryapi.ReceiveRequest{OperationID: op, Location: "near", Quantity: 10}
				_, err := s.Service.ReceiveStock(context.WithoutCancel(t.Context()), product, in, inventorytest.By)
				answers <- err
			}()
			if product == p {
				inventorytest.AwaitBlocked(t, s.Pool)
			}
		}
		require.Eventually(t, func() bool { return s.Service.Waiting() == 1 }, inventorytest.Patience, time.Millisecond,
			"the second request waits")

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
