package temporalclient_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"holdfast/internal/temporalclient"
)

// TestMetrics: the SDK's counters, gauges and timers have names as Prometheus wants them, no labels of the exporter,
// and buckets that tell a millisecond from a minute.
func TestMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	handler, err := temporalclient.NewMetrics(reg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)

	tagged := handler.WithTags(map[string]string{"operation": "PollWorkflowTaskQueue"})
	tagged.Counter("temporal_request").Inc(2)
	tagged.Gauge("temporal_num_pollers").Update(5)
	tagged.Timer("temporal_request_latency").Record(30 * time.Millisecond)

	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# TYPE temporal_request_total counter
temporal_request_total{operation="PollWorkflowTaskQueue"} 2
# TYPE temporal_num_pollers gauge
temporal_num_pollers{operation="PollWorkflowTaskQueue"} 5
`), "temporal_request_total", "temporal_num_pollers"))
	found, err := reg.Gather()
	require.NoError(t, err)
	var bounds []float64
	for _, f := range found {
		if f.GetName() == "temporal_request_latency_seconds" {
			for _, b := range f.GetMetric()[0].GetHistogram().GetBucket() {
				bounds = append(bounds, b.GetUpperBound())
			}
		}
	}
	require.Subset(t, bounds, []float64{.001, .1, .5, 1, 5, 60})
}
