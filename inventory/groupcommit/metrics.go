package groupcommit

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	retries *prometheus.CounterVec
	batch   prometheus.Histogram
	wait    prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, waiting func() int) *metrics {
	f := promauto.With(reg)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "inventory_queue_requests",
		Help: "Requests that wait for their batch.",
	}, func() float64 { return float64(waiting()) })
	return &metrics{
		retries: f.NewCounterVec(prometheus.CounterOpts{
			Name: "inventory_batch_retries_total",
			Help: "Batches decided again, after a lost race (conflict), a lock of another transaction (blocked) " +
				"or a lost connection (disconnected), to take back the stock of overdue reservations (overdue), " +
				"or to lock what the grant of backorders needs (backorders).",
		}, []string{"cause"}),
		batch: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "inventory_batch_requests",
			Help:    "Requests that were committed together.",
			Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500},
		}),
		wait: f.NewHistogram(prometheus.HistogramOpts{
			Name: "inventory_batch_wait_seconds",
			Help: "Time from the arrival of a call to the beginning of its batch. A call whose batch met a lock is counted " +
				"again when its next batch begins.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}),
	}
}
