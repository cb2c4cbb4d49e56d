package provider

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"holdfast/internal/breaker"
	"holdfast/internal/payment"
)

type metrics struct {
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

const callsHelp = "Calls of the payment provider by outcome: ok, declined, action_required, refused, unknown_key, " +
	"voided, captured, key_used, not_asked (the breaker is open), timeout, error (the outcome is unknown)."

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		calls: f.NewCounterVec(prometheus.CounterOpts{
			Name: "payment_calls_total",
			Help: callsHelp,
		}, []string{"operation", "outcome"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "payment_call_duration_seconds",
			Help:    "Time from a call of the payment provider to its answer or failure.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2, 5, 10},
		}, []string{"operation"}),
	}
}

func (m *metrics) answered(operation string, err error, took time.Duration) {
	m.calls.WithLabelValues(operation, outcome(err)).Inc()
	m.duration.WithLabelValues(operation).Observe(took.Seconds())
}

// outcome names the outcome of a call for a metric.
func outcome(err error) string {
	var (
		declined *payment.DeclinedError
		action   *payment.ActionRequiredError
		refused  *payment.RefusedError
		open     *breaker.OpenError
	)
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &declined):
		return "declined"
	case errors.As(err, &action):
		return "action_required"
	case errors.As(err, &refused):
		return "refused"
	case errors.Is(err, payment.ErrUnknown):
		return "unknown_key"
	case errors.Is(err, payment.ErrVoided):
		return "voided"
	case errors.Is(err, payment.ErrCaptured):
		return "captured"
	case errors.Is(err, payment.ErrKeyUsed):
		return "key_used"
	case errors.As(err, &open):
		return "not_asked"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	default:
		return "error"
	}
}
