package inventory

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
)

type metrics struct {
	operations *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	retries    *prometheus.CounterVec
	batch      prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		operations: f.NewCounterVec(prometheus.CounterOpts{
			Name: "inventory_operations_total",
			Help: "Operations by kind and outcome: ok, replayed, or the code of the refusal.",
		}, []string{"kind", "outcome"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "inventory_operation_duration_seconds", Help: "Time from the request to its commit, retries included.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 10},
		}, []string{"kind"}),
		retries: f.NewCounterVec(prometheus.CounterOpts{
			Name: "inventory_batch_retries_total", Help: "Batches decided again, after a lost race (conflict) or without a usable connection.",
		}, []string{"cause"}),
		batch: f.NewHistogram(prometheus.HistogramOpts{
			Name: "inventory_batch_requests", Help: "Requests that were committed together.",
			Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500},
		}),
	}
}

func (m *metrics) done(kind string, a answer, took time.Duration) {
	m.duration.WithLabelValues(kind).Observe(took.Seconds())
	if a.err != nil {
		m.refused(kind, a.err)
		return
	}
	outcome := "ok"
	switch v := a.value.(type) {
	case inventoryapi.Reservation:
		if v.Replayed {
			outcome = "replayed"
		}
	case stock.Receipt:
		if v.Replayed {
			outcome = "replayed"
		}
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
