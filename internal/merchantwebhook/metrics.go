package merchantwebhook

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// The outcomes of an attempt.
const (
	delivered = "delivered"
	retried   = "retried" // it failed and comes again
	failed    = "failed"  // it failed and was the last
	gone      = "gone"    // the receiver answered 410
	lost      = "lost"    // the outcome could not be written; the delivery comes again
)

type metrics struct {
	attempts      *prometheus.CounterVec
	duration      prometheus.Histogram
	underWay      prometheus.Gauge
	pending       prometheus.Gauge
	overdue       prometheus.Gauge
	subscriptions *prometheus.GaugeVec
	disabled      *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		attempts: f.NewCounterVec(prometheus.CounterOpts{
			Name: "webhooks_attempts_total",
			Help: "Attempts to send a webhook by outcome: delivered, retried (it comes again), failed (it was the last), " +
				"gone (410), lost (the outcome could not be written, so it comes again).",
		}, []string{"outcome"}),
		duration: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "webhooks_attempt_duration_seconds",
			Help:    "Time of one attempt, the receiver's answer included.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15, 30},
		}),
		underWay: f.NewGauge(prometheus.GaugeOpts{
			Name: "webhooks_attempts_under_way",
			Help: "Attempts that wait for a receiver's answer.",
		}),
		pending: f.NewGauge(prometheus.GaugeOpts{
			Name: "webhooks_pending",
			Help: "Deliveries of enabled subscriptions that are not made yet. Many wait for a later attempt.",
		}),
		overdue: f.NewGauge(prometheus.GaugeOpts{
			Name: "webhooks_overdue_seconds",
			Help: "How long the delivery that is due longest has been due.",
		}),
		subscriptions: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "webhooks_subscriptions",
			Help: "Subscriptions by state: enabled or disabled.",
		}, []string{"state"}),
		disabled: f.NewCounterVec(prometheus.CounterOpts{
			Name: "webhooks_subscriptions_disabled_total",
			Help: "Subscriptions that the sender switched off, by cause: gone (410) or failing (for too long).",
		}, []string{"cause"}),
	}
}
