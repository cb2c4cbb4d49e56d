package chaos

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/order"
	"holdfast/tests/broker"
	"holdfast/tests/fault"
	"holdfast/tests/platform"
)

// placeAtOnce sends n orders of one unit at the same time, paid by the given method, or unpaid if it is "". Each must
// be accepted within the given time, without a repeat. It returns the ids.
func placeAtOnce(p *platform.Platform, n int, product uuid.UUID, method string, within time.Duration) []string {
	p.T.Helper()
	ids := make([]string, n)
	var clients sync.WaitGroup
	for i := range ids {
		clients.Go(func() {
			body := platform.OneLine(product, 1)
			if method != "" {
				body["payment_method"] = method
			}
			start := time.Now()
			a, err := p.Try("alice", http.MethodPost, "/api/orders", body, "Idempotency-Key", uuid.NewString())
			if err != nil || (a.Status != http.StatusCreated && a.Status != http.StatusAccepted) {
				p.T.Errorf("the order is not accepted: %v %d %s", err, a.Status, a.Raw)
			}
			if took := time.Since(start); took > within {
				p.T.Errorf("the order is accepted after %s; want at most %s", took, within)
			}
			ids[i] = a.Str("order_id")
		})
	}
	clients.Wait()
	require.False(p.T, p.T.Failed())
	return ids
}

// TestRedisGone: Redis refuses connections, and then hangs, while the rate limits are on. No order is refused or late,
// and when Redis is back, its clients see the stock as it is.
func TestRedisGone(t *testing.T) {
	t.Parallel()
	p := platform.StartWithFaults(t)
	p.Process("gateway").Stop()
	p.Configure("RATE_LIMIT_READS", "10000", "RATE_LIMIT_WRITES", "10000", "RATE_LIMIT_ORDERS", "10000")
	p.Start("gateway")
	product := p.Product(100)
	available := func() any {
		p.T.Helper()
		return p.Do("alice", http.MethodGet, "/api/inventory/"+product.String(), nil).Body["available_quantity"]
	}
	require.InDelta(t, 100, available(), 0, "this is in the cache now")

	var ids []string
	for _, fail := range []func(){p.Faults.Redis.Down, p.Faults.Redis.Hang} {
		fail()
		ids = append(ids, placeAtOnce(p, 6, product, "pm_ok", 10*time.Second)...)
		require.NotNil(t, available(), "reads go on")
	}
	p.Faults.Redis.Up()
	for _, id := range ids {
		p.Await("alice", id, "confirmed", 30*time.Second)
	}

	require.Eventually(t, func() bool { return available() == float64(88) }, 10*time.Second, 50*time.Millisecond)
	require.Equal(t, map[order.State]int{order.Confirmed: 12}, p.Audit())
}

// TestTemporalGone: Temporal refuses connections, and then hangs. New orders are accepted and wait; a payment is
// refused with an answer that says what to do, and moves no money. When Temporal is back, everything accepted goes on.
func TestTemporalGone(t *testing.T) {
	t.Parallel()
	p := platform.StartWithFaults(t)
	product := p.Product(100)
	before := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")

	var ids []string
	for _, fail := range []func(){p.Faults.Temporal.Down, p.Faults.Temporal.Hang} {
		fail()
		ids = append(ids, placeAtOnce(p, 5, product, "pm_ok", 10*time.Second)...)
		require.Equal(t, "reserved", p.Do("alice", http.MethodGet, "/api/orders/"+before, nil).Str("status"))
	}
	p.Faults.Temporal.Down()
	for _, id := range ids {
		require.Equal(t, "pending", p.Do("alice", http.MethodGet, "/api/orders/"+id, nil).Str("status"))
	}
	refused := p.Pay("alice", before, "pm_ok")
	require.Equal(t, http.StatusServiceUnavailable, refused.Status, refused.Raw)
	require.NotEmpty(t, refused.Str("code"))
	require.NotEmpty(t, refused.Header.Get("Retry-After"))

	p.Faults.Temporal.Up()
	for _, id := range ids {
		p.Await("alice", id, "confirmed", 30*time.Second)
	}
	paid, err := act(p, time.Now().Add(30*time.Second), before, "pay", method("pm_ok"))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, paid.Status, paid.Raw)
	require.Equal(t, map[order.State]int{order.Confirmed: 11}, p.Audit())
}

// TestBrokerGone: while RabbitMQ cannot be reached, orders are placed and paid as ever, and their events wait. When it
// is back, each event arrives. (TestEventsThroughOutages also stops and starts the broker itself.)
func TestBrokerGone(t *testing.T) {
	t.Parallel()
	server := broker.Start(t)
	subscribe(t, server)
	p := platform.Start(t)
	proxy := fault.NewAMQP(t, server.URL())
	p.StartEvents(proxy.URL())
	buy(p, 2)

	proxy.Down()
	product := p.Product(10)
	ids := placeAtOnce(p, 8, product, "pm_ok", 10*time.Second)
	for _, id := range ids {
		p.Await("alice", id, "confirmed", 20*time.Second)
	}
	require.GreaterOrEqual(t, waiting(t, p), 8*5, "five events of each order at least")

	proxy.Up()
	requireDelivered(t, p, server)
	require.Equal(t, map[order.State]int{order.Confirmed: 10}, p.Audit())
}

// TestBreakersOfTheOrderSide: inventory, and then the payment provider, break every connection until the worker's
// breaker opens. An order that is placed meanwhile, and a payment that is made meanwhile, are accepted and go on when
// the service is back: no order is refused, and no payment is taken for declined or made twice.
func TestBreakersOfTheOrderSide(t *testing.T) {
	t.Parallel()
	p := platform.StartWithFaults(t)
	p.Process("worker").Stop()
	p.Configure("BREAKER_OPEN", "2s")
	p.Start("worker")
	product := p.Product(100)
	const writes, provider = `inventory_circuit_breaker_state{breaker_name="inventory_writes"}`,
		`payment_circuit_breaker_state{breaker_name="payment"}`
	state := func(series string, want int) func() bool {
		return func() bool { return metric(t, p, "worker", series) == want }
	}

	p.Faults.Inventory.Down()
	ids := placeAtOnce(p, 10, product, "", 10*time.Second)
	require.Eventually(t, state(writes, 1), 30*time.Second, 10*time.Millisecond, "the breaker does not open")
	ids = append(ids, placeAtOnce(p, 3, product, "", 10*time.Second)...)
	p.Faults.Inventory.Up()
	for _, id := range ids {
		p.Await("alice", id, "reserved", 30*time.Second)
	}
	require.Eventually(t, state(writes, 0), 30*time.Second, 10*time.Millisecond, "the breaker does not close")

	p.Faults.Provider.Down()
	paid := placeAtOnce(p, 8, product, "pm_ok", 10*time.Second)
	require.Eventually(t, state(provider, 1), 30*time.Second, 10*time.Millisecond, "the breaker does not open")
	paid = append(paid, placeAtOnce(p, 2, product, "pm_ok", 10*time.Second)...)
	p.Faults.Provider.Up()
	for _, id := range paid {
		p.Await("alice", id, "confirmed", 30*time.Second)
		events := p.Events("alice", id)
		require.Equal(t, []string{"payment_started", "paid", "confirmed"}, events[len(events)-3:])
		require.NotContains(t, events, "payment_declined")
	}
	for _, id := range ids {
		require.Equal(t, http.StatusOK, p.Pay("alice", id, "pm_ok").Status)
	}
	require.Equal(t, map[order.State]int{order.Confirmed: 23}, p.Audit())
}

// metric returns the value of a series of a process, as it is written in its metrics, or -1 if there is none.
func metric(t *testing.T, p *platform.Platform, process, series string) int {
	t.Helper()
	res, err := http.Get("http://" + p.Process(process).Address() + "/metrics")
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if value, found := strings.CutPrefix(lines.Text(), series+" "); found {
			n, err := strconv.Atoi(value)
			require.NoError(t, err)
			return n
		}
	}
	return -1
}
