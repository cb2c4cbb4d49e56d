package inventory_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/stock"
)

// TestLastUnit: 100 callers through the real HTTP service want the last unit; one gets it.
func TestLastUnit(t *testing.T) {
	t.Parallel()
	s, _ := inventorytest.NewServer(t)
	p := s.Stock(t, 1)
	var outcomes inventorytest.Tally
	inventorytest.Together(100, func(int) {
		_, err := s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 1)))
		outcomes.Add(err)
	})
	require.Equal(t, map[inventoryapi.Code]int{"": 1, inventoryapi.InsufficientStock: 99}, outcomes.Counts())
	available, reserved := s.Available(t, p)
	require.EqualValues(t, 0, available)
	require.EqualValues(t, 1, reserved)
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestOppositeLineOrders: two kinds of orders name the same products in opposite order, through two replicas. No caller
// may see a deadlock or a conflict.
func TestOppositeLineOrders(t *testing.T) {
	t.Parallel()
	_, pool := inventorytest.NewDatabase(t)
	s := inventorytest.NewSubject(t, inventory.New(inventory.Options{Pool: pool}), pool)
	replicas := []inventoryapi.API{s.API, inventory.New(inventory.Options{Pool: pool})}
	var forward, backward []inventoryapi.ReserveLine
	products := make([]uuid.UUID, 6)
	for i := range products {
		products[i] = s.Stock(t, 10_000)
		forward = append(forward, inventorytest.Line(products[i], 1))
	}
	for i := range forward {
		backward = append(backward, forward[len(forward)-1-i])
	}

	var outcomes inventorytest.Tally
	const callers, each = 16, 15
	inventorytest.Together(callers, func(i int) {
		lines := [][]inventoryapi.ReserveLine{forward, backward}[i%2]
		for range each {
			in := inventorytest.NewReserve(lines...)
			_, err := replicas[i/2%2].Reserve(t.Context(), in)
			outcomes.Add(err)
			_, err = replicas[(i/2+1)%2].Release(t.Context(), in.ReservationID, inventorytest.ReleaseOf(in))
			outcomes.Add(err)
		}
	})
	require.Equal(t, map[inventoryapi.Code]int{"": 2 * callers * each}, outcomes.Counts())
	inventorytest.RequireConsistent(t, pool)
}

// TestDuplicateReserve: many callers send the same request at once, and all get the same reservation.
func TestDuplicateReserve(t *testing.T) {
	t.Parallel()
	s, _ := inventorytest.NewServer(t)
	p := s.Stock(t, 10)
	in := inventorytest.NewReserve(inventorytest.Line(p, 2))
	var fresh atomic.Int32
	inventorytest.Together(30, func(int) {
		out, err := s.API.Reserve(t.Context(), in)
		if !out.Replayed {
			fresh.Add(1)
		}
		// The functions of require may be called only in the goroutine of the test.
		if err != nil || out.ReservationID != in.ReservationID || len(out.Lines) != 1 || out.Lines[0].RemainingStock != 8 {
			t.Errorf("answer %+v, error %v", out, err)
		}
	})
	require.EqualValues(t, 1, fresh.Load())
	_, reserved := s.Available(t, p)
	require.EqualValues(t, 2, reserved)
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestReleaseRacesReserve: a release and its reserve at the same moment leave no stock reserved, in either order.
func TestReleaseRacesReserve(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	p := s.Stock(t, 10)
	for range 30 {
		in := inventorytest.NewReserve(inventorytest.Line(p, 1))
		var reserve, release error
		inventorytest.Together(2, func(i int) {
			if i == 0 {
				_, reserve = s.API.Reserve(t.Context(), in)
			} else {
				_, release = s.API.Release(t.Context(), in.ReservationID, inventorytest.ReleaseOf(in))
			}
		})
		require.NoError(t, release)
		if reserve != nil {
			require.ErrorIs(t, reserve, inventoryapi.AlreadyResolved)
		}
		_, reserved := s.Available(t, p)
		require.Zero(t, reserved)
	}
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestConfirmRacesExpire: around the deadline, several callers confirm and several expire a reservation. One kind wins,
// the service refuses the other, and the stock moves once.
func TestConfirmRacesExpire(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	p := s.Stock(t, 1000)
	confirmed := 0
	const rounds = 12
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range rounds {
		wg.Go(func() {
			in := inventorytest.NewReserve(inventorytest.Line(p, 1))
			in.TTLSeconds = 1
			out, err := s.API.Reserve(t.Context(), in)
			if err != nil {
				t.Errorf("reserve: %v", err)
				return
			}

			// The calls start at the deadline, a little before or after. The sleep is the subject of the test.
			time.Sleep(time.Until(out.ExpiresAt) - 2*time.Millisecond + rand.N(4*time.Millisecond))
			var confirms, expires inventorytest.Tally
			inventorytest.Together(6, func(i int) {
				if i%2 == 0 {
					_, err := s.API.Confirm(t.Context(), in.ReservationID, inventorytest.Resolve())
					confirms.Add(err)
					return
				}
				for {
					_, err := s.API.Expire(t.Context(), in.ReservationID, inventorytest.Resolve())
					if !errors.Is(err, inventoryapi.NotDue) {
						expires.Add(err)
						return
					}
				}
			})

			mu.Lock()
			defer mu.Unlock()
			switch {
			case confirms.Counts()[""] > 0:
				confirmed++
				if expires.Counts()[inventoryapi.AlreadyResolved] != 3 {
					t.Errorf("confirmed, and expire said %v", expires.Counts())
				}
			case expires.Counts()[""] != 3 || confirms.Counts()[inventoryapi.ReservationExpired] != 3:
				t.Errorf("confirms %v, expires %v", confirms.Counts(), expires.Counts())
			}
		})
	}
	wg.Wait()

	available, reserved := s.Available(t, p)
	require.Zero(t, reserved)
	require.EqualValues(t, 1000-confirmed, available)
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestConfirmWaitsPastDeadline: the service compares the deadline with the time after it got the lock, not with the
// start of the transaction.
func TestConfirmWaitsPastDeadline(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	p := s.Stock(t, 1)
	in := inventorytest.NewReserve(inventorytest.Line(p, 1))
	in.TTLSeconds = 1
	out, err := s.API.Reserve(t.Context(), in)
	require.NoError(t, err)

	tx, err := s.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT 1 FROM items WHERE product_id = $1 FOR UPDATE", p)
	require.NoError(t, err)

	confirm := make(chan error, 1)
	go func() {
		_, err := s.API.Confirm(t.Context(), in.ReservationID, inventorytest.Resolve())
		confirm <- err
	}()
	require.Eventually(t, func() bool {
		var waiting bool
		err := s.Pool.QueryRow(t.Context(), `
			SELECT clock_timestamp() > $1 AND EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)`,
			out.ExpiresAt).Scan(&waiting)
		return err == nil && waiting
	}, 5*time.Second, 5*time.Millisecond)

	require.NoError(t, tx.Rollback(t.Context()))
	require.ErrorIs(t, <-confirm, inventoryapi.ReservationExpired)
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestReceiveOnce: six callers send the same receipts at once. The service creates each item once, and adds the
// quantity of each receipt once.
func TestReceiveOnce(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	receipts := make([]stock.Receive, 40)
	for i := range receipts {
		receipts[i] = stock.Receive{
			OperationID: uuid.New(),
			ProductID:   uuid.New(),
			Location:    "near",
			Quantity:    int64(i),
			Actor:       inventorytest.Actor,
			Reason:      fmt.Sprint("delivery ", i),
		}
	}

	inventorytest.Together(6, func(i int) {
		mine := append([]stock.Receive(nil), receipts...)
		rand.Shuffle(len(mine), func(a, b int) { mine[a], mine[b] = mine[b], mine[a] })
		if _, err := s.Service.Receive(t.Context(), mine...); err != nil {
			t.Errorf("receive %d: %v", i, err)
		}
	})

	for _, r := range receipts {
		available, _ := s.Available(t, r.ProductID)
		require.Equal(t, r.Quantity, available)
	}
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestBatchFailsAlone: of one batch, the service refuses the receipts at fault and applies the others.
func TestBatchFailsAlone(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	p := s.Stock(t, 5)
	in := inventorytest.NewReserve(inventorytest.Line(p, 1))
	_, err := s.API.Reserve(t.Context(), in)
	require.NoError(t, err)
	receive := func(op uuid.UUID, location string) stock.Receive {
		return stock.Receive{
			OperationID: op,
			ProductID:   p,
			Location:    location,
			Quantity:    10,
			Actor:       inventorytest.Actor,
		}
	}

	out, err := s.Service.Receive(t.Context(),
		receive(uuid.New(), "near"),
		receive(uuid.New(), "nowhere"),
		receive(in.OperationID, "near"),
		receive(uuid.New(), "far"))
	require.ErrorIs(t, err, inventoryapi.InvalidInput)
	require.ErrorIs(t, err, inventoryapi.AlreadyExists)
	require.Equal(t, []int64{15, 0, 0, 10}, []int64{out[0].Stock, out[1].Stock, out[2].Stock, out[3].Stock})
	inventorytest.RequireConsistent(t, s.Pool)
}
