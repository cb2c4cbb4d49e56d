package outbox

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"holdfast/internal/rabbitmq"
)

type metrics struct {
	published *prometheus.CounterVec
	errors    *prometheus.CounterVec
	duration  prometheus.Histogram
	delay     prometheus.Histogram
	waiting   prometheus.Gauge
	oldest    prometheus.Gauge
	deleted   prometheus.Counter
}

// newMetrics registers the metrics of the relay of a service's outbox. Their names begin with the service's name.
func newMetrics(service string, reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		published: f.NewCounterVec(prometheus.CounterOpts{
			Name: service + "_events_published_total",
			Help: "Attempts to publish an event by outcome: published, or failed; a failed event is published again.",
		}, []string{"event_type", "status"}),
		errors: f.NewCounterVec(prometheus.CounterOpts{
			Name: service + "_events_publish_errors_total",
			Help: "Failed attempts to publish an event: nacked (the broker refused it), unroutable (no queue is bound), " +
				"unconfirmed (outcome unknown), invalid (it cannot be encoded).",
		}, []string{"event_type", "error_type"}),
		duration: f.NewHistogram(prometheus.HistogramOpts{
			Name:    service + "_events_publish_duration_seconds",
			Help:    "Time from the first event of a batch to the broker's last answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		delay: f.NewHistogram(prometheus.HistogramOpts{
			Name:    service + "_events_publish_delay_seconds",
			Help:    "Age of a published event when the broker has confirmed it, by this process's clock.",
			Buckets: []float64{.01, .025, .05, .075, .1, .25, .5, 1, 5, 30, 120, 300, 600, 3600},
		}),
		waiting: f.NewGauge(prometheus.GaugeOpts{
			Name: service + "_outbox_unpublished_events",
			Help: "Events of the outbox that are not published yet.",
		}),
		oldest: f.NewGauge(prometheus.GaugeOpts{
			Name: service + "_outbox_oldest_unpublished_seconds",
			Help: "Age of the oldest event of the outbox that is not published yet, by the database's clock; 0 if none waits.",
		}),
		deleted: f.NewCounter(prometheus.CounterOpts{
			Name: service + "_outbox_deleted_events_total",
			Help: "Events that were deleted because they were published longer ago than the retention.",
		}),
	}
}

// settled counts the outcome of one event.
func (m *metrics) settled(e Event, err error) {
	switch {
	case err == nil:
		m.published.WithLabelValues(e.Type, "published").Inc()
		m.delay.Observe(max(0, time.Since(e.CreatedAt)).Seconds())
	case errors.Is(err, errBehind): // it was not tried
	default:
		m.published.WithLabelValues(e.Type, "failed").Inc()
		m.errors.WithLabelValues(e.Type, errorType(err)).Inc()
	}
}

func errorType(err error) string {
	switch {
	case errors.Is(err, rabbitmq.ErrNacked):
		return "nacked"
	case errors.Is(err, rabbitmq.ErrUnroutable):
		return "unroutable"
	case errors.Is(err, rabbitmq.ErrUnconfirmed):
		return "unconfirmed"
	default:
		return "invalid"
	}
}
