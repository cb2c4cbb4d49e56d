package audit

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are of the last complete audit. The age of the audit is time() - holdfast_audit_last_timestamp_seconds.
type Metrics struct {
	violations     *prometheus.GaugeVec
	last, duration prometheus.Gauge
}

// NewMetrics registers the metrics. They have no value before the first Set.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		violations: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "holdfast_audit_violations", Help: "Violations that the last complete audit found.",
		}, []string{"kind"}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "holdfast_audit_last_timestamp_seconds", Help: "When the last complete audit ended.",
		}),
		duration: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "holdfast_audit_duration_seconds", Help: "How long the last complete audit took.",
		}),
	}
	reg.MustRegister(m.violations, m.last, m.duration)
	return m
}

// Set replaces the values by the result of a complete audit.
func (m *Metrics) Set(r Result, at time.Time, took time.Duration) {
	found := map[Kind]int{}
	for _, v := range r.Violations {
		found[v.Kind]++
	}
	for _, kind := range Kinds() {
		m.violations.WithLabelValues(string(kind)).Set(float64(found[kind]))
	}
	m.last.Set(float64(at.Unix()))
	m.duration.Set(took.Seconds())
}

// WriteMetrics writes the result of a complete audit for the text file collector of Prometheus's node exporter. It
// replaces the file at once.
func WriteMetrics(file string, r Result, at time.Time, took time.Duration) error {
	reg := prometheus.NewRegistry()
	NewMetrics(reg).Set(r, at, took)
	if err := prometheus.WriteToTextfile(file, reg); err != nil {
		return fmt.Errorf("write the metrics: %w", err)
	}
	return nil
}
