package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/order"
	"holdfast/tests/platform"
)

// TestKilledAtRandom kills the worker, the api or the inventory, as kill -9 does, 20 times at random moments. Meanwhile
// 200 orders are created, paid, cancelled or left to expire, and 20 reservations without an order are released or left
// to expire. A client repeats each request until it gets an answer.
//
// The moments come from HOLDFAST_CHAOS_SEED, or from the clock; the seed is in the test's output.
func TestKilledAtRandom(t *testing.T) {
	t.Parallel()
	const orders, reservations, kills = 200, 20, 20
	random := rand.New(rand.NewPCG(chaosSeed(t), 1))
	p := platform.Start(t)
	product := p.Product(orders * 2)

	var killer sync.WaitGroup
	killer.Go(func() {
		processes := []string{"worker", "api", "inventory"}
		for range kills {
			pause(t.Context(), time.Duration(200+random.IntN(2000))*time.Millisecond)
			if t.Context().Err() != nil {
				return
			}
			process := processes[random.IntN(len(processes))]
			p.Process(process).Kill()
			pause(t.Context(), time.Duration(random.IntN(700))*time.Millisecond)
			p.Start(process)
		}
	})

	deadline := time.Now().Add(4 * time.Minute)
	runs := make([]orderRun, orders)
	var clients errgroup.Group
	clients.SetLimit(10)
	for i := range runs {
		runs[i].scenario = scenarios[i%len(scenarios)]
		clients.Go(func() error { return runs[i].run(p, deadline, product) })
	}
	for i := range reservations {
		clients.Go(func() error { return reserveWithoutOrder(p, deadline, product, i%2 == 0) })
	}
	require.NoError(t, clients.Wait())

	// The clients may be finished before the last kill. The other kills then happen while workflows end.
	killer.Wait()

	count := p.Audit()
	t.Logf("%d orders, %d kills: %v", orders, kills, count)
	total := 0
	for _, n := range count {
		total += n
	}
	require.Equal(t, orders, total, "no order is lost or doubled")
	for _, r := range runs {
		state := p.Do("alice", http.MethodGet, "/api/orders/"+r.id, nil).Str("status")
		require.Contains(t, r.scenario.ends, order.State(state), "order %s, which was %s", r.id, r.scenario.name)
	}
}

// chaosSeed is the seed of a test's random moments: HOLDFAST_CHAOS_SEED, or the clock.
func chaosSeed(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if given, err := strconv.ParseUint(os.Getenv("HOLDFAST_CHAOS_SEED"), 10, 64); err == nil {
		seed = given
	}
	t.Logf("HOLDFAST_CHAOS_SEED=%d", seed)
	return seed
}

// scenario is what a client does with an order, and how the order may then end.
type scenario struct {
	name  string
	extra []any // additional fields of the order: names and values in turn
	do    func(r *orderRun, p *platform.Platform, deadline time.Time) error
	ends  []order.State // the states in which the order may end, whichever process is killed
}

var scenarios = []scenario{
	{
		name: "paid",
		do:   pay("pm_ok"),
		ends: []order.State{order.Confirmed},
	},
	{
		name:  "paid at once",
		extra: []any{"payment_method", "pm_ok"},
		do:    nothing,
		ends:  []order.State{order.Confirmed},
	},
	{
		name: "cancelled",
		do:   cancel,
		ends: []order.State{order.Cancelled},
	},
	{
		name:  "left to expire",
		extra: []any{"ttl_seconds", 2},
		do:    nothing,
		ends:  []order.State{order.Expired},
	},
	{
		name: "declined and cancelled",
		do: func(r *orderRun, p *platform.Platform, deadline time.Time) error {
			if err := pay("pm_declined")(r, p, deadline); err != nil {
				return err
			}
			return cancel(r, p, deadline)
		},
		ends: []order.State{order.Cancelled},
	},
	{
		name: "paid and cancelled at once",
		do: func(r *orderRun, p *platform.Platform, deadline time.Time) error {
			var both errgroup.Group
			both.Go(func() error { return pay("pm_ok")(r, p, deadline) })
			both.Go(func() error { return cancel(r, p, deadline) })
			return both.Wait()
		},
		ends: []order.State{order.Confirmed, order.Cancelled},
	},
	{
		name:  "paid at the last moment",
		extra: []any{"ttl_seconds", 3},
		do: func(r *orderRun, p *platform.Platform, deadline time.Time) error {
			if !r.expiresAt.IsZero() {
				pause(p.T.Context(), time.Until(r.expiresAt.Add(-5*time.Millisecond)))
			}
			return pay("pm_ok")(r, p, deadline)
		},
		// If the deadline passes while the worker or the inventory is down, the order expires although the client paid.
		// The audit checks that stock and money agree.
		ends: []order.State{order.Confirmed, order.Expired},
	},
	{
		name:  "extended and paid",
		extra: []any{"ttl_seconds", 60},
		do: func(r *orderRun, p *platform.Platform, deadline time.Time) error {
			if _, err := act(p, deadline, r.id, "extend", map[string]int{"ttl_seconds": 900}); err != nil {
				return fmt.Errorf("extend: %w", err)
			}
			return pay("pm_ok")(r, p, deadline)
		},
		ends: []order.State{order.Confirmed},
	},
	{
		name: "edited twice and paid",
		do: func(r *orderRun, p *platform.Platform, deadline time.Time) error {
			product := p.Product(5)
			for _, quantity := range []int{3, 2} {
				if err := edit(quantity, product)(r, p, deadline); err != nil {
					return err
				}
			}
			return pay("pm_ok")(r, p, deadline)
		},
		ends: []order.State{order.Confirmed},
	},
	{
		name: "edited and cancelled at once",
		do: func(r *orderRun, p *platform.Platform, deadline time.Time) error {
			product := p.Product(5)
			var both errgroup.Group
			both.Go(func() error {
				_ = edit(3, product)(r, p, deadline) // refused once the order is cancelled
				return nil
			})
			both.Go(func() error { return cancel(r, p, deadline) })
			return both.Wait()
		},
		ends: []order.State{order.Cancelled},
	},
}

// orderRun is one order that goes through a scenario.
type orderRun struct {
	scenario  scenario
	id        string
	expiresAt time.Time // zero if the order was still pending when it was placed
}

func (r *orderRun) run(p *platform.Platform, deadline time.Time, product uuid.UUID) error {
	placed, err := place(p, deadline, platform.OneLine(product, 1, r.scenario.extra...))
	if err != nil {
		return fmt.Errorf("place: %w", err)
	}
	r.id = placed.Str("order_id")
	if placed.Str("current_status") == string(order.Expired) && slices.Contains(r.scenario.ends, order.Expired) {
		return nil // its short time was over before a worker could begin it
	}
	if placed.Status != http.StatusCreated && placed.Status != http.StatusAccepted {
		return fmt.Errorf("an order was refused: %s", placed.Raw)
	}

	r.expiresAt, _ = time.Parse(time.RFC3339Nano, placed.Str("expires_at")) // a pending order has none
	if err := r.scenario.do(r, p, deadline); err != nil {
		return fmt.Errorf("order %s, to be %s: %w", r.id, r.scenario.name, err)
	}
	return nil
}

// pay returns a step that pays and waits for a final answer. It sends the request again while the order is pending or
// an earlier payment of this client is under way.
func pay(paymentMethod string) func(*orderRun, *platform.Platform, time.Time) error {
	return func(r *orderRun, p *platform.Platform, deadline time.Time) error {
		for {
			a, err := act(p, deadline, r.id, "pay", method(paymentMethod))
			if err != nil {
				return fmt.Errorf("pay: %w", err)
			}

			code := a.Str("code")
			final := a.Status != http.StatusAccepted && code != "order_not_ready" && code != "payment_in_progress"
			if final {
				return nil
			}
			pause(p.T.Context(), 300*time.Millisecond)
		}
	}
}

// cancel cancels the order and waits for a final answer.
func cancel(r *orderRun, p *platform.Platform, deadline time.Time) error {
	for {
		a, err := act(p, deadline, r.id, "cancel", map[string]string{"reason": "chaos"})
		if err != nil {
			return fmt.Errorf("cancel: %w", err)
		}
		if a.Status != http.StatusAccepted {
			return nil
		}
		pause(p.T.Context(), 300*time.Millisecond)
	}
}

// errRefused says that a change of lines was refused for good.
var errRefused = errors.New("the order keeps its lines")

// edit replaces the lines by units of one product, and waits until the order has them. It returns errRefused if the
// order does not get them.
func edit(quantity int, product uuid.UUID) func(*orderRun, *platform.Platform, time.Time) error {
	return func(r *orderRun, p *platform.Platform, deadline time.Time) error {
		path, body, key := "/api/orders/"+r.id+"/lines", platform.OneLine(product, quantity), uuid.NewString()
		for {
			a, err := untilAnswered(p, deadline, "alice", http.MethodPut, path, body, "Idempotency-Key", key)
			if err != nil {
				return fmt.Errorf("edit: %w", err)
			}
			switch {
			case a.Status == http.StatusOK:
				return nil
			case a.Status != http.StatusAccepted && a.Str("code") != "order_not_ready":
				return fmt.Errorf("%w: %s", errRefused, a.Raw)
			}
			pause(p.T.Context(), 300*time.Millisecond)
		}
	}
}

// reserveWithoutOrder makes a reservation that belongs to no order, and then releases it or leaves it to expire.
func reserveWithoutOrder(p *platform.Platform, deadline time.Time, product uuid.UUID, release bool) error {
	held, err := untilAnswered(p, deadline, "alice", http.MethodPost, "/api/inventory/reserve", map[string]any{
		"order_id":    uuid.NewString(),
		"product_id":  product,
		"quantity":    1,
		"ttl_seconds": 3,
	})
	if err != nil {
		return fmt.Errorf("reserve without an order: %w", err)
	}

	// The reservation may expire before the answer arrives, because the request is repeated until it is answered.
	if held.Status != http.StatusCreated && held.Status != http.StatusGone && held.Str("code") != "already_resolved" {
		return fmt.Errorf("a reservation without an order was refused: %s", held.Raw)
	}

	if release && held.Status == http.StatusCreated {
		path := "/api/inventory/reserve/" + held.Str("reservation_id")
		if _, err := untilAnswered(p, deadline, "alice", http.MethodDelete, path, nil); err != nil {
			return fmt.Errorf("release without an order: %w", err)
		}
	}
	return nil
}

// nothing is the step of a client that only places the order.
func nothing(*orderRun, *platform.Platform, time.Time) error { return nil }

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
