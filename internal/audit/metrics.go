package audit

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// WriteMetrics writes the result of a complete audit for the text file collector of Prometheus's node exporter. It
// replaces the file at once. The age of the audit is time() - holdfast_audit_last_timestamp_seconds.
func WriteMetrics(file string, r Result, at time.Time, took time.Duration) error {
	reg := prometheus.NewRegistry()
	violations := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "holdfast_audit_violations", Help: "Violations that the last complete audit found.",
	}, []string{"kind"})
	last := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "holdfast_audit_last_timestamp_seconds", Help: "When the last complete audit ended.",
	})
	duration := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "holdfast_audit_duration_seconds", Help: "How long the last complete audit took.",
	})
	reg.MustRegister(violations, last, duration)
	for _, kind := range Kinds() {
		violations.WithLabelValues(string(kind)).Set(0)
	}
	for _, v := range r.Violations {
		violations.WithLabelValues(string(v.Kind)).Inc()
	}
	last.Set(float64(at.Unix()))
	duration.Set(took.Seconds())
	if err := prometheus.WriteToTextfile(file, reg); err != nil {
		return fmt.Errorf("write the metrics: %w", err)
	}
	return nil
}
