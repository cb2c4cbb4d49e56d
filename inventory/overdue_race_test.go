package inventory_test

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
)

// overdue makes a reservation whose deadline has passed and that no owner has expired yet.
func overdue(t *testing.T, s inventorytest.Subject, lines ...inventoryapi.ReserveLine) inventoryapi.ReserveRequest {
	t.Helper()
	in := inventorytest.NewReserve(lines...)
	_, err := s.API.Reserve(t.Context(), in)
	require.NoError(t, err)
	s.Age(t, in.ReservationID)
	return in
}

func texts(t *testing.T, pool *pgxpool.Pool, sql string) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), sql)
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return found
}

// TestOverdueHoldRefusesNoBuyer: the only unit is held by a reservation past its deadline. A buyer gets it. The ledger
// and the outbox show the expiry before the reserve. The owner then gets the same answers as after an expiry of its
// own.
func TestOverdueHoldRefusesNoBuyer(t *testing.T) {
	t.Parallel()
	s, _ := inventorytest.NewServer(t)
	p := s.Stock(t, 1)
	late := overdue(t, s, inventorytest.Line(p, 1))
	held, err := s.API.GetReservation(t.Context(), late.ReservationID)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.StatusPending, held.Status, "a read changes nothing")
	require.True(t, held.ExpiresAt.Before(time.Now()), "a client can tell that it is overdue")

	buyer := inventorytest.NewReserve(inventorytest.Line(p, 1))
	got, err := s.API.Reserve(t.Context(), buyer)
	require.NoError(t, err)
	require.False(t, got.Replayed)
	history := []string{"received 0", "reserved 1", "expired 0", "reserved 1"}
	ledger := func() []string {
		return texts(t, s.Pool, "SELECT kind || ' ' || reserved_after FROM stock_ledger ORDER BY ledger_id")
	}
	announced := func() []string {
		return texts(t, s.Pool, `SELECT event_type FROM outbox WHERE aggregate_type = 'reservation' ORDER BY event_id`)
	}
	require.Equal(t, history, ledger())
	require.Equal(t, []string{inventoryapi.EventReserved, inventoryapi.EventExpired, inventoryapi.EventReserved},
		announced())
	require.Len(t, texts(t, s.Pool, "SELECT DISTINCT created_at::text FROM stock_ledger WHERE ledger_id > 2"), 1,
		"in one transaction")
	inventorytest.RequireConsistent(t, s.Pool)

	for range 2 {
		out, err := s.API.Expire(t.Context(), late.ReservationID, inventorytest.Resolve())
		require.NoError(t, err)
		require.Equal(t, inventoryapi.StatusExpired, out.Status)
		require.EqualValues(t, 1, out.QuantityReleased)
	}
	_, err = s.API.Confirm(t.Context(), late.ReservationID, inventorytest.Resolve())
	require.ErrorIs(t, err, inventoryapi.ReservationExpired)
	_, err = s.API.Extend(t.Context(), late.ReservationID,
		inventoryapi.ExtendRequest{ExpiresAt: time.Now().Add(time.Hour), Actor: inventorytest.Actor})
	require.ErrorIs(t, err, inventoryapi.ReservationExpired)
	_, err = s.API.Reserve(t.Context(), late)
	require.ErrorIs(t, err, inventoryapi.AlreadyResolved)
	_, err = s.API.Confirm(t.Context(), buyer.ReservationID, inventorytest.Resolve())
	require.NoError(t, err)
	require.Equal(t, append(history, "confirmed 0"), ledger(), "nothing is applied twice")
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestOverdueHoldsOfAMassSale: 50 units are held by overdue reservations. 100 buyers come at once, through three
// replicas, while the owners expire their reservations. 50 buyers get a unit.
func TestOverdueHoldsOfAMassSale(t *testing.T) {
	t.Parallel()
	const units, buyers = 50, 100
	services, _, s := inventorytest.NewReplicas(t)
	p := s.Stock(t, units)
	late := make([]inventoryapi.ReserveRequest, units)
	for i := range late {
		late[i] = inventorytest.NewReserve(inventorytest.Line(p, 1))
	}
	inventorytest.Together(units, func(i int) {
		if _, err := s.API.Reserve(t.Context(), late[i]); err != nil {
			t.Errorf("reserve: %v", err)
		}
	})
	for _, in := range late {
		s.Age(t, in.ReservationID)
	}

	var bought, expired inventorytest.Tally
	inventorytest.Together(buyers+units, func(i int) {
		service := services[i%len(services)]
		if i < buyers {
			_, err := service.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 1)))
			bought.Add(err)
			return
		}
		_, err := service.Expire(t.Context(), late[i-buyers].ReservationID, inventorytest.Resolve())
		expired.Add(err)
	})
	require.Equal(t, map[inventoryapi.Code]int{"": units, inventoryapi.InsufficientStock: buyers - units}, bought.Counts())
	require.Equal(t, map[inventoryapi.Code]int{"": units}, expired.Counts())
	available, reserved := s.Available(t, p)
	require.Equal(t, [2]int64{0, units}, [2]int64{available, reserved})
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestExtendRacesTakeBack: around the deadline, the owner extends its reservation and a buyer wants the unit. At most
// one of them gets it, and if neither does, the next buyer does.
func TestExtendRacesTakeBack(t *testing.T) {
	t.Parallel()
	services, _, s := inventorytest.NewReplicas(t)
	const rounds = 24
	var wg sync.WaitGroup
	for i := range rounds {
		p := s.Stock(t, 1)
		wg.Go(func() {
			in := inventorytest.NewReserve(inventorytest.Line(p, 1))
			in.TTLSeconds = 1
			out, err := s.API.Reserve(t.Context(), in)
			if err != nil {
				t.Errorf("reserve: %v", err)
				return
			}

			// The calls start at the deadline, a little before or after. The sleep is the subject of the test.
			time.Sleep(time.Until(out.ExpiresAt) - 3*time.Millisecond + rand.N(4*time.Millisecond))
			var extended, bought error
			inventorytest.Together(2, func(side int) {
				if side == 0 {
					_, extended = services[i%3].Extend(t.Context(), in.ReservationID,
						inventoryapi.ExtendRequest{ExpiresAt: time.Now().Add(time.Hour), Actor: inventorytest.Actor})
				} else {
					_, bought = services[(i+1)%3].Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 1)))
				}
			})
			switch {
			case extended == nil && errors.Is(bought, inventoryapi.InsufficientStock):
			case errors.Is(extended, inventoryapi.ReservationExpired) && bought == nil:
			case errors.Is(extended, inventoryapi.ReservationExpired) && errors.Is(bought, inventoryapi.InsufficientStock):
				_, err := s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 1)))
				if err != nil {
					t.Errorf("the reservation is overdue, and the next buyer is refused: %v", err)
				}
			default:
				t.Errorf("extend: %v, reserve: %v", extended, bought)
			}
		})
	}
	wg.Wait()
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestTakeBackOfSeveralProducts: a reserve gets all its lines or none, also if some of them need overdue stock. What
// was overdue has expired either way. A reservation that is taken back for one of its products gives the others back
// too.
func TestTakeBackOfSeveralProducts(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	a, b, c := s.Stock(t, 1, 1), s.Stock(t, 1), s.Stock(t, 1)
	alive := inventorytest.NewReserve(inventorytest.Line(c, 1))
	_, err := s.API.Reserve(t.Context(), alive)
	require.NoError(t, err)
	late := overdue(t, s, inventorytest.Line(a, 2), inventorytest.Line(b, 1))

	_, err = s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(a, 2), inventorytest.Line(c, 1)))
	require.Equal(t, &inventoryapi.InsufficientStockError{
		Lines: []inventoryapi.ShortLine{{ProductID: c, Requested: 1}},
	}, err)
	got, err := s.API.GetReservation(t.Context(), late.ReservationID)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.StatusExpired, got.Status)
	for _, p := range []uuid.UUID{a, b} {
		_, reserved := s.Available(t, p)
		require.Zero(t, reserved)
	}
	inventorytest.RequireConsistent(t, s.Pool)

	s.Age(t, alive.ReservationID)
	for _, want := range []error{nil, inventoryapi.InsufficientStock} {
		_, err = s.API.Reserve(t.Context(), inventorytest.NewReserve(
			inventorytest.Line(a, 2), inventorytest.Line(b, 1), inventorytest.Line(c, 1)))
		require.ErrorIs(t, err, want)
	}
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestAvailabilityCountsOverdueStock: availability counts the stock of a reservation as available as soon as its
// deadline has passed, although nothing is written, also if it was cached before. A client that knows the version gets
// the answer.
func TestAvailabilityCountsOverdueStock(t *testing.T) {
	t.Parallel()
	s, _ := inventorytest.NewCachedService(t)
	p := s.Stock(t, 2, 3)
	in := inventorytest.NewReserve(inventorytest.Line(p, 4))
	in.TTLSeconds = 1
	held, err := s.API.Reserve(t.Context(), in)
	require.NoError(t, err)
	_, err = s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 1)))
	require.NoError(t, err)

	before, err := s.API.Availability(t.Context(), p, 1)
	require.NoError(t, err)
	require.False(t, before.IsAvailable)
	quantities := func(a inventoryapi.Availability) [3]int64 {
		return [3]int64{a.AvailableQuantity, a.ReservedQuantity, a.OverdueQuantity}
	}
	require.Equal(t, [3]int64{0, 5, 0}, quantities(before))

	var after inventoryapi.Availability
	require.Eventually(t, func() bool {
		after, err = s.API.Availability(t.Context(), p, 4)
		return err == nil && after.IsAvailable
	}, 10*time.Second, time.Millisecond)
	late := time.Since(held.ExpiresAt)
	require.GreaterOrEqual(t, late, -50*time.Millisecond, "not before the deadline")
	require.Less(t, late, 2*time.Second)
	require.Equal(t, [3]int64{4, 1, 4}, quantities(after))
	require.Equal(t, before.Version, after.Version, "nothing was written")
	require.EqualValues(t, 5, after.TotalStock)
	for _, l := range after.Locations {
		require.Equal(t, l.Quantity-l.Reserved, l.Available)
	}

	_, err = s.API.Expire(t.Context(), in.ReservationID, inventorytest.Resolve())
	require.NoError(t, err)
	expired, err := s.API.Availability(t.Context(), p, 4)
	require.NoError(t, err)
	require.Equal(t, [3]int64{4, 1, 0}, quantities(expired))
}

// TestOverdueStockIsModified: a client that knows the version of a product does not get 304 once more is available.
func TestOverdueStockIsModified(t *testing.T) {
	t.Parallel()
	s, base := inventorytest.NewServer(t)
	p := s.Stock(t, 1)
	in := inventorytest.NewReserve(inventorytest.Line(p, 1))
	_, err := s.API.Reserve(t.Context(), in)
	require.NoError(t, err)
	status := func(tag string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/api/inventory/"+p.String(), nil)
		require.NoError(t, err)
		req.Header.Set("X-API-Key", inventorytest.ServiceKey)
		req.Header.Set("If-None-Match", tag)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode, res.Header.Get("ETag")
	}

	_, tag := status("")
	code, _ := status(tag)
	require.Equal(t, http.StatusNotModified, code)
	s.Age(t, in.ReservationID)
	code, again := status(tag)
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, tag, again, "it is still the version that a write names")
}

// TestExtensionMovesTheDeadlineOfLines: the copy of the deadline that the look-up of overdue reservations reads follows
// an extension, so an extended reservation is not overdue at its first deadline.
func TestExtensionMovesTheDeadlineOfLines(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	p := s.Stock(t, 1)
	in := inventorytest.NewReserve(inventorytest.Line(p, 1))
	in.TTLSeconds = 1
	out, err := s.API.Reserve(t.Context(), in)
	require.NoError(t, err)
	_, err = s.API.Extend(t.Context(), in.ReservationID,
		inventoryapi.ExtendRequest{ExpiresAt: time.Now().Add(time.Hour), Actor: inventorytest.Actor})
	require.NoError(t, err)
	inventorytest.RequireConsistent(t, s.Pool)

	require.Eventually(t, func() bool {
		var passed bool // by the clock that decides
		err := s.Pool.QueryRow(t.Context(), "SELECT clock_timestamp() > $1", out.ExpiresAt).Scan(&passed)
		return err == nil && passed
	}, 10*time.Second, 10*time.Millisecond, "the first deadline passes")
	available, reserved := s.Available(t, p)
	require.Equal(t, [2]int64{0, 1}, [2]int64{available, reserved})
	_, err = s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 1)))
	require.ErrorIs(t, err, inventoryapi.InsufficientStock)
}
