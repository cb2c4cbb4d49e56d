package cache

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	requests      *prometheus.CounterVec
	refused       prometheus.Counter
	invalidations *prometheus.CounterVec
	duration      *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer, c *Cache) *metrics {
	f := promauto.With(reg)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "inventory_cache_undelivered_invalidations",
		Help: "Changes that Redis has not been told of yet.",
	}, func() float64 { return float64(c.backlogSize()) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "inventory_cache_up",
		Help: "1 while the cache is in use, 0 from a failure of Redis until it has taken all invalidations that it missed.",
	}, func() float64 {
		if c.state.Load() == inUse {
			return 1
		}
		return 0
	})

	return &metrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "inventory_cache_requests_total",
			Help: "Products looked up by result: hit, miss, error (Redis failed just now) " +
				"or bypassed (Redis failed before and was not asked).",
		}, []string{"result"}),
		refused: f.NewCounter(prometheus.CounterOpts{
			Name: "inventory_cache_stale_refused_total",
			Help: "Values that were not stored because the stock had changed since they were read.",
		}),
		invalidations: f.NewCounterVec(prometheus.CounterOpts{
			Name: "inventory_cache_invalidations_total",
			Help: "Changed items by result: delivered at once, deferred while Redis was down, or redelivered afterwards.",
		}, []string{"result"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "inventory_cache_duration_seconds",
			Help:    "Time of one call of Redis, by operation: get, set, invalidate or ping.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25},
		}, []string{"operation"}),
	}
}
