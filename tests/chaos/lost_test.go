package chaos

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/order"
	"holdfast/tests/fault"
	"holdfast/tests/platform"
)

// authorisationOf matches the request that authorises a payment of the order.
func authorisationOf(id string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		if r.URL.Path != "/v1/payments" {
			return false
		}
		raw, err := io.ReadAll(r.Body)
		return err == nil && strings.Contains(string(raw), id)
	}
}

// replacement matches the request that replaces a reservation.
func replacement(r *http.Request) bool {
	if !path(http.MethodPost, "inventory/reserve")(r) {
		return false
	}
	raw, err := io.ReadAll(r.Body)
	return err == nil && strings.Contains(string(raw), `"replaces"`)
}

// path matches requests by the end of their path; * stands for one segment.
func path(method, pattern string) func(*http.Request) bool {
	want := strings.Split(pattern, "/")
	return func(r *http.Request) bool {
		got := strings.Split(r.URL.Path, "/")
		if r.Method != method || len(got) < len(want) {
			return false
		}
		for i, part := range got[len(got)-len(want):] {
			if want[i] != "*" && want[i] != part {
				return false
			}
		}
		return true
	}
}

func call(name string) func(string) bool {
	return func(fullMethod string) bool { return strings.HasSuffix(fullMethod, "/"+name) }
}

// boundary is a connection between two processes on which an answer can be lost after the request was performed.
type boundary struct {
	name string
	lose func(p *platform.Platform, times int) *fault.Rule
	on   []string // the lives that cross it
}

func inventory(name, method, pattern string, on ...string) []boundary {
	return inventoryRequest(name, path(method, pattern), on...)
}

func inventoryRequest(name string, matches func(*http.Request) bool, on ...string) []boundary {
	return []boundary{
		{"inventory: " + name + ", cut", func(p *platform.Platform, times int) *fault.Rule {
			return p.Faults.Inventory.LoseAnswer(matches, times)
		}, on},
		{"inventory: " + name + ", timed out", func(p *platform.Platform, times int) *fault.Rule {
			return p.Faults.Inventory.WithholdAnswer(matches, times)
		}, on},
	}
}

func provider(name, pattern string, on ...string) []boundary {
	return []boundary{
		{"provider: " + name + ", cut", func(p *platform.Platform, times int) *fault.Rule {
			return p.Faults.Provider.LoseAnswer(path(http.MethodPost, pattern), times)
		}, on},
		{"provider: " + name + ", timed out", func(p *platform.Platform, times int) *fault.Rule {
			return p.Faults.Provider.WithholdAnswer(path(http.MethodPost, pattern), times)
		}, on},
	}
}

func temporal(name string, on ...string) []boundary {
	return []boundary{{"temporal: " + name, func(p *platform.Platform, times int) *fault.Rule {
		return p.Faults.Temporal.LoseAnswer(call(name), times)
	}, on}}
}

// ordersDB loses the answer to a statement, by the name that it has in db/queries.
func ordersDB(name string, on ...string) []boundary {
	return []boundary{{"orders database: " + name, func(p *platform.Platform, times int) *fault.Rule {
		return p.Faults.OrdersDB.LoseStatements("-- name: "+name+" ", times)
	}, on}}
}

func boundaries() []boundary {
	var all []boundary
	for _, b := range [][]boundary{
		inventory("reserve", http.MethodPost, "inventory/reserve", "paid", "cancelled", "expired"),
		inventoryRequest("replace", replacement, "edited"),
		inventory("extend", http.MethodPost, "reserve/*/extend", "paid late"),
		inventory("confirm", http.MethodPost, "confirm/*", "paid"),
		inventory("release", http.MethodDelete, "reserve/*", "cancelled", "declined"),
		inventory("expire", http.MethodPost, "reserve/*/expire", "expired"),
		inventory("return", http.MethodPost, "reserve/*/return", "not captured"),
		provider("authorise", "v1/payments", "paid", "declined"),
		provider("capture", "payments/*/capture", "paid"),
		provider("void", "payments/*/void", "not captured"),
		temporal("ExecuteMultiOperation", "paid"),
		temporal("UpdateWorkflowExecution", "paid", "cancelled", "edited"),
		temporal("RespondWorkflowTaskCompleted", "paid", "edited"),
		temporal("RespondActivityTaskCompleted", "cancelled", "declined", "edited"),
		ordersDB("PlaceOrder", "paid", "cancelled", "rejected"),
		ordersDB("RecordOrder", "paid", "cancelled", "expired", "rejected", "edited"),
		ordersDB("FindRecordedOrder", "edited"),
		ordersDB("BeginPayment", "paid", "declined"),
		{{"inventory database: commit", func(p *platform.Platform, times int) *fault.Rule {
			return p.Faults.StockDB.LoseCommits(times)
		}, []string{"paid", "cancelled", "expired", "not captured", "edited"}}},
	} {
		all = append(all, b...)
	}
	return all
}

// ways are the lives of an order, each with its end state.
var ways = map[string]struct {
	ends order.State
	live func(t *testing.T, p *platform.Platform, deadline time.Time) string
}{
	"paid": {order.Confirmed, func(t *testing.T, p *platform.Platform, deadline time.Time) string {
		id := placed(t, p, deadline, 5)
		require.NoError(t, pay("pm_ok")(&orderRun{id: id}, p, deadline))
		return id
	}},
	// Its reservation ends so soon that the payment extends it.
	"paid late": {order.Confirmed, func(t *testing.T, p *platform.Platform, deadline time.Time) string {
		id := placed(t, p, deadline, 5, "ttl_seconds", 60)
		require.NoError(t, pay("pm_ok")(&orderRun{id: id}, p, deadline))
		return id
	}},
	"edited": {order.Confirmed, func(t *testing.T, p *platform.Platform, deadline time.Time) string {
		product := p.Product(5)
		a, err := place(p, deadline, platform.OneLine(product, 1))
		require.NoError(t, err)
		id := a.Str("order_id")
		p.AwaitOneOf("alice", id, time.Until(deadline), "reserved")
		require.NoError(t, edit(3, product)(&orderRun{id: id}, p, deadline))
		require.NoError(t, edit(2, product)(&orderRun{id: id}, p, deadline))
		require.NoError(t, pay("pm_ok")(&orderRun{id: id}, p, deadline))
		return id
	}},
	"cancelled": {order.Cancelled, func(t *testing.T, p *platform.Platform, deadline time.Time) string {
		id := placed(t, p, deadline, 5)
		require.NoError(t, cancel(&orderRun{id: id}, p, deadline))
		return id
	}},
	"expired": {order.Expired, func(t *testing.T, p *platform.Platform, deadline time.Time) string {
		return placed(t, p, deadline, 5, "ttl_seconds", 2)
	}},
	"declined": {order.Failed, func(t *testing.T, p *platform.Platform, deadline time.Time) string {
		id := placed(t, p, deadline, 5)
		for range 3 {
			require.NoError(t, pay("pm_declined")(&orderRun{id: id}, p, deadline))
		}
		return id
	}},
	"rejected": {order.Rejected, func(t *testing.T, p *platform.Platform, deadline time.Time) string {
		a, err := place(p, deadline, platform.OneLine(p.Product(0), 1))
		require.NoError(t, err)
		require.Contains(t, []int{http.StatusConflict, http.StatusAccepted}, a.Status, a.Raw)
		return a.Str("order_id")
	}},
	// The stock is confirmed and then the capture is refused, because the provider has voided the payment
	// meanwhile. The workflow then voids the payment, releases the reservation and returns the stock.
	"not captured": {order.Failed, func(t *testing.T, p *platform.Platform, deadline time.Time) string {
		id := placed(t, p, deadline, 5)
		confirming := p.Faults.Inventory.Hold(path(http.MethodPost, "confirm/*"), 1)
		defer confirming.Release()
		paid := make(chan error, 1)
		go func() { paid <- pay("pm_ok")(&orderRun{id: id}, p, deadline) }()
		<-confirming.Reached()
		_, err := p.Provider.Void(t.Context(), id+"-1", "let go by the provider")
		require.NoError(t, err)
		confirming.Release()
		require.NoError(t, <-paid)
		return id
	}},
}

func placed(t *testing.T, p *platform.Platform, deadline time.Time, stock int64, more ...any) string {
	t.Helper()
	a, err := place(p, deadline, platform.OneLine(p.Product(stock), 1, more...))
	require.NoError(t, err)
	require.Contains(t, []int{http.StatusCreated, http.StatusAccepted}, a.Status, a.Raw)
	return a.Str("order_id")
}

// TestAnswerLostAfterCommit performs a request at each boundary and loses its answer, once and three
// times in a row, in each life that crosses it. The life ends as it would end without the loss.
func TestAnswerLostAfterCommit(t *testing.T) {
	t.Parallel()
	groups := map[string][]boundary{}
	for _, b := range boundaries() {
		side, _, _ := strings.Cut(b.name, ":")
		groups[side] = append(groups[side], b)
	}
	for side, group := range groups {
		t.Run(side, func(t *testing.T) {
			t.Parallel()
			p := platform.StartWithFaults(t)
			for _, b := range group {
				for _, way := range b.on {
					loseAnswers(t, p, b, way)
				}
			}
			p.Audit()
		})
	}
}

func loseAnswers(t *testing.T, p *platform.Platform, b boundary, way string) {
	for _, times := range []int{1, 3} {
		if times == 3 && strings.HasSuffix(b.name, "timed out") && !strings.Contains(b.name, "inventory: reserve") {
			continue // three time-outs would take ten seconds each and show no more than one
		}
		t.Run(b.name+"/"+way+"/"+map[int]string{1: "once", 3: "thrice"}[times], func(t *testing.T) {
			s := p.For(t)
			rule := b.lose(s, times)
			defer rule.Release()
			id := ways[way].live(t, s, time.Now().Add(time.Minute))
			s.Await("alice", id, string(ways[way].ends), time.Minute)
			require.NotZero(t, rule.Count(), "the fault was not met")
		})
	}
}

// TestClientLosesTheAnswer loses the answers between gateway and client: the client sends everything again.
func TestClientLosesTheAnswer(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	product := p.Product(10)
	edge := fault.NewHTTP(t, p.Gateway)
	outside := p.For(t)
	outside.Gateway = edge.URL()
	lost := edge.LoseAnswer(func(r *http.Request) bool { return r.Method == http.MethodPost }, -1)
	key := uuid.NewString()

	for range 3 {
		_, err := outside.Try("alice", http.MethodPost, "/api/orders", platform.OneLine(product, 1), "Idempotency-Key", key)
		require.Error(t, err)
	}
	id := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1), "Idempotency-Key", key).Str("order_id")

	for range 3 {
		_, err := outside.Try("alice", http.MethodPost, "/api/orders/"+id+"/pay", method("pm_ok"), "Idempotency-Key", key)
		require.Error(t, err)
	}
	require.Equal(t, http.StatusOK, p.Pay("alice", id, "pm_ok", "Idempotency-Key", key).Status)
	require.Equal(t, 6, lost.Count())
	require.Equal(t, map[order.State]int{order.Confirmed: 1}, p.Audit())
}
