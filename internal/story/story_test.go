package story_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/api/orderapi"
	"holdfast/internal/story"
)

var theOrder = orderapi.Order{OrderID: uuid.MustParse("0b6fbd1c-8f0a-4c2e-9a51-3f2f7a1c9d10"), Number: "HF-104233"}

// TestLogsAboutAnOrder: a line that names the order leads to its request, and the request to the lines of other
// processes. A line of the same request about another order, a line at debug level and a line that is no JSON are left
// out.
func TestLogsAboutAnOrder(t *testing.T) {
	t.Parallel()
	var logs story.Logs
	require.NoError(t, logs.Read(strings.NewReader(strings.Join([]string{
		`{"time":"2026-11-28T01:00:02Z","level":"INFO","service":"worker","msg":"step","order_number":"HF-104233",` +
			`"correlation_id":"req-1","trace_id":"t1","activity":"ReserveStock"}`,
		`{"time":"2026-11-28T01:00:01Z","level":"INFO","service":"inventory","msg":"request","correlation_id":"req-1"}`,
		`{"time":"2026-11-28T01:00:03Z","level":"WARN","service":"api","msg":"request","path":"/api/orders/` +
			theOrder.OrderID.String() + `/pay","trace_id":"t2","correlation_id":"req-2"}`,
		`{"time":"2026-11-28T01:00:03Z","level":"INFO","service":"events","msg":"event published","aggregate_id":"` +
			theOrder.OrderID.String() + `"}`,
		`{"time":"2026-11-28T01:00:04Z","level":"INFO","service":"worker","msg":"step","order_id":"other",` +
			`"correlation_id":"req-1"}`,
		`{"time":"2026-11-28T01:00:05Z","level":"DEBUG","service":"worker","msg":"statement","correlation_id":"req-1"}`,
		`{"time":"2026-11-28T01:00:06Z","level":"INFO","service":"worker","msg":"step","correlation_id":"req-3"}`,
		`panic: not JSON`,
	}, "\n"))))

	entries, traces := logs.About(theOrder)
	story.Sort(entries)

	var got []string
	for _, e := range entries {
		got = append(got, e.Source+" "+e.What)
	}
	require.Equal(t, []string{"inventory request", "worker step", "api WARN request", "event event published"}, got)
	require.Equal(t, "activity=ReserveStock correlation_id=req-1", entries[1].Detail)
	require.Equal(t, []string{"t1", "t2"}, traces)
}

// TestSpansFromJaeger reads Jaeger's answer, and skips a trace that it does not have.
func TestSpansFromJaeger(t *testing.T) {
	t.Parallel()
	jaeger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/traces/t1" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(`{"data":[{"traceID":"t1","processes":{"p1":{"serviceName":"worker"}},"spans":[
			{"operationName":"RunActivity:ReserveStock","startTime":1795827600000000,"duration":2500,"processID":"p1"}]}]}`))
	}))
	t.Cleanup(jaeger.Close)

	spans, err := story.Spans(t.Context(), jaeger.Client(), jaeger.URL, []string{"t0", "t1"})
	require.NoError(t, err)
	require.Equal(t, []story.Entry{{
		At:     time.UnixMicro(1795827600000000).UTC(),
		Source: "span",
		What:   "RunActivity:ReserveStock",
		Detail: "service=worker duration_ms=2.5",
	}}, spans)
}

// TestPrintFitsATerminal: details are cut to the width of a terminal, and are whole elsewhere.
func TestPrintFitsATerminal(t *testing.T) {
	t.Parallel()
	entries := []story.Entry{
		{Source: "payment-sandbox", What: "request", Detail: strings.Repeat("é", 300)},
		{Source: "api", What: "request", Detail: "short"},
	}
	var whole, cut strings.Builder
	require.NoError(t, story.Print(&whole, entries, 0))
	require.Contains(t, whole.String(), strings.Repeat("é", 300)+"\n")
	require.NoError(t, story.Print(&cut, entries, 100))
	require.Contains(t, cut.String(), "short\n")
	longest := 0
	for line := range strings.Lines(cut.String()) {
		longest = max(longest, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")))
	}
	require.Equal(t, 100, longest)
	require.Contains(t, cut.String(), "é…\n")
}

// TestPrintIsHarmless: what a client has written cannot act on the terminal.
func TestPrintIsHarmless(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	entries := []story.Entry{{Source: "api", What: "request", Detail: "path=/\x1b[2J\u202e"}}
	require.NoError(t, story.Print(&out, entries, 0))
	require.NotContains(t, out.String(), "\x1b")
	require.NotContains(t, out.String(), "\u202e")
}
