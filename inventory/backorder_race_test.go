package inventory_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/database"
	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/stock"
)

func received(product uuid.UUID, n int64) stock.Receive {
	return stock.Receive{
		OperationID: uuid.New(), ProductID: product, Location: "near", Quantity: n, Actor: inventorytest.Actor,
	}
}

// placeWaiting places a backorder that must wait.
func placeWaiting(
	t *testing.T, s *inventory.Service, lines ...inventoryapi.ReserveLine,
) inventoryapi.PlaceBackorderRequest {
	t.Helper()
	in := inventorytest.NewPlace(lines...)
	out, err := s.PlaceBackorder(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.BackorderWaiting, out.Status)
	return in
}

// TestGrantRacesCancel: one unit arrives at one replica while a backorder for it is cancelled at another. It is granted
// and the cancellation is refused, or it is cancelled and the unit stays.
func TestGrantRacesCancel(t *testing.T) {
	t.Parallel()
	services, _, s := inventorytest.NewReplicas(t)
	outcomes := map[inventoryapi.BackorderStatus]int{}
	for range 20 {
		p := s.Stock(t, 0)
		in := placeWaiting(t, services[0], inventorytest.Line(p, 1))
		var cancelled error
		inventorytest.Together(2, func(side int) {
			if side == 0 {
				if _, err := services[1].Receive(t.Context(), received(p, 1)); err != nil {
					t.Errorf("receive: %v", err)
				}
				return
			}
			_, cancelled = services[2].CancelBackorder(t.Context(), in.BackorderID, inventorytest.CancelOf(in))
		})

		now, err := s.Service.GetBackorder(t.Context(), in.BackorderID)
		require.NoError(t, err)
		outcomes[now.Status]++
		available, reserved := s.Available(t, p)
		if now.Status == inventoryapi.BackorderGranted {
			require.ErrorIs(t, cancelled, inventoryapi.BackorderNotWaiting)
			require.Equal(t, [2]int64{0, 1}, [2]int64{available, reserved})
			continue
		}
		require.NoError(t, cancelled)
		require.Equal(t, [2]int64{1, 0}, [2]int64{available, reserved})
	}
	t.Logf("outcomes: %v", outcomes)
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestGrantRacesExpiry: around the deadline of a backorder, its unit arrives and its owner expires it. Either it is
// granted and the expiry is refused, or it expires and the unit stays, or neither has happened yet.
func TestGrantRacesExpiry(t *testing.T) {
	t.Parallel()
	services, _, s := inventorytest.NewReplicas(t)
	outcomes := map[string]int{}
	for i := range 20 {
		p := s.Stock(t, 0)
		in := inventorytest.NewPlace(inventorytest.Line(p, 1))
		in.WaitSeconds = 1
		placed, err := services[0].PlaceBackorder(t.Context(), in)
		require.NoError(t, err)
		_, err = s.Pool.Exec(t.Context(), `
			WITH soon AS (SELECT clock_timestamp() + interval '5 milliseconds' AS at),
				b AS (UPDATE backorders SET deadline = soon.at FROM soon WHERE backorder_id = $1)
			UPDATE backorder_lines SET deadline = soon.at FROM soon WHERE backorder_id = $1`, placed.BackorderID)
		require.NoError(t, err)

		// The calls start around the deadline. The sleep is the subject of the test.
		time.Sleep(time.Duration(i%8) * time.Millisecond)
		var expired error
		inventorytest.Together(2, func(side int) {
			if side == 0 {
				if _, err := services[1].Receive(t.Context(), received(p, 1)); err != nil {
					t.Errorf("receive: %v", err)
				}
				return
			}
			_, expired = services[2].ExpireBackorder(t.Context(), in.BackorderID, inventorytest.Resolve())
		})

		now, err := s.Service.GetBackorder(t.Context(), in.BackorderID)
		require.NoError(t, err)
		_, reserved := s.Available(t, p)
		code := inventoryapi.CodeOf(expired)
		outcomes[fmt.Sprintf("%s, expire: %s", now.Status, code)]++
		switch now.Status {
		case inventoryapi.BackorderGranted:
			require.Contains(t, []inventoryapi.Code{inventoryapi.BackorderNotWaiting, inventoryapi.NotDue}, code)
			require.EqualValues(t, 1, reserved)
		case inventoryapi.BackorderExpired:
			require.Contains(t, []inventoryapi.Code{"", inventoryapi.NotDue}, code)
			require.Zero(t, reserved)
		default:
			require.Fail(t, "it waits although its unit is there", "%s, %v", now.Status, expired)
		}
	}
	t.Logf("outcomes: %v", outcomes)
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestTwoReplicasBringTheTwoProducts: the two products of a backorder arrive at the same moment at two replicas. One of
// the two transactions sees both and grants it.
func TestTwoReplicasBringTheTwoProducts(t *testing.T) {
	t.Parallel()
	services, _, s := inventorytest.NewReplicas(t)
	for range 15 {
		p, q := s.Stock(t, 0), s.Stock(t, 0)
		in := placeWaiting(t, services[0], inventorytest.Line(p, 1), inventorytest.Line(q, 1))
		inventorytest.Together(2, func(side int) {
			product := []uuid.UUID{p, q}[side]
			if _, err := services[side].Receive(t.Context(), received(product, 1)); err != nil {
				t.Errorf("receive: %v", err)
			}
		})
		now, err := s.Service.GetBackorder(t.Context(), in.BackorderID)
		require.NoError(t, err)
		require.Equal(t, inventoryapi.BackorderGranted, now.Status)
	}
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestFirstStockRacesFirstBackorder: a product that inventory does not know gets its first backorder and its first
// stock at the same moment. No row of the product exists that both could lock.
func TestFirstStockRacesFirstBackorder(t *testing.T) {
	t.Parallel()
	services, _, s := inventorytest.NewReplicas(t)
	for range 15 {
		p := uuid.New()
		in := inventorytest.NewPlace(inventorytest.Line(p, 1))
		inventorytest.Together(2, func(side int) {
			var err error
			if side == 0 {
				_, err = services[0].Receive(t.Context(), received(p, 1))
			} else {
				_, err = services[1].PlaceBackorder(t.Context(), in)
			}
			if err != nil {
				t.Errorf("side %d: %v", side, err)
			}
		})
		now, err := s.Service.GetBackorder(t.Context(), in.BackorderID)
		require.NoError(t, err)
		require.Equal(t, inventoryapi.BackorderGranted, now.Status)
	}
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestCrowdOfBackorders: 90 buyers want one unit each through three replicas, half of them willing to wait, while 60
// units arrive one by one. No unit is sold twice, and no unit is left while a backorder waits.
func TestCrowdOfBackorders(t *testing.T) {
	t.Parallel()
	const buyers, units = 90, 60
	services, _, s := inventorytest.NewReplicas(t)
	p := s.Stock(t, 0)
	placed := make([]inventoryapi.PlaceBackorderRequest, buyers)
	var bought inventorytest.Tally
	inventorytest.Together(buyers+units, func(i int) {
		service := services[i%len(services)]
		switch {
		case i >= buyers:
			if _, err := service.Receive(t.Context(), received(p, 1)); err != nil {
				t.Errorf("receive: %v", err)
			}
		case i%2 == 0:
			placed[i] = inventorytest.NewPlace(inventorytest.Line(p, 1))
			if _, err := service.PlaceBackorder(t.Context(), placed[i]); err != nil {
				t.Errorf("place: %v", err)
			}
		default:
			_, err := service.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 1)))
			bought.Add(err)
		}
	})

	statuses := map[inventoryapi.BackorderStatus]int{}
	for _, in := range placed {
		if in.BackorderID != uuid.Nil {
			now, err := s.Service.GetBackorder(t.Context(), in.BackorderID)
			require.NoError(t, err)
			statuses[now.Status]++
		}
	}
	available, reserved := s.Available(t, p)
	counts := bought.Counts()
	require.EqualValues(t, statuses[inventoryapi.BackorderGranted]+counts[""], reserved)
	require.EqualValues(t, units, available+reserved)
	require.Equal(t, buyers/2, counts[""]+counts[inventoryapi.InsufficientStock], "%v", counts)
	if statuses[inventoryapi.BackorderWaiting] > 0 {
		require.Zero(t, available)
	}
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestGrantsInOrder: backorders that were placed one after another are granted in that order, by one receipt each.
func TestGrantsInOrder(t *testing.T) {
	t.Parallel()
	services, _, s := inventorytest.NewReplicas(t)
	p := s.Stock(t, 0)
	var placed []string
	for i := range 12 {
		in := placeWaiting(t, services[i%3], inventorytest.Line(p, 1))
		placed = append(placed, in.BackorderID.String())
	}
	inventorytest.Together(12, func(i int) {
		if _, err := services[i%3].Receive(t.Context(), received(p, 1)); err != nil {
			t.Errorf("receive: %v", err)
		}
	})
	granted := texts(t, s.Pool, "SELECT reservation_id::text FROM stock_ledger WHERE kind = 'reserved' ORDER BY ledger_id")
	require.Equal(t, placed, granted)
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestInterruptedGrantIsContinued: one transaction may grant 10 backorders. The process of the receipt ends before it
// continues. No buyer can take the rest of the stock, and the next process that starts grants it, in order.
func TestInterruptedGrantIsContinued(t *testing.T) {
	t.Parallel()
	url, pool := inventorytest.NewDatabase(t)
	killed := inventorytest.NewReplica(t, url, inventory.Options{MaxGrants: 10}, database.Pool{MaxConns: 5})
	s := inventorytest.NewSubject(t, killed, pool)
	p := s.Stock(t, 0)
	var placed []string
	for range 35 {
		placed = append(placed, placeWaiting(t, killed, inventorytest.Line(p, 1)).BackorderID.String())
	}
	_, err := killed.Receive(t.Context(), received(p, 33))
	require.NoError(t, err)
	granted := func() []string {
		return texts(t, pool, "SELECT reservation_id::text FROM stock_ledger WHERE kind = 'reserved' ORDER BY ledger_id")
	}
	require.Equal(t, placed[:10], granted())
	_, err = killed.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 1)))
	require.ErrorIs(t, err, inventoryapi.InsufficientStock, "the rest is promised")
	killed.Close()

	inventorytest.NewReplica(t, url, inventory.Options{MaxGrants: 10, ContinueGrants: true}, database.Pool{MaxConns: 5})
	require.Eventually(t, func() bool { return len(granted()) == 33 }, inventorytest.Patience, 5*time.Millisecond)
	require.Equal(t, placed[:33], granted())
	inventorytest.RequireConsistent(t, pool)

	// A process continues its own grants at once.
	o := inventory.Options{MaxGrants: 1, ContinueGrants: true}
	second := inventorytest.NewReplica(t, url, o, database.Pool{MaxConns: 5})
	begin := time.Now()
	_, err = second.Receive(t.Context(), received(p, 2))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(granted()) == 35 }, inventorytest.Patience, 5*time.Millisecond)
	require.Less(t, time.Since(begin), 5*time.Second, "it does not wait for the next look")
	require.True(t, slices.Equal(placed, granted()))
	inventorytest.RequireConsistent(t, pool)
}
