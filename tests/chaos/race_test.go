package chaos

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/order"
	"holdfast/tests/platform"
	"holdfast/workflows/orderflow"
)

// TestRaces shares one platform between the races; the audit at its end covers them all.
func TestRaces(t *testing.T) {
	t.Parallel()
	p := platform.StartWithFaults(t)
	t.Run("race", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *platform.Platform){
			"pay and expiry":                  payAndExpiry,
			"cancel during the authorisation": cancelDuringAuthorisation,
			"two pays":                        twoPays,
			"pay and cancel":                  payAndCancel,
			"extend after expiry":             extendAfterExpiry,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, p.For(t))
			})
		}
	})
	p.Audit()
}

// payAndExpiry sends 40 payments within a few milliseconds of their order's deadline. Each order ends
// paid, or expired with nothing taken, and the answer to its client says which.
func payAndExpiry(t *testing.T, p *platform.Platform) {
	product := p.Product(40)
	ends := map[string]int{}
	var mu sync.Mutex
	var racing sync.WaitGroup
	for i := range 40 {
		racing.Go(func() {
			placed := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1, "ttl_seconds", 8))
			id := placed.Str("order_id")
			deadline, _ := time.Parse(time.RFC3339Nano, placed.Str("expires_at"))
			// From 105 ms before the deadline, because 40 payments at once take about that long to arrive, to 12 ms after.
			pause(t.Context(), time.Until(deadline.Add(time.Duration(i-35)*3*time.Millisecond)))
			paid, err := act(p, time.Now().Add(time.Minute), id, "pay", method("pm_ok"))
			if err != nil {
				t.Errorf("pay: %v", err)
				return
			}
			want, final := map[int]string{http.StatusOK: "confirmed", http.StatusGone: "expired"}[paid.Status]
			switch {
			case final:
				p.Await("alice", id, want, 30*time.Second)
			case paid.Status == http.StatusAccepted: // on an overloaded machine the client has to read the order
				want = p.AwaitOneOf("alice", id, time.Minute, "confirmed", "expired")
			default:
				t.Errorf("a payment at the deadline is 200 or 410, not %d: %s", paid.Status, paid.Raw)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ends[want]++
		})
	}
	racing.Wait()
	t.Logf("of 40 payments at the deadline: %v", ends)
	require.Eventually(t, func() bool {
		available, reserved, _ := p.Available(product)
		return reserved == 0 && available == int64(40-ends["confirmed"])
	}, 30*time.Second, 50*time.Millisecond)
}

// cancelDuringAuthorisation holds the authorisation before the provider: the cancellation waits for its
// outcome, and then the money is freed.
func cancelDuringAuthorisation(t *testing.T, p *platform.Platform) {
	product := p.Product(5)
	id := p.Place("alice", http.StatusCreated, platform.OneLine(product, 2)).Str("order_id")
	var paid, cancelled platform.Answer
	var both sync.WaitGroup
	defer both.Wait()
	authorising := p.Faults.Provider.Hold(authorisationOf(id), 1)
	defer authorising.Release()
	both.Go(func() { paid = p.Pay("alice", id, "pm_ok") })
	<-authorising.Reached()
	both.Go(func() { cancelled = p.Act("alice", id, "cancel", map[string]string{"reason": "too slow"}) })
	p.AwaitUpdate(id, orderflow.UpdateCancel)
	p.Await("alice", id, "paying", 5*time.Second)
	authorising.Release()
	both.Wait()

	require.Equal(t, http.StatusOK, cancelled.Status, cancelled.Raw)
	require.Equal(t, "cancelled", cancelled.Str("status"))
	require.Equal(t, http.StatusConflict, paid.Status, paid.Raw)
	charge, err := p.Charge(id, 1)
	require.NoError(t, err)
	require.EqualValues(t, "voided", charge.State)
	require.Equal(t, []string{"reserved", "payment_started", "payment_voided", "stock_released", "cancelled"},
		p.Events("alice", id))
	available, reserved, _ := p.Available(product)
	require.Equal(t, []int64{5, 0}, []int64{available, reserved})
}

// twoPays: one payment wins, and the answer to the other says that a payment is under way or done.
func twoPays(t *testing.T, p *platform.Platform) {
	product := p.Product(20)
	for range 10 {
		id := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")
		answers := make([]platform.Answer, 2)
		var both sync.WaitGroup
		for i := range answers {
			both.Go(func() { answers[i] = p.Pay("alice", id, "pm_ok") })
		}
		both.Wait()
		won := 0
		for _, a := range answers {
			if a.Status == http.StatusOK {
				won++
				continue
			}
			require.Equal(t, http.StatusConflict, a.Status, a.Raw)
			require.Contains(t, []string{"payment_in_progress", "invalid_state"}, a.Str("code"))
		}
		require.Equal(t, 1, won)
	}

	id := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")
	key := uuid.NewString()
	answers := make([]platform.Answer, 5)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = p.Pay("alice", id, "pm_ok", "Idempotency-Key", key) })
	}
	all.Wait()
	for _, a := range answers {
		require.Equal(t, http.StatusOK, a.Status, "the same payment, requested five times: %s", a.Raw)
	}
	require.EqualValues(t, 1, p.Do("alice", http.MethodGet, "/api/orders/"+id, nil).Body["payment_attempts"])
}

// payAndCancel: either request can win, and both answers give the order's state.
func payAndCancel(t *testing.T, p *platform.Platform) {
	product := p.Product(20)
	for range 15 {
		id := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")
		var paid, cancelled platform.Answer
		var both sync.WaitGroup
		both.Go(func() { paid = p.Pay("alice", id, "pm_ok") })
		both.Go(func() { cancelled = p.Act("alice", id, "cancel", nil) })
		both.Wait()

		statuses := []int{paid.Status, cancelled.Status}
		require.Contains(t, [][]int{
			{http.StatusOK, http.StatusConflict},
			{http.StatusConflict, http.StatusOK},
			{http.StatusOK, http.StatusOK}, // paid, and then cancelled and refunded
		}, statuses, "%s %s", paid.Raw, cancelled.Raw)
		want := order.Confirmed
		if cancelled.Status == http.StatusOK {
			want = order.Cancelled
		}
		require.EqualValues(t, want, p.Do("alice", http.MethodGet, "/api/orders/"+id, nil).Str("status"))
	}
}

func extendAfterExpiry(t *testing.T, p *platform.Platform) {
	product := p.Product(5)
	placed := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1, "ttl_seconds", 1))
	deadline, err := time.Parse(time.RFC3339Nano, placed.Str("expires_at"))
	require.NoError(t, err)
	pause(t.Context(), time.Until(deadline))
	late := p.Act("alice", placed.Str("order_id"), "extend", map[string]int{"ttl_seconds": 600})
	require.Equal(t, http.StatusGone, late.Status, late.Raw)
	p.Await("alice", placed.Str("order_id"), "expired", 10*time.Second)
	available, reserved, _ := p.Available(product)
	require.Equal(t, []int64{5, 0}, []int64{available, reserved})
}
