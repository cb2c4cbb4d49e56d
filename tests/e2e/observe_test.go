package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	common "go.opentelemetry.io/proto/otlp/common/v1"

	"holdfast/internal/auth"
	"holdfast/tests/broker"
	"holdfast/tests/platform"
)

// TestOneOrderThroughEveryProcess: the trace of the request that places and pays an order has a span of each process
// and of each kind of work, all below the request's own span. The logs of each process name the request. A later
// request has its own correlation id in the steps and the event that it causes. No process writes a secret or personal
// data, also not at debug level.
func TestOneOrderThroughEveryProcess(t *testing.T) {
	t.Parallel()
	spans, server := newCollector(t), broker.Start(t)
	p := platform.StartWith(t, "OTEL_EXPORTER_OTLP_ENDPOINT", spans.URL, "OTEL_TRACES_SAMPLER", "parentbased_always_on",
		"OTEL_BSP_SCHEDULE_DELAY", "100", "LOG_LEVEL", "debug")
	p.StartEvents(server.URL())
	product := p.Product(10)
	address := map[string]any{
		"name": platform.PrivateName, "line1": platform.PrivateStreet, "city": "Graz", "postal_code": "8010", "country": "AT",
	}

	id := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1, "payment_method", "pm_ok",
		"email", "ada@example.org", "ship_to", address), "X-Correlation-ID", "req-place").Str("order_id")
	p.AwaitOneOf("alice", id, 30*time.Second, "confirmed", "fulfilling")
	require.Equal(t, http.StatusOK, p.Act("alice", id, "cancel", nil, "X-Correlation-ID", "req-cancel").Status)

	second := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1), "X-Correlation-ID", "req-second").
		Str("order_id")
	require.Equal(t, http.StatusOK, p.Pay("alice", second, "pm_ok", "X-Correlation-ID", "req-pay").Status)

	line := awaitLine(t, p.Process("gateway"), func(l map[string]any) bool {
		return l["msg"] == "request" && l["correlation_id"] == "req-place"
	})
	traceID, _ := line["trace_id"].(string)
	require.NotEmpty(t, traceID)
	wanted := []string{
		"gateway          server    POST /api/orders",
		"gateway          client    HTTP POST",
		"api              server    POST /api/orders",
		"api              client    WITH", // the statement that inserts the order
		"api              client    UpdateWithStartWorkflow:place",
		"worker           server    RunWorkflow:Order",
		"worker           server    RunActivity:ReserveStock",
		"worker           server    RunActivity:AuthorisePayment",
		"worker           client    HTTP POST",
		"payment-sandbox  server    POST ",
		"inventory        server    POST /api/inventory/reserve",
		"inventory        internal  commit batch",
		"worker           server    RunActivity:RecordOrder",
		"worker           client    WITH", // the statement that records it
		"events           producer  publish inventory.reserved",
		"events           producer  publish order.reserved",
		"events           consumer  process order.",
	}
	var missing []string
	require.Eventually(t, func() bool {
		missing = missingSpans(spans.of(traceID), wanted)
		return len(missing) == 0
	}, 30*time.Second, 50*time.Millisecond, "the trace %s has no span %q; it has:\n%s",
		traceID, &missing, spanList{spans, traceID})
	require.Less(t, len(spans.of(traceID)), 160, "a trace shall stay small:\n%s", spanList{spans, traceID})
	t.Logf("the trace has %d spans", len(spans.of(traceID)))
	var tree []span
	require.Eventually(t, func() bool {
		tree = spans.of(traceID)
		return isOneTree(tree)
	}, 20*time.Second, 50*time.Millisecond, "a parent is missing:\n%s", spanList{spans, traceID})

	requireLinks(t, tree)
	requireRedisSpan(t, p, spans, product)

	for process, msg := range map[string]string{
		"api": "request", "inventory": "request", "payment-sandbox": "request", "worker": "step", "events": "event published",
	} {
		awaitLine(t, p.Process(process), func(l map[string]any) bool {
			return l["msg"] == msg && l["correlation_id"] == "req-place"
		})
	}
	awaitLine(t, p.Process("events"), func(l map[string]any) bool {
		return l["msg"] == "event consumed" && l["correlation_id"] == "req-pay" && l["event_id"] != nil
	})
	step := awaitLine(t, p.Process("worker"), func(l map[string]any) bool {
		return l["msg"] == "step" && l["activity"] == "CapturePayment" && l["order_id"] == second
	})
	require.Equal(t, "req-pay", step["correlation_id"])
	for _, activity := range []string{"RefundPayment", "ReturnUnits"} {
		step := awaitLine(t, p.Process("worker"), func(l map[string]any) bool {
			return l["msg"] == "step" && l["activity"] == activity
		})
		require.Equal(t, "req-cancel", step["correlation_id"], activity)
	}
	require.Equal(t, "done", step["outcome"])
	for _, name := range []string{"order_number", "workflow_id", "run_id", "attempt", "duration_ms", "trace_id"} {
		require.NotEmpty(t, step[name], name)
	}
	for _, called := range []string{"inventory", "payment-sandbox"} {
		line := awaitLine(t, p.Process(called), func(l map[string]any) bool {
			return l["msg"] == "request" && l["correlation_id"] == "req-pay" && l["source_service"] == "worker"
		})
		require.NotContains(t, line, "errors", "the request had none")
	}

	refused := p.Do("alice", http.MethodPost, "/api/orders", map[string]any{"lines": []any{}},
		"X-Correlation-ID", "req-bad")
	require.Equal(t, http.StatusBadRequest, refused.Status)
	bad := awaitLine(t, p.Process("api"), func(l map[string]any) bool { return l["correlation_id"] == "req-bad" })
	require.Equal(t, "invalid_input", bad["code"])
	require.Equal(t, "lines", bad["field"])
	require.Equal(t, "gateway", bad["source_service"])

	// The subject of the customer is an e-mail address, which no log may have.
	erased := p.Do("", http.MethodPost, "/admin/customers/ada@example.org/erase",
		map[string]string{"reason": "request of the customer"},
		"Authorization", "Bearer "+p.Token("root", auth.Admin), "X-Correlation-ID", "req-erase")
	require.Contains(t, []int{http.StatusOK, http.StatusNotFound}, erased.Status, erased.Raw)
	wrong := p.Do("", http.MethodGet, "/admin/customers/ada@example.org/erase", nil, "X-Correlation-ID", "req-wrong")
	require.Equal(t, http.StatusMethodNotAllowed, wrong.Status)
	awaitLine(t, p.Process("gateway"), func(l map[string]any) bool {
		return l["correlation_id"] == "req-wrong" && l["path"] == "/admin/customers/…"
	})
	for _, process := range []string{"gateway", "api"} {
		line := awaitLine(t, p.Process(process), func(l map[string]any) bool {
			return l["msg"] == "request" && l["correlation_id"] == "req-erase"
		})
		require.Equal(t, "/admin/customers/:customer_id/erase", line["path"], process)
	}

	number := p.Do("alice", http.MethodGet, "/api/orders/"+second, nil).Str("number")
	awaitLine(t, p.Process("events"), func(l map[string]any) bool {
		return l["msg"] == "event published" && l["event_type"] == "order.paid" && l["aggregate_id"] == second &&
			l["trace_id"] != nil
	})
	requireStory(t, p, second, second, number, "req-second", "req-pay")
	none := p.Do("bob", http.MethodGet, "/api/orders?correlation_id=req-pay", nil)
	require.Equal(t, http.StatusOK, none.Status)
	require.Empty(t, none.Body["items"], "another customer's order")
}

// requireLinks checks that each span of processing a message has a link to the span that published it.
func requireLinks(t *testing.T, all []span) {
	t.Helper()
	published := map[string]bool{}
	for _, s := range all {
		if strings.HasPrefix(s.GetName(), "publish ") {
			published[string(s.GetSpanId())] = true
		}
	}
	for _, s := range all {
		if strings.HasPrefix(s.GetName(), "process ") {
			require.Len(t, s.GetLinks(), 1, s)
			require.True(t, published[string(s.GetLinks()[0].GetSpanId())], "%s is linked to no span of publishing", s)
		}
	}
}

// requireRedisSpan checks that the trace of a request for the stock of a product has a span of Redis.
func requireRedisSpan(t *testing.T, p *platform.Platform, spans *spanCollector, product uuid.UUID) {
	t.Helper()
	p.Do("alice", http.MethodGet, "/api/inventory/"+product.String(), nil, "X-Correlation-ID", "req-stock")
	line := awaitLine(t, p.Process("gateway"), func(l map[string]any) bool {
		return l["msg"] == "request" && l["correlation_id"] == "req-stock"
	})
	traceID, _ := line["trace_id"].(string)
	require.Eventually(t, func() bool {
		return slices.ContainsFunc(spans.of(traceID), func(s span) bool {
			return s.service == "inventory" && slices.ContainsFunc(s.GetAttributes(), func(a *common.KeyValue) bool {
				return strings.HasPrefix(a.GetKey(), "db.system") && a.GetValue().GetStringValue() == "redis"
			})
		})
	}, 30*time.Second, 50*time.Millisecond, "the trace has:\n%s", spanList{spans, traceID})
}

// requireStory checks what holdfast story prints of an order, whichever of its names the operator gives.
func requireStory(t *testing.T, p *platform.Platform, order string, names ...string) {
	t.Helper()
	logs := filepath.Join(t.TempDir(), "all.log")
	var all strings.Builder
	for _, process := range []string{"gateway", "api", "worker", "inventory", "payment-sandbox", "events"} {
		all.WriteString(p.Process(process).Log())
	}
	require.NoError(t, os.WriteFile(logs, []byte(all.String()), 0o600))

	for _, name := range names {
		out, problems, err := p.Run([]string{"story", name, "--gateway", p.Gateway, "--logs", logs})
		require.NoError(t, err, problems)
		require.Contains(t, out, order)
		require.Contains(t, out, "JAEGER_URL is not set")
		for _, part := range []string{
			"gateway +request .*correlation_id=req-second", "timeline +reserved", "worker +step +activity=AuthorisePayment",
			"payment +capture: captured", "event +event published .*event_type=order.paid",
		} {
			found := regexp.MustCompile(part).FindStringIndex(out)
			require.NotNil(t, found, "%s: the story has no %q:\n%s", name, part, out)
		}
		require.NotContains(t, out, "req-place", "that request acted on another order")
		var times []string
		for _, line := range strings.Split(out, "\n") {
			if len(line) > 23 && strings.HasPrefix(line, "20") {
				times = append(times, line[:23])
			}
		}
		require.Greater(t, len(times), 15)
		require.True(t, slices.IsSorted(times), out)
	}
	_, problems, err := p.Run([]string{"story", "no-such-request", "--gateway", p.Gateway, "--logs", logs})
	require.Error(t, err)
	require.Contains(t, problems, "no order has this id or number")
}

// spanList prints the spans of a trace when a test fails.
type spanList struct {
	*spanCollector
	trace string
}

func (l spanList) String() string {
	var b strings.Builder
	for _, s := range l.of(l.trace) {
		fmt.Fprintln(&b, s)
	}
	return b.String()
}

// missingSpans returns the wanted beginnings of spans that the trace does not have.
func missingSpans(trace []span, wanted []string) []string {
	return slices.DeleteFunc(slices.Clone(wanted), func(want string) bool {
		return slices.ContainsFunc(trace, func(s span) bool { return strings.HasPrefix(s.String(), want) })
	})
}

// isOneTree reports whether one span has no parent and the trace has the parents of all others. A parent ends after its
// children and arrives later.
func isOneTree(trace []span) bool {
	ids, roots := map[string]bool{}, 0
	for _, s := range trace {
		ids[string(s.GetSpanId())] = true
	}
	for _, s := range trace {
		switch parent := string(s.GetParentSpanId()); {
		case parent == "":
			roots++
		case !ids[parent]:
			return false
		}
	}
	return roots == 1
}

// awaitLine waits for a log line of a process and returns it.
func awaitLine(t *testing.T, process *platform.Process, matches func(map[string]any) bool) (found map[string]any) {
	t.Helper()
	require.Eventually(t, func() bool {
		for text := range strings.Lines(process.Log()) {
			var line map[string]any
			if json.Unmarshal([]byte(text), &line) == nil && matches(line) {
				found = line
				return true
			}
		}
		return false
	}, 20*time.Second, 20*time.Millisecond)
	return found
}
