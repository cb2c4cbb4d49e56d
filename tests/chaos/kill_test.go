package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
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

// TestKilledAtRandom ends worker, api and inventory as kill -9 does, 20 times at random moments, while
// 200 orders are created, paid, cancelled and expire, and 20 reservations from outside are released or
// expire. Each has a client that repeats its requests until it gets an answer.
//
// The moments come from HOLDFAST_CHAOS_SEED, or from the clock; the seed is in the test's output.
func TestKilledAtRandom(t *testing.T) {
	t.Parallel()
	const orders, kills = 200, 20
	random := rand.New(rand.NewPCG(chaosSeed(t), 1))
	p := platform.Start(t)
	product := p.Product(orders * 2)

	ctx, done := context.WithCancel(t.Context())
	var killer sync.WaitGroup
	killed := 0
	killer.Go(func() {
		victims := []string{"worker", "api", "inventory"}
		for killed < kills && ctx.Err() == nil {
			pause(ctx, time.Duration(200+random.IntN(2000))*time.Millisecond)
			victim := victims[random.IntN(len(victims))]
			p.Process(victim).Kill()
			killed++
			pause(t.Context(), time.Duration(random.IntN(700))*time.Millisecond)
			p.Start(victim)
		}
	})

	deadline := time.Now().Add(4 * time.Minute)
	lives := make([]life, orders)
	var clients errgroup.Group
	clients.SetLimit(10)
	for i := range lives {
		lives[i].kind = kinds[i%len(kinds)]
		clients.Go(func() error { return lives[i].live(p, deadline, product) })
	}
	for i := range 20 {
		clients.Go(func() error { return hold(p, deadline, product, i%2 == 0) })
	}
	require.NoError(t, clients.Wait())
	// The orders may be finished before the twentieth kill; the other kills then happen while workflows end.
	killer.Wait()
	done()
	require.Equal(t, kills, killed)

	count := p.Audit()
	t.Logf("200 orders, %d kills: %v", killed, count)
	total := 0
	for _, n := range count {
		total += n
	}
	require.Equal(t, orders, total, "no order is lost or doubled")
	for _, l := range lives {
		state := p.Do("alice", http.MethodGet, "/api/orders/"+l.id, nil).Str("status")
		require.Contains(t, l.kind.ends, order.State(state), "order %s, which was %s", l.id, l.kind.name)
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

// kind is a kind of order: how its client treats it, and how it may end.
type kind struct {
	name string
	body []any // members of the order beside its line
	act  func(l *life, p *platform.Platform, deadline time.Time) error
	ends []order.State // the states in which it may end, whichever process is killed
}

// An order whose deadline passes while its worker or inventory is down expires although its client paid.
// The audit checks that stock and money agree.
var kinds = []kind{
	{"paid", nil, pay("pm_ok"), []order.State{order.Confirmed}},
	{"paid at once", []any{"payment_method", "pm_ok"}, wait, []order.State{order.Confirmed}},
	{"cancelled", nil, cancel, []order.State{order.Cancelled}},
	{"left to expire", []any{"ttl_seconds", 2}, wait, []order.State{order.Expired}},
	{"declined and cancelled", nil, func(l *life, p *platform.Platform, deadline time.Time) error {
		if err := pay("pm_declined")(l, p, deadline); err != nil {
			return err
		}
		return cancel(l, p, deadline)
	}, []order.State{order.Cancelled}},
	{"paid and cancelled at once", nil, func(l *life, p *platform.Platform, deadline time.Time) error {
		var both errgroup.Group
		both.Go(func() error { return pay("pm_ok")(l, p, deadline) })
		both.Go(func() error { return cancel(l, p, deadline) })
		return both.Wait()
	}, []order.State{order.Confirmed, order.Cancelled}},
	{"paid at the last moment", []any{"ttl_seconds", 3}, func(l *life, p *platform.Platform, deadline time.Time) error {
		if !l.expiresAt.IsZero() {
			pause(p.T.Context(), time.Until(l.expiresAt.Add(-5*time.Millisecond)))
		}
		return pay("pm_ok")(l, p, deadline)
	}, []order.State{order.Confirmed, order.Expired}},
	{"extended and paid", []any{"ttl_seconds", 60}, func(l *life, p *platform.Platform, deadline time.Time) error {
		if _, err := act(p, deadline, l.id, "extend", map[string]int{"ttl_seconds": 900}); err != nil {
			return fmt.Errorf("extend: %w", err)
		}
		return pay("pm_ok")(l, p, deadline)
	}, []order.State{order.Confirmed}},
}

// life is one order and what its client does with it.
type life struct {
	kind      kind
	id        string
	expiresAt time.Time
}

func (l *life) live(p *platform.Platform, deadline time.Time, product uuid.UUID) error {
	placed, err := place(p, deadline, platform.OneLine(product, 1, l.kind.body...))
	if err != nil {
		return fmt.Errorf("place: %w", err)
	}
	if placed.Status != http.StatusCreated && placed.Status != http.StatusAccepted {
		return fmt.Errorf("an order was refused: %s", placed.Raw)
	}
	l.id = placed.Str("order_id")
	l.expiresAt, _ = time.Parse(time.RFC3339Nano, placed.Str("expires_at")) // none while pending
	if err := l.kind.act(l, p, deadline); err != nil {
		return fmt.Errorf("order %s, to be %s: %w", l.id, l.kind.name, err)
	}
	return nil
}

// pay pays until the answer is final: it repeats the request while the order is still pending, or an earlier
// payment of this client is still under way.
func pay(by string) func(*life, *platform.Platform, time.Time) error {
	return func(l *life, p *platform.Platform, deadline time.Time) error {
		for {
			a, err := act(p, deadline, l.id, "pay", method(by))
			if err != nil {
				return fmt.Errorf("pay: %w", err)
			}
			code := a.Str("code")
			open := a.Status == http.StatusAccepted || code == "order_not_ready" || code == "payment_in_progress"
			if !open {
				return nil
			}
			pause(p.T.Context(), 300*time.Millisecond)
		}
	}
}

func cancel(l *life, p *platform.Platform, deadline time.Time) error {
	for {
		a, err := act(p, deadline, l.id, "cancel", map[string]string{"reason": "chaos"})
		if err != nil {
			return fmt.Errorf("cancel: %w", err)
		}
		if a.Status != http.StatusAccepted {
			return nil
		}
		pause(p.T.Context(), 300*time.Millisecond)
	}
}

// hold reserves without an order, and then releases or lets it expire.
func hold(p *platform.Platform, deadline time.Time, product uuid.UUID, release bool) error {
	held, err := stubborn(p, deadline, "alice", http.MethodPost, "/api/inventory/reserve", map[string]any{
		"order_id":    uuid.NewString(),
		"product_id":  product,
		"quantity":    1,
		"ttl_seconds": 3,
	})
	if err != nil {
		return fmt.Errorf("reserve from outside: %w", err)
	}
	// The reservation may expire before the answer arrives, because the request is repeated until it is answered.
	if held.Status != http.StatusCreated && held.Status != http.StatusGone && held.Str("code") != "already_resolved" {
		return fmt.Errorf("a reservation from outside was refused: %s", held.Raw)
	}
	if release && held.Status == http.StatusCreated {
		path := "/api/inventory/reserve/" + held.Str("reservation_id")
		if _, err := stubborn(p, deadline, "alice", http.MethodDelete, path, nil); err != nil {
			return fmt.Errorf("release from outside: %w", err)
		}
	}
	return nil
}

func wait(*life, *platform.Platform, time.Time) error { return nil }

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
