package e2e

import (
	"maps"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"holdfast/internal/payloadcodec"
	"holdfast/tests/broker"
	"holdfast/tests/platform"
	"holdfast/workflows/orderflow"
)

// documented is a row of docs/guides/metrics.md.
type documented struct {
	kind      string
	labels    []string
	processes []string
	later     bool // it appears with its first event only
}

// metricRow matches a row of the page's tables: metric, type, labels, unit, processes, meaning.
var metricRow = regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)`(\\*?) \\| (\\w+) " +
	"\\| ([^|]*) \\| [^|]* \\| ([^|]+) \\| .+ \\|$")

// temporalRow matches a row of the page's table of Temporal's SDK: metric, type, unit, processes, meaning.
var temporalRow = regexp.MustCompile("(?m)^\\| `(temporal_[a-z0-9_]+)`(\\*?) \\| (\\w+) " +
	"\\| [^|]* \\| ([^|]+) \\| .+ \\|$")

// requireTemporalMetrics checks that the processes export what the page lists of Temporal's SDK. A row with an asterisk
// may be missing until its first event.
func requireTemporalMetrics(t *testing.T, exported map[string]map[string]*dto.MetricFamily) {
	t.Helper()
	raw, err := os.ReadFile("../../docs/guides/metrics.md")
	require.NoError(t, err)
	rows := temporalRow.FindAllStringSubmatch(string(raw), -1)
	require.Greater(t, len(rows), 10)
	for _, m := range rows {
		for _, process := range words(m[4]) {
			f := exported[process][m[1]]
			require.True(t, f != nil || m[2] == "*", "the page says that %s exports %s", process, m[1])
			require.True(t, f == nil || strings.ToLower(f.GetType().String()) == m[3], "%s is a %s", m[1], f.GetType())
		}
	}
}

// documentedProcesses returns the processes of the page's first table.
func documentedProcesses(t *testing.T) (out []string) {
	t.Helper()
	raw, err := os.ReadFile("../../docs/guides/metrics.md")
	require.NoError(t, err)
	row := regexp.MustCompile("(?m)^\\| ([a-z-]+) \\| `[A-Z_]+_LISTEN`")
	for _, m := range row.FindAllStringSubmatch(string(raw), -1) {
		out = append(out, m[1])
	}
	return out
}

// documentedMetrics returns the rows of the page by the name of the metric.
func documentedMetrics(t *testing.T) map[string]documented {
	t.Helper()
	raw, err := os.ReadFile("../../docs/guides/metrics.md")
	require.NoError(t, err)
	out := map[string]documented{}
	for _, m := range metricRow.FindAllStringSubmatch(string(raw), -1) {
		require.NotContains(t, out, m[1], "the page has it twice")
		out[m[1]] = documented{
			kind:      m[3],
			labels:    words(m[4]),
			processes: words(m[5]),
			later:     m[2] == "*",
		}
	}
	return out
}

// words splits a cell of the page, sorted.
func words(cell string) []string {
	out := strings.FieldsFunc(strings.ReplaceAll(cell, "`", ""), func(r rune) bool { return r == ',' || r == ' ' })
	slices.Sort(out)
	return out
}

// scrape returns what a process exports.
func scrape(t *testing.T, address string) map[string]*dto.MetricFamily {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/metrics", nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	require.Equal(t, http.StatusOK, res.StatusCode)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	found, err := parser.TextToMetricFamilies(res.Body)
	require.NoError(t, err)
	return found
}

// isOwn reports whether the page must list a metric: not those of the Go runtime, of the process and of the exporter.
// Of Temporal's SDK the page lists those that alerts and dashboards use.
func isOwn(name string) bool {
	for _, prefix := range []string{"go_", "process_", "promhttp_", "temporal_"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return true
}

// labelsOf returns the names of the labels of a family, sorted.
func labelsOf(f *dto.MetricFamily) []string {
	all := map[string]bool{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			all[l.GetName()] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// startWithOperators starts a platform with its events process, and returns where each process serves its metrics.
func startWithOperators(t *testing.T) (*platform.Platform, map[string]string) {
	t.Helper()
	server := broker.Start(t)
	p := platform.Start(t)
	p.StartEvents(server.URL())
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, free.Close())
	p.Configure("GATEWAY_PRIVATE_LISTEN", free.Addr().String())
	p.Process("gateway").Stop()
	p.Gateway = "http://" + p.Start("gateway").Address()
	out := map[string]string{"gateway": free.Addr().String()}
	for _, name := range []string{"api", "inventory", "worker", "events", "payment-sandbox"} {
		out[name] = p.Process(name).Address()
	}
	return p, out
}

// TestMetricsPage: after orders with several outcomes, every metric that a process exports is on the page with its
// type, labels and process, and every metric of the page is exported. A row with an asterisk may be missing until its
// first event.
func TestMetricsPage(t *testing.T) {
	t.Parallel()
	p, addresses := startWithOperators(t)
	product := p.Product(5)
	paid := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")
	require.Equal(t, http.StatusOK, p.Pay("alice", paid, "pm_ok").Status)
	declined := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")
	require.Equal(t, http.StatusPaymentRequired, p.Pay("alice", declined, "pm_declined").Status)
	p.Place("alice", http.StatusConflict, platform.OneLine(product, 900))
	short := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1, "ttl_seconds", 1)).Str("order_id")
	p.Await("alice", short, "expired", 30*time.Second)
	require.Equal(t, http.StatusOK, p.Do("alice", http.MethodGet, "/api/inventory/"+product.String(), nil).Status)

	p.Configure(payloadKeys, payloadcodec.Plain+","+payloadcodec.NewKey())
	addresses["codec"] = p.Start("codec").Address()
	addresses["audit"] = p.Start("audit", "--schedule", "24h", "--settle", "1s").Address()
	p.WithTemporal(func(c client.Client) {
		schedule := c.ScheduleClient().GetHandle(t.Context(), orderflow.AuditSchedule)
		require.NoError(t, schedule.Trigger(t.Context(), client.ScheduleTriggerOptions{}))
	})
	for _, name := range []string{"codec", "audit"} { // no other request comes to them
		scrape(t, addresses[name])
	}

	requireLevelFollowsSignals(t, p, "worker", "audit")

	page := documentedMetrics(t)
	exported := map[string]map[string]*dto.MetricFamily{}
	require.Eventually(t, func() bool { // the events arrive a moment later, and the audit ends
		for name, address := range addresses {
			exported[name] = scrape(t, address)
		}
		return exported["events"]["orders_events_consume_delay_seconds"] != nil &&
			exported["audit"]["holdfast_audit_duration_seconds"] != nil
	}, 30*time.Second, 100*time.Millisecond)

	for process, families := range exported {
		for name, f := range families {
			row, ok := page[name]
			if !ok && !isOwn(name) {
				continue
			}
			require.True(t, ok, "%s of %s is not in docs/guides/metrics.md: %s %v: %s",
				name, process, f.GetType(), labelsOf(f), f.GetHelp())
			require.Equal(t, strings.ToLower(f.GetType().String()), row.kind, name)
			require.Contains(t, row.processes, process, name)
			if len(f.GetMetric()) > 0 {
				require.ElementsMatch(t, row.labels, labelsOf(f), name)
			}
		}
	}
	requireTemporalMetrics(t, exported)
	require.ElementsMatch(t, documentedProcesses(t), slices.Collect(maps.Keys(exported)))
	for name, row := range page {
		for _, process := range row.processes {
			if _, own := exported[process]; own && !row.later {
				require.Contains(t, exported[process], name, "the page says that %s exports it", process)
			}
		}
	}
}

// requireLevelFollowsSignals checks that SIGUSR1 makes a process log at debug level, and SIGUSR2 as it did before.
func requireLevelFollowsSignals(t *testing.T, p *platform.Platform, processes ...string) {
	t.Helper()
	for _, name := range processes {
		for _, change := range []struct {
			signal os.Signal
			level  string
		}{{syscall.SIGUSR1, "DEBUG"}, {syscall.SIGUSR2, "INFO"}} {
			p.Process(name).Signal(change.signal)
			awaitLine(t, p.Process(name), func(l map[string]any) bool {
				return l["msg"] == "the log's level was changed" && l["to"] == change.level
			})
		}
	}
}

// TestSeriesAreBounded: requests for a thousand ids and paths that do not exist, through the gateway, make no new
// series in the processes that they reach.
func TestSeriesAreBounded(t *testing.T) {
	t.Parallel()
	p, addresses := startWithOperators(t)
	count := func() map[string]int {
		out := map[string]int{}
		for _, name := range []string{"gateway", "api", "inventory"} {
			for family, f := range scrape(t, addresses[name]) {
				if isOwn(family) {
					out[name] += len(f.GetMetric())
				}
			}
		}
		return out
	}
	ask := func(n int) {
		p.Do("user-"+strconv.Itoa(n), http.MethodGet, "/api/orders/"+uuid.NewString(), nil)
		p.Do("alice", http.MethodGet, "/api/inventory/"+uuid.NewString(), nil)
		p.Do("alice", http.MethodGet, "/nowhere/"+strconv.Itoa(n), nil)
	}

	ask(0)
	before := count()
	for n := range 333 {
		ask(n)
	}
	for name, n := range count() {
		require.LessOrEqual(t, n, before[name]+10, name) // a counter of a rare outcome may appear meanwhile
	}
}
