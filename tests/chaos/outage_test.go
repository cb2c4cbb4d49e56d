package chaos

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/order"
	"holdfast/internal/payment"
	"holdfast/tests/platform"
)

// outage is how long a process or database is down.
const outage = 30 * time.Second

// TestInventoryStopped: orders that arrive are accepted as pending, and all of them complete.
func TestInventoryStopped(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	product := p.Product(100)
	p.Process("inventory").Stop()
	back := time.Now().Add(outage)

	var ids []string
	for i := range 10 {
		body := platform.OneLine(product, 1, "payment_method", "pm_ok")
		placed := p.Place("alice", http.StatusAccepted, body, "Idempotency-Key", uuid.NewString())
		ids = append(ids, placed.Str("order_id"))
		require.Equal(t, "/api/orders/"+ids[i], placed.Header.Get("Location"))
		require.Equal(t, "pending", p.Do("alice", http.MethodGet, "/api/orders/"+ids[i], nil).Str("status"))
	}
	require.Equal(t, http.StatusOK, p.Act("alice", ids[0], "cancel", nil).Status,
		"a client can cancel an order that waits for inventory")
	require.Len(t, p.Do("alice", http.MethodGet, "/api/orders?status=pending", nil).Body["items"], 9)

	until(t, back)
	p.Start("inventory")
	for _, id := range ids[1:] {
		p.Await("alice", id, "confirmed", time.Minute)
		require.Equal(t, []string{"pending", "reserved", "payment_started", "paid", "confirmed"},
			p.Events("alice", id))
	}
	require.Equal(t, map[order.State]int{order.Confirmed: 9, order.Cancelled: 1}, p.Audit())
	available, reserved, total := p.Available(product)
	require.Equal(t, []int64{91, 0, 91}, []int64{available, reserved, total})
}

// TestInventoryStoppedAtTheDeadline: the order is expired and unpayable at once, and the stock comes back when
// inventory is up again.
func TestInventoryStoppedAtTheDeadline(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	product := p.Product(5)
	placed := p.Place("alice", http.StatusCreated, platform.OneLine(product, 2, "ttl_seconds", 3))
	id := placed.Str("order_id")
	deadline, err := time.Parse(time.RFC3339Nano, placed.Str("expires_at"))
	require.NoError(t, err)

	p.Process("inventory").Stop()
	until(t, deadline)
	late := p.Pay("alice", id, "pm_ok")
	require.Equal(t, http.StatusGone, late.Status, late.Raw)
	expired := p.Await("alice", id, "expired", 5*time.Second)
	at, err := time.Parse(time.RFC3339Nano, expired.Str("updated_at"))
	require.NoError(t, err)
	require.WithinDuration(t, deadline, at, 5*time.Second)
	// The payment may have come just before the timer, but the provider got no request.
	require.Contains(t, [][]string{{"reserved", "expired"}, {"reserved", "payment_started", "expired"}},
		p.Events("alice", id))
	_, err = p.Charge(id, 1)
	require.ErrorIs(t, err, payment.ErrUnknown)

	p.Start("inventory")
	require.Eventually(t, func() bool {
		available, reserved, _ := p.Available(product)
		return available == 5 && reserved == 0
	}, 30*time.Second, 50*time.Millisecond)
	require.Equal(t, map[order.State]int{order.Expired: 1}, p.Audit())
	events := p.Events("alice", id)
	require.Equal(t, []string{"expired", "stock_released"}, events[len(events)-2:])
}

// TestOrdersDatabaseStopped: the api accepts no order without a row, and accepted orders go on: stock is
// released on time although the workflow cannot record it.
func TestOrdersDatabaseStopped(t *testing.T) {
	t.Parallel()
	p := platform.StartWithFaults(t)
	product := p.Product(100)
	short := p.Place("alice", http.StatusCreated, platform.OneLine(product, 3, "ttl_seconds", 5)).Str("order_id")
	long := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")

	p.Faults.OrdersDB.Down()
	back := time.Now().Add(outage)
	refused := p.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(product, 1))
	require.Equal(t, http.StatusServiceUnavailable, refused.Status)
	require.Equal(t, http.StatusServiceUnavailable,
		p.Do("alice", http.MethodGet, "/api/orders/"+long, nil).Status)

	var arriving sync.WaitGroup
	placed := make([]string, 8)
	for i := range placed {
		arriving.Go(func() {
			body := platform.OneLine(product, 1, "payment_method", "pm_ok")
			a, err := place(p, back.Add(30*time.Second), body)
			if err != nil || (a.Status != http.StatusCreated && a.Status != http.StatusAccepted) {
				t.Errorf("an order was not accepted in the end: %v %s", err, a.Raw)
			}
			placed[i] = a.Str("order_id")
		})
	}
	require.Eventually(t, func() bool {
		_, reserved, _ := p.Available(product)
		return reserved <= 1
	}, 15*time.Second, 50*time.Millisecond, "the expired order's stock does not wait for the orders database")
	require.True(t, time.Now().Before(back))

	until(t, back)
	p.Faults.OrdersDB.Up()
	arriving.Wait()
	p.Await("alice", short, "expired", time.Minute)
	for _, id := range placed {
		p.Await("alice", id, "confirmed", time.Minute)
	}
	require.Equal(t, http.StatusOK, p.Pay("alice", long, "pm_ok").Status)
	require.Equal(t, map[order.State]int{order.Confirmed: 9, order.Expired: 1}, p.Audit())
}

// TestPaymentProviderStopped: payments are accepted, answered 202 after eight seconds, and completed.
func TestPaymentProviderStopped(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	product := p.Product(100)
	ids := make([]string, 5)
	for i := range ids {
		ids[i] = p.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")
	}

	p.Process("payment-sandbox").Stop()
	back := time.Now().Add(outage)
	var paying sync.WaitGroup
	for _, id := range ids {
		paying.Go(func() {
			start := time.Now()
			a := p.Pay("alice", id, "pm_ok")
			if a.Status != http.StatusAccepted || time.Since(start) < 7*time.Second || time.Since(start) > 12*time.Second {
				t.Errorf("pay answers 202 after 8 s; got %d after %s: %s", a.Status, time.Since(start), a.Raw)
			}
			if s := a.Str("status"); s != "paying" {
				t.Errorf("the order is paying meanwhile, not %s", s)
			}
		})
	}
	paying.Wait()
	again := p.Pay("alice", ids[0], "pm_ok")
	require.Equal(t, http.StatusConflict, again.Status, again.Raw)
	require.Equal(t, "payment_in_progress", again.Str("code"))

	until(t, back)
	p.Start("payment-sandbox")
	for _, id := range ids {
		p.Await("alice", id, "confirmed", time.Minute)
	}
	require.Equal(t, map[order.State]int{order.Confirmed: 5}, p.Audit())
}

// TestWorkerStopped: clients can read orders, lists and timelines as before. The api accepts orders as pending, and all
// accepted orders go on with the next worker, deadlines included.
func TestWorkerStopped(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	product := p.Product(100)
	short := p.Place("alice", http.StatusCreated, platform.OneLine(product, 3, "ttl_seconds", 5)).Str("order_id")
	long := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")

	p.Process("worker").Stop()
	back := time.Now().Add(outage)
	require.Equal(t, "reserved", p.Do("alice", http.MethodGet, "/api/orders/"+long, nil).Str("status"))
	require.Len(t, p.Do("alice", http.MethodGet, "/api/orders?status=reserved", nil).Body["items"], 2)
	require.Equal(t, []string{"reserved"}, p.Events("alice", long))
	body, key := platform.OneLine(product, 1), uuid.NewString()
	start := time.Now()
	early := p.Do("alice", http.MethodPost, "/api/orders", body, "Idempotency-Key", key)
	require.Equal(t, http.StatusAccepted, early.Status)
	require.Less(t, time.Since(start), 4*time.Second, "create never hangs")

	until(t, back)
	p.Start("worker")
	p.Await("alice", early.Str("order_id"), "reserved", 30*time.Second)
	again := p.Do("alice", http.MethodPost, "/api/orders", body, "Idempotency-Key", key)
	require.Equal(t, http.StatusCreated, again.Status, again.Raw)
	require.Equal(t, early.Str("order_id"), again.Str("order_id"))
	p.Await("alice", short, "expired", 30*time.Second)
	require.Equal(t, http.StatusOK, p.Pay("alice", long, "pm_ok").Status)
	require.Equal(t, http.StatusOK, p.Act("alice", again.Str("order_id"), "cancel", nil).Status)
	require.Equal(t, map[order.State]int{order.Confirmed: 1, order.Expired: 1, order.Cancelled: 1}, p.Audit())
}

// until waits until the given moment.
func until(t *testing.T, moment time.Time) {
	t.Helper()
	select {
	case <-t.Context().Done():
	case <-time.After(time.Until(moment)):
	}
}
