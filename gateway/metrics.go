package gateway

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// upstreamMetrics are the metrics of the services behind the gateway. Each has the service's name as a label.
type upstreamMetrics struct {
	factory   promauto.Factory
	requests  *prometheus.CounterVec
	retries   *prometheus.CounterVec
	ejections *prometheus.CounterVec
}

func newUpstreamMetrics(reg prometheus.Registerer) *upstreamMetrics {
	f := promauto.With(reg)
	return &upstreamMetrics{
		factory: f,
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "gateway_upstream_requests_total",
			Help: "Requests to a service by outcome: ok, failed_answer, no_answer, timeout, client_left, refused.",
		}, []string{"upstream", "outcome"}),
		retries: f.NewCounterVec(prometheus.CounterOpts{
			Name: "gateway_upstream_retries_total",
			Help: "Requests that were sent to another instance, because one failed.",
		}, []string{"upstream"}),
		ejections: f.NewCounterVec(prometheus.CounterOpts{
			Name: "gateway_upstream_ejections_total",
			Help: "Instances that were ejected after failures in a row.",
		}, []string{"upstream"}),
	}
}

// watch exports the state of a service when the metrics are read.
func (m *upstreamMetrics) watch(u *upstream) {
	labels := prometheus.Labels{"upstream": u.name}
	m.factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "gateway_upstream_instances_available",
		Help:        "Instances in the rotation.",
		ConstLabels: labels,
	}, func() float64 { return float64(u.available()) })
	m.factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "gateway_breaker_state",
		Help:        "The service's circuit breaker: 0 closed, 1 open, 2 half-open.",
		ConstLabels: labels,
	}, u.breaker.State)
	m.retries.WithLabelValues(u.name)
	m.ejections.WithLabelValues(u.name)
}
