package story

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"holdfast/internal/problem"
)

// maxTraces bounds the traces that Spans asks for.
const maxTraces = 50

// Spans returns the spans of traces from Jaeger's query API at base. It skips a trace that Jaeger does not have.
func Spans(ctx context.Context, client *http.Client, base string, traces []string) ([]Entry, error) {
	var out []Entry
	for _, id := range traces[:min(len(traces), maxTraces)] {
		address := strings.TrimSuffix(base, "/") + "/api/traces/" + url.PathEscape(id)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
		if err != nil {
			return out, fmt.Errorf("read trace %s: %w", id, err)
		}
		found, err := readSpans(client, req)
		if err != nil {
			return out, fmt.Errorf("read trace %s: %w", id, err)
		}
		out = append(out, found...)
	}
	return out, nil
}

// traceAnswer is what Jaeger answers; times are in microseconds.
type traceAnswer struct {
	Data []struct {
		Spans []struct {
			OperationName string `json:"operationName"`
			StartTime     int64  `json:"startTime"`
			Duration      int64  `json:"duration"`
			ProcessID     string `json:"processID"`
		} `json:"spans"`
		Processes map[string]struct {
			ServiceName string `json:"serviceName"`
		} `json:"processes"`
	} `json:"data"`
}

func readSpans(client *http.Client, req *http.Request) ([]Entry, error) {
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // only read
	switch {
	case res.StatusCode == http.StatusNotFound:
		return nil, nil
	case res.StatusCode >= 300:
		return nil, problem.Read(res)
	}
	var answer traceAnswer
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return nil, err
	}

	var out []Entry
	for _, trace := range answer.Data {
		for _, s := range trace.Spans {
			took := float64(s.Duration) / 1000
			out = append(out, Entry{
				At:     time.UnixMicro(s.StartTime).UTC(),
				Source: "span",
				What:   s.OperationName,
				Detail: fmt.Sprintf("service=%s duration_ms=%.1f", trace.Processes[s.ProcessID].ServiceName, took),
			})
		}
	}
	return out, nil
}
