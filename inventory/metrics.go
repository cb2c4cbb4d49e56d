package inventory

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"holdfast/inventory/inventoryapi"
)

type metrics struct {
	operations *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	granted    prometheus.Counter
	skipped    prometheus.Counter
	expiryLag  prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		operations: f.NewCounterVec(prometheus.CounterOpts{
			Name: "inventory_operations_total",
			Help: "Operations by kind and outcome: ok, replayed, or the code of the refusal.",
		}, []string{"kind", "outcome"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "inventory_operation_duration_seconds",
			Help:    "Time from the request to its commit, retries included.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 10},
		}, []string{"kind"}),
		granted: f.NewCounter(prometheus.CounterOpts{
			Name: "inventory_backorders_granted_total",
			Help: "Backorders that became reservations when stock arrived.",
		}),
		skipped: f.NewCounter(prometheus.CounterOpts{
			Name: "inventory_backorders_skipped_total",
			Help: "How often a waiting backorder was passed over because it could not be served whole.",
		}),
		expiryLag: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "inventory_expiry_lag_seconds",
			Help:    "Time from a reservation's deadline to the commit that gave its stock back, by the database's clock.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2, 5, 10, 30, 60, 300, 900, 3600},
		}),
	}
}

// answered records an operation with its answer; value is a pointer to it.
func (m *metrics) answered(kind string, value any, err error, took time.Duration) {
	m.duration.WithLabelValues(kind).Observe(took.Seconds())
	if err != nil {
		m.refused(kind, err)
		return
	}
	outcome := "ok"
	if v, ok := value.(interface{ WasReplayed() bool }); ok && v.WasReplayed() {
		outcome = "replayed"
	}
	m.operations.WithLabelValues(kind, outcome).Inc()
}

func (m *metrics) refused(kind string, err error) {
	code := string(inventoryapi.CodeOf(err))
	if code == "" {
		code = "internal_error"
	}
	m.operations.WithLabelValues(kind, code).Inc()
}
