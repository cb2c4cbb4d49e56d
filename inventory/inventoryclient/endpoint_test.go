package inventoryclient

import (
	"regexp"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/stretchr/testify/require"

	"holdfast/inventory"
)

// TestEndpoints: two calls of one operation have one endpoint in the metrics, and each path of the contract has its
// own.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(inventory.OpenAPI)
	require.NoError(t, err)
	parameter := regexp.MustCompile(`\{\w+\}`)
	paths := map[string]string{}
	for path := range doc.Paths.Map() {
		call := func() string {
			return parameter.ReplaceAllStringFunc(path, func(name string) string {
				if name == "{location}" || name == "{code}" {
					return "store-" + uuid.NewString()[:4]
				}
				return uuid.NewString()
			})
		}
		first := endpoint(call())
		require.Equal(t, first, endpoint(call()))
		require.Empty(t, paths[first], "%s and %s", path, paths[first])
		paths[first] = path
	}
}

// TestBuckets: dashboards and alerts rely on these limits.
func TestBuckets(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	newMeasured(nil, promauto.With(reg)).took.WithLabelValues("GET", "/").Observe(1)
	families, err := reg.Gather()
	require.NoError(t, err)
	bounds := map[float64]bool{}
	for _, b := range families[0].GetMetric()[0].GetHistogram().GetBucket() {
		bounds[b.GetUpperBound()] = true
	}
	for _, want := range []float64{.1, .5, 1, 2, 5} {
		require.True(t, bounds[want], want)
	}
}
