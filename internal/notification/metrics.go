package notification

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	attempts *prometheus.CounterVec
	duration prometheus.Histogram
	waiting  prometheus.Gauge
	oldest   prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		attempts: f.NewCounterVec(prometheus.CounterOpts{
			Name: "notifications_attempts_total",
			Help: "Attempts to tell a customer by outcome: sent, refused (for good), deferred (tried again, or given up after " +
				"the last attempt), unavailable (the server is down; tried again), skipped (no address).",
		}, []string{"kind", "channel", "outcome"}),
		duration: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "notifications_attempt_duration_seconds",
			Help:    "Time from the composed message to the channel's answer.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}),
		waiting: f.NewGauge(prometheus.GaugeOpts{
			Name: "notifications_waiting",
			Help: "Notifications that wait to be sent; 10000 means 10000 or more.",
		}),
		oldest: f.NewGauge(prometheus.GaugeOpts{
			Name: "notifications_oldest_waiting_seconds",
			Help: "Age of the oldest notification that waits to be sent, by the database's clock; 0 if none waits.",
		}),
	}
}

// outcome names the outcome of an attempt for a metric.
func outcome(err error) string {
	switch {
	case err == nil:
		return "sent"
	case errors.Is(err, ErrRefused):
		return "refused"
	case errors.Is(err, ErrUnavailable):
		return "unavailable"
	default:
		return "deferred"
	}
}
