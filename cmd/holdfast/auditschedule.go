package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"holdfast/activities"
	"holdfast/internal/audit"
	"holdfast/internal/config"
	"holdfast/internal/httpx"
	"holdfast/internal/service"
	"holdfast/internal/telemetry"
	"holdfast/internal/temporalclient"
	"holdfast/workers"
	"holdfast/workflows/orderflow"
)

// minSchedule keeps audits from following one another without a pause.
const minSchedule = time.Minute

// auditProcess is the configuration of audit --schedule, beside that of audit.
type auditProcess struct {
	config.Common
	Listen string `env:"AUDIT_LISTEN" envDefault:":9094"`
}

// checkSchedule refuses what does not go with --schedule.
func (f auditFlags) checkSchedule() error {
	var faults []error
	if f.schedule < minSchedule {
		faults = append(faults, fmt.Errorf("--schedule is %s; it must be at least %s", f.schedule, minSchedule))
	}
	if f.json || f.metrics != "" {
		faults = append(faults, errors.New("--json and --metrics do not go with --schedule: "+
			"the result is in Temporal and in the log, and the metrics are served on AUDIT_LISTEN"))
	}
	if slices.Contains(f.skip, skipWorkflows) {
		faults = append(faults, fmt.Errorf("--skip %s does not go with --schedule", skipWorkflows))
	}
	return errors.Join(faults...)
}

// runSchedule makes Temporal run the audit at an interval, and carries the audits out until the process is told to
// stop.
func runSchedule(cmd *cobra.Command, f auditFlags) error {
	if err := f.checkSchedule(); err != nil {
		return incomplete(err)
	}
	cfg, err := config.Load[auditProcess]()
	if err != nil {
		return incomplete(err)
	}
	log, _, stop := newLog(cmd.Context(), "audit", cfg.LogLevel)
	defer stop()
	registry := telemetry.NewRegistry()
	closeAll, err := f.open(cmd.Context(), processEnvironment())
	if err != nil {
		return incomplete(err)
	}
	defer closeAll()
	if err := workers.ScheduleAudit(cmd.Context(), f.temporal, f.schedule); err != nil {
		return incomplete(err)
	}

	health := httpx.NewHealth(
		httpx.Check{Name: "temporal", Required: true, Probe: temporalclient.ProbeServer(f.temporal)},
	)
	server := httpx.Server{
		Addr:    cfg.Listen,
		Handler: httpx.NewRouter(httpx.Options{Log: log, Registry: registry, Health: health}),
		Health:  health,
		Log:     log,
	}
	auditor := &scheduledAudit{flags: f, metrics: audit.NewMetrics(registry), log: log}
	return service.Run(cmd.Context(),
		service.Part{Name: "metrics", Run: server.Serve},
		service.Part{Name: "audits", Run: func(ctx context.Context) error {
			return workers.RunAudits(ctx, f.temporal, auditor)
		}},
	)
}

// scheduledAudit audits for the workflow.
type scheduledAudit struct {
	flags   auditFlags
	metrics *audit.Metrics
	log     *slog.Logger
}

// Audit compares everything once, logs each violation with its remedy, and keeps the metrics.
func (s *scheduledAudit) Audit(
	ctx context.Context, progress func(step string, done int),
) (out orderflow.AuditResult, err error) {
	start := time.Now()
	options := s.flags.options
	options.Progress = progress
	if options.Payments != nil {
		options.PaymentsSince = start.Add(-s.flags.paymentsSince)
	}
	result, err := audit.Run(ctx, options)
	if err != nil {
		s.log.ErrorContext(ctx, "an audit is not complete", "error", err)
		return out, fmt.Errorf("the audit is not complete: %w", err)
	}

	took := time.Since(start)
	s.metrics.Set(result, time.Now(), took)
	out = orderflow.AuditResult{
		Items:        result.Items,
		Reservations: result.Reservations,
		Orders:       result.Orders,
		Payments:     result.Payments,
		Passing:      result.Passing,
		Violations:   []orderflow.AuditViolation{},
		Found:        len(result.Violations),
	}
	for i, v := range result.Violations {
		s.log.ErrorContext(ctx, "the audit found a violation",
			"kind", v.Kind, "subject", v.Subject, "detail", v.Detail, "remedy", v.Remedy())
		if i < orderflow.MaxAuditViolations {
			out.Violations = append(out.Violations, orderflow.AuditViolation{
				Kind: string(v.Kind), Subject: v.Subject, Detail: v.Detail, Remedy: v.Remedy(),
			})
		}
	}
	s.log.InfoContext(ctx, "an audit is complete",
		"result", out.Summary(), "duration", took.Round(time.Millisecond).String())
	return out, nil
}

var _ activities.Auditor = (*scheduledAudit)(nil)
