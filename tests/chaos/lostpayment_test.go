package chaos

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"holdfast/inventory/inventoryapi"
	"holdfast/tests/fault"
	"holdfast/tests/platform"
	"holdfast/workflows/orderflow"
)

// next is what comes to an order after the worker was killed that was paying it.
type next struct {
	name string
	ttl  int
	act  func(*orderRun, *platform.Platform, time.Time) error
}

var nexts = []next{
	{"the same payment", 600, nothing},
	{"a cancellation", 600, cancel},
	{"another card", 600, pay("pm_insufficient_funds")},
	{"an extension", 600, func(l *orderRun, p *platform.Platform, deadline time.Time) error {
		_, err := act(p, deadline, l.id, "extend", map[string]int{"ttl_seconds": 900})
		return err
	}},
	{"the deadline", 8, nothing},
}

// TestWorkerKilledWhilePaying kills the worker after each step of a payment was performed and before any of it is in
// the history, and lets something else come first: the next execution of the workflow may decide otherwise. Whatever
// it decides, money and stock agree (Audit), and an order that was captured is confirmed, or cancelled and refunded.
func TestWorkerKilledWhilePaying(t *testing.T) {
	t.Parallel()
	p := platform.StartWithFaults(t)
	deadline := time.Now().Add(4 * time.Minute)
	contains := func(part string) func(*http.Request) bool {
		return func(r *http.Request) bool { return strings.Contains(r.URL.Path, part) }
	}
	for _, step := range []struct {
		name     string
		captured bool
		withhold func(id uuid.UUID) *fault.Rule
	}{
		{"authorise", false, func(id uuid.UUID) *fault.Rule {
			return p.Faults.Provider.WithholdAnswer(authorisationOf(id.String()), 1)
		}},
		{"confirm", false, func(id uuid.UUID) *fault.Rule {
			reservation := inventoryapi.NewReservationID(inventoryapi.OwnerOrder, id, 1)
			return p.Faults.Inventory.WithholdAnswer(contains("confirm/"+reservation.String()), 1)
		}},
		{"capture", true, func(id uuid.UUID) *fault.Rule {
			return p.Faults.Provider.WithholdAnswer(contains(orderflow.PaymentKey(id, 1)+"/capture"), 1)
		}},
		{"record", true, nil},
	} {
		var rules []*fault.Rule
		var lives []*orderRun
		var kinds []string
		for _, n := range nexts {
			placed, err := place(p, deadline, platform.OneLine(p.Product(5), 1, "ttl_seconds", n.ttl))
			require.NoError(t, err)
			l := &orderRun{id: placed.Str("order_id")}
			lives, kinds = append(lives, l), append(kinds, n.name)
			if step.withhold != nil {
				rules = append(rules, step.withhold(uuid.MustParse(l.id)))
			}
		}
		if step.withhold == nil { // the task that has done everything is not heard of
			rules = append(rules, p.Faults.Temporal.Hold(call("RespondWorkflowTaskCompleted"), len(lives)))
		}

		var clients errgroup.Group
		for _, l := range lives {
			clients.Go(func() error { return pay("pm_ok")(l, p, deadline) })
		}
		for _, r := range rules {
			<-r.Reached()
		}
		if step.withhold == nil {
			require.Eventually(t, func() bool { return rules[0].Count() == len(lives) }, 10*time.Second, 10*time.Millisecond)
		}
		p.Process("worker").Kill()

		for i, n := range nexts {
			clients.Go(func() error { return n.act(lives[i], p, deadline) })
		}
		for _, r := range rules {
			r.Release()
		}
		p.Start("worker")
		require.NoError(t, clients.Wait(), step.name)
		var settled sync.WaitGroup
		for i, l := range lives {
			settled.Go(func() {
				if step.captured { // a cancellation that comes later refunds it
					p.AwaitOneOf("alice", l.id, 60*time.Second, "confirmed", "cancelled")
				}
				now := p.Do("alice", http.MethodGet, "/api/orders/"+l.id, nil).Str("status")
				t.Logf("%s, then %s: %s", step.name, kinds[i], now)
			})
		}
		settled.Wait()
	}
	t.Log(p.Audit())
}
