package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// span is one that a process has sent.
type span struct {
	service string
	*trace.Span
}

func (s span) String() string { return fmt.Sprintf("%-16s %-9s %s", s.service, kindOf(s), s.GetName()) }

func kindOf(s span) string {
	return strings.ToLower(strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_"))
}

// spanCollector takes spans by OTLP over HTTP and keeps them.
type spanCollector struct {
	*httptest.Server
	mu    sync.Mutex
	spans []span
}

func newCollector(t *testing.T) *spanCollector {
	t.Helper()
	c := &spanCollector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var in collector.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &in) != nil {
			http.Error(w, "this is no request of an exporter", http.StatusBadRequest)
			return
		}
		c.keep(&in)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *spanCollector) keep(in *collector.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, process := range in.GetResourceSpans() {
		service := ""
		for _, a := range process.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range process.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.spans = append(c.spans, span{service, s})
			}
		}
	}
}

// of returns the spans of a trace, by the time at which they began.
func (c *spanCollector) of(traceID string) []span {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []span
	for _, s := range c.spans {
		if fmt.Sprintf("%x", s.GetTraceId()) == traceID {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(x, y span) int { return int(x.GetStartTimeUnixNano()) - int(y.GetStartTimeUnixNano()) })
	return out
}
