package chaos

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"holdfast/tests/fault"
	"holdfast/tests/platform"
)

// report is a request about a paid order, by an operator, with an answer that says whether it was carried out.
type report struct {
	path string
	body any
}

// fate is what happens to an order of three units after it is paid: what the warehouse, the carrier and the customer
// report, how the order ends, how many of its units are paid back, and how many are back on the shelf.
type fate struct {
	name     string
	reports  []report
	ends     string
	refunded int
	onShelf  int64
}

func units(n int) []map[string]any { return []map[string]any{{"line_no": 1, "quantity": n}} }

var (
	ship    = report{"shipments/1/ship", map[string]any{"carrier": "dhl", "tracking_number": "T"}}
	deliver = report{"shipments/1/deliver", nil}
	back    = report{"returns", map[string]any{"reason": "other", "lines": units(2)}} // an operator's is approved at once
	arrived = report{"returns/1/receive", map[string]any{
		"lines": []map[string]any{{"line_no": 1, "restocked": 1, "damaged": 1}},
	}}
)

var fates = []fate{
	{"delivered", []report{{"shipments/1/pack", nil}, ship, deliver}, "completed", 0, 0},
	{"cancelled in part", []report{{"cancel", map[string]any{"lines": units(1)}}, ship, deliver}, "completed", 1, 1},
	{
		"short", []report{
			{"shipments/1/short-pick", map[string]any{"cause": "missing", "lines": units(1)}}, ship, deliver,
		}, "completed", 1, 0,
	},
	{"lost", []report{ship, {"shipments/1/lose", map[string]any{"remedy": "refund"}}}, "refunded", 3, 0},
	{"held and cancelled", []report{{"hold", map[string]any{"reason": "fraud"}}, {"cancel", nil}}, "cancelled", 3, 3},
	{"returned", []report{ship, deliver, back, arrived}, "completed", 2, 1},
}

// TestFulfilmentKilled kills the worker, the api, the inventory or the payment provider, as kill -9 does, at random
// moments, while paid orders are packed, shipped, cancelled in part, lost and returned. Each report is repeated, with
// its key, until it is answered. Every order ends as its reports say; the customer has back just the price of the units
// that did not stay, and the shelf just the units that can be sold again.
func TestFulfilmentKilled(t *testing.T) {
	t.Parallel()
	const kills = 20
	random := rand.New(rand.NewPCG(chaosSeed(t), 2))
	fulfil(t, platform.Start(t), 36, func(p *platform.Platform) {
		processes := []string{"worker", "api", "inventory", "payment-sandbox"}
		for range kills {
			pause(t.Context(), time.Duration(100+random.IntN(600))*time.Millisecond)
			if t.Context().Err() != nil {
				return
			}
			process := processes[random.IntN(len(processes))]
			p.Process(process).Kill()
			pause(t.Context(), time.Duration(random.IntN(500))*time.Millisecond)
			p.Start(process)
		}
	})
}

// TestFulfilmentInOutages is TestFulfilmentKilled with boundaries that go down or hang for two seconds, one after the
// other, and with writes whose answers are lost: of inventory, of the payment provider, of both databases and of
// Temporal.
func TestFulfilmentInOutages(t *testing.T) {
	t.Parallel()
	const outage = 2 * time.Second
	fulfil(t, platform.StartWithFaults(t), 24, func(p *platform.Platform) {
		writes := func(r *http.Request) bool { return r.Method == http.MethodPost }
		defer p.Faults.Inventory.LoseAnswer(writes, 10).Release()
		defer p.Faults.Provider.LoseAnswer(writes, 10).Release()
		for _, boundary := range []*fault.Switch{
			p.Faults.Inventory.Switch,
			p.Faults.Provider.Switch,
			p.Faults.OrdersDB.Switch,
			p.Faults.StockDB.Switch,
			p.Faults.Temporal.Switch,
		} {
			for _, fail := range []func(){boundary.Down, boundary.Hang} {
				fail()
				pause(t.Context(), outage)
				boundary.Up()
				pause(t.Context(), outage/4)
			}
		}
	})
}

// fulfil pays orders, then lets the warehouse, the carrier and the customer report what their fates say while the
// platform is disturbed, and checks how each order ends.
func fulfil(t *testing.T, p *platform.Platform, orders int, disturb func(*platform.Platform)) {
	t.Helper()
	type run struct {
		fate
		id      string
		product uuid.UUID
		price   float64
	}
	runs := make([]run, orders)
	for i := range runs {
		r := &runs[i]
		r.fate, r.product = fates[i%len(fates)], p.Product(3)
		placed := p.Place("alice", http.StatusCreated, platform.OneLine(r.product, 3))
		r.id = placed.Str("order_id")
		r.price = placed.Body["total"].(map[string]any)["amount_minor"].(float64)
		require.Equal(t, http.StatusOK, p.Pay("alice", r.id, "pm_ok").Status)
	}

	var disturbing sync.WaitGroup
	disturbing.Go(func() { disturb(p) })
	deadline := time.Now().Add(4 * time.Minute)
	var warehouse errgroup.Group
	warehouse.SetLimit(6)
	for _, r := range runs {
		warehouse.Go(func() error {
			for _, what := range r.reports {
				if err := untilReported(p, deadline, r.id, what); err != nil {
					return fmt.Errorf("order %s, to be %s: %w", r.id, r.name, err)
				}
			}
			return nil
		})
	}
	require.NoError(t, warehouse.Wait())
	disturbing.Wait()

	for _, r := range runs {
		what := "order " + r.id + ", " + r.name
		p.Await("alice", r.id, r.ends, time.Minute)
		require.Eventually(t, func() bool {
			return refundedAtProvider(t, p, r.id) == int64(r.price)*int64(r.refunded)/3
		}, time.Minute, 100*time.Millisecond, what)
		require.Eventually(t, func() bool {
			available, reserved, _ := p.Available(r.product)
			return available == r.onShelf && reserved == 0
		}, time.Minute, 100*time.Millisecond, what)
		events := p.Events("alice", r.id)
		once := slices.Compact(slices.Sorted(slices.Values(slices.DeleteFunc(events, repeats))))
		require.Len(t, slices.DeleteFunc(p.Events("alice", r.id), repeats), len(once), "%s: each report happened once", what)
	}
	p.Audit()
}

// repeats reports whether an event may be in a timeline more than once.
func repeats(event string) bool {
	return strings.HasPrefix(event, "payment_") || event == "stock_released" || event == "taken_up"
}

// refundedAtProvider is what the payment provider has paid back for an order, in minor units.
func refundedAtProvider(t *testing.T, p *platform.Platform, id string) int64 {
	t.Helper()
	charge, err := p.Charge(id, 1)
	require.NoError(t, err)
	return charge.RefundedMinor
}

// untilReported repeats a report, with its key, until it is carried out. An order whose workflow is just taken up is
// not ready for a moment.
func untilReported(p *platform.Platform, deadline time.Time, id string, what report) error {
	path, key := "/api/orders/"+id+"/"+what.path, []string{}
	// A repeat of these would do it twice; the others take no key.
	if what.path == "cancel" || what.path == "returns" || strings.HasSuffix(path, "short-pick") {
		key = []string{"Idempotency-Key", uuid.NewString()}
	}
	for {
		a, err := untilAnswered(p, deadline, platform.Operator, http.MethodPost, path, what.body, key...)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", what.path, err)
		case a.Status == http.StatusOK:
			return nil
		case a.Status != http.StatusAccepted:
			return fmt.Errorf("%s was refused: %s", what.path, a.Raw)
		}
		pause(p.T.Context(), 200*time.Millisecond)
	}
}
