package consumer

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"holdfast/internal/events"
)

// The outcomes of a delivery.
const (
	processed = "processed"
	ignored   = "ignored" // it has no effect
	skipped   = "skipped" // it was processed before
	retried   = "retried"
	died      = "dead"
	returned  = "returned" // to the queue, because the consumer stops or cannot put the message aside
)

type metrics struct {
	consumed *prometheus.CounterVec
	duration *prometheus.HistogramVec
	delay    prometheus.Histogram
	dead     *prometheus.CounterVec
	skips    *prometheus.CounterVec
	known    []string
}

// newMetrics registers the metrics of the consumer of a service. Their names begin with the service's name.
func newMetrics(service string, known []string, reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		known: known,
		consumed: f.NewCounterVec(prometheus.CounterOpts{
			Name: service + "_events_consumed_total",
			Help: "Deliveries by outcome: processed, ignored (no effect), skipped (a duplicate), retried (later), dead, " +
				"returned (to the queue).",
		}, []string{"event_type", "status"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    service + "_events_processing_duration_seconds",
			Help:    "Time from a delivery to its acknowledgement.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"event_type"}),
		delay: f.NewHistogram(prometheus.HistogramOpts{
			Name:    service + "_events_consume_delay_seconds",
			Help:    "Age of an event when it is processed for the first time, by this process's clock.",
			Buckets: []float64{.01, .025, .05, .075, .1, .25, .5, 1, 5, 30, 120, 300, 600, 3600},
		}),
		dead: f.NewCounterVec(prometheus.CounterOpts{
			Name: service + "_events_dlq_total",
			Help: "Messages that the consumer has sent to its dead-letter queue, by cause: poison or exhausted.",
		}, []string{"event_type", "cause"}),
		skips: f.NewCounterVec(prometheus.CounterOpts{
			Name: service + "_events_idempotent_skips_total",
			Help: "Deliveries of events that were processed before.",
		}, []string{"event_type"}),
	}
}

func (m *metrics) settled(e events.Envelope, status string, took time.Duration) {
	label := typeLabel(e.EventType, m.known)
	m.consumed.WithLabelValues(label, status).Inc()
	m.duration.WithLabelValues(label).Observe(took.Seconds())
	switch status {
	case processed:
		m.delay.Observe(age(e).Seconds())
	case skipped:
		m.skips.WithLabelValues(label).Inc()
	}
}
