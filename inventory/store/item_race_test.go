package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/stock"
)

// inTurn makes one replica and then another wait for a product's stock, in this order, and then unlocks the stock.
func inTurn(t *testing.T, pool *pgxpool.Pool, product uuid.UUID, first, second func() error) (error, error) {
	t.Helper()
	unlock := inventorytest.LockProduct(t, pool, product)
	answers := [2]chan error{make(chan error, 1), make(chan error, 1)}
	for i, do := range []func() error{first, second} {
		go func() { answers[i] <- do() }()
		require.Eventually(t, func() bool {
			var waiting int
			err := pool.QueryRow(t.Context(), `
				SELECT count(*) FROM pg_stat_activity
				WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
			return err == nil && waiting == i+1
		}, inventorytest.Patience, time.Millisecond)
	}
	unlock()
	return <-answers[0], <-answers[1]
}

// TestItemCreatedMeanwhile: two replicas wait for a product's stock. The first adds stock at a new location. The
// second decides on all items of that moment, not on the items that existed when it began to wait.
func TestItemCreatedMeanwhile(t *testing.T) {
	t.Parallel()
	services, _, s := inventorytest.NewReplicas(t)
	ctx := context.WithoutCancel(t.Context())
	receiveAt := func(p uuid.UUID, location string, version *int64) func() error {
		return func() error {
			_, err := services[0].ReceiveStock(ctx, p, inventoryapi.ReceiveRequest{
				Location: location, Quantity: 7, ExpectedVersion: version,
			}, inventorytest.By)
			return err
		}
	}

	t.Run("an expected version", func(t *testing.T) {
		p := s.Stock(t, 100)
		read, err := services[2].Availability(t.Context(), p, 1)
		require.NoError(t, err)
		first, second := inTurn(t, s.Pool, p, receiveAt(p, "far", &read.Version), func() error {
			_, err := services[1].AdjustStock(ctx, p, inventoryapi.AdjustRequest{
				Location: "near", Quantity: new(int64(5)), Reason: "x", ExpectedVersion: &read.Version,
			}, inventorytest.By)
			return err
		})
		require.NoError(t, first)
		require.ErrorIs(t, second, inventoryapi.VersionConflict)
		available, _ := s.Available(t, p)
		require.EqualValues(t, 107, available)
	})

	t.Run("stock that moved there", func(t *testing.T) {
		p, other := s.Stock(t, 100), s.Stock(t, 10)
		again := inventorytest.NewReserve(inventorytest.Line(other, 1))
		for range 2 { // for one second after a repeat, the first attempt looks reserves up and may refuse them
			_, err := services[1].Reserve(t.Context(), again)
			require.NoError(t, err)
		}
		first, second := inTurn(t, s.Pool, p, func() error {
			_, err := services[0].TransferStock(ctx, p, inventoryapi.TransferRequest{
				From: "near", To: "far", Quantity: 100, Reason: "r",
			}, inventorytest.By)
			return err
		}, func() error {
			_, err := services[1].Reserve(ctx, inventorytest.NewReserve(inventorytest.Line(p, 1)))
			return err
		})
		require.NoError(t, first)
		require.NoError(t, second, "100 were available all the time")
	})

	t.Run("a threshold for all locations", func(t *testing.T) {
		p := s.Stock(t, 100)
		var out inventoryapi.ThresholdResult
		first, second := inTurn(t, s.Pool, p, receiveAt(p, "far", nil), func() (err error) {
			in := inventoryapi.ThresholdRequest{LowStockThreshold: new(int64(3))}
			out, err = services[1].SetThreshold(ctx, p, in, inventorytest.By)
			return err
		})
		require.NoError(t, first)
		require.NoError(t, second)
		require.ElementsMatch(t, []string{"near", "far"}, out.Locations)
	})
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestFirstItemIsOne: two replicas create the first item of a product at two locations, each only if the product has no
// item. Exactly one of them succeeds.
func TestFirstItemIsOne(t *testing.T) {
	t.Parallel()
	services, _, s := inventorytest.NewReplicas(t)
	for _, c := range []struct {
		what  string
		begin func(*inventory.Service, uuid.UUID, string) error
	}{
		{"introduce", func(s *inventory.Service, p uuid.UUID, location string) error {
			_, errs := s.Introduce(t.Context(), stock.Receive{
				OperationID: uuid.New(),
				ProductID:   p,
				Location:    location,
				Quantity:    10,
				Actor:       "x",
			})
			return errs[0]
		}},
		{"receive expecting version 0", func(s *inventory.Service, p uuid.UUID, location string) error {
			_, err := s.ReceiveStock(t.Context(), p, inventoryapi.ReceiveRequest{
				Location: location, Quantity: 10, ExpectedVersion: new(int64(0)),
			}, inventorytest.By)
			return err
		}},
	} {
		for range 40 {
			p, done := uuid.New(), [2]bool{}
			var both sync.WaitGroup
			for i, location := range []string{"near", "far"} {
				both.Go(func() { done[i] = c.begin(services[i], p, location) == nil })
			}
			both.Wait()
			require.NotEqual(t, done[0], done[1], "%s: %v", c.what, done)
			available, _ := s.Available(t, p)
			require.EqualValues(t, 10, available)
		}
	}
	inventorytest.RequireConsistent(t, s.Pool)
}
