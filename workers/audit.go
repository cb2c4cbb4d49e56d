package workers

import (
	"context"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"holdfast/activities"
	"holdfast/workflows"
	"holdfast/workflows/orderflow"
)

// auditRunTimeout bounds a run of the audit with its retries.
const auditRunTimeout = 24 * time.Hour

// ScheduleAudit makes Temporal run the audit (workflows.Audit) at an interval. An existing schedule gets the settings
// of this call, and stays paused if an operator has paused it. A run that is due while another is under way is left
// out. The call is idempotent, also from several processes at once.
func ScheduleAudit(ctx context.Context, c client.Client, every time.Duration) error {
	action := &client.ScheduleWorkflowAction{
		ID:                       orderflow.AuditSchedule,
		Workflow:                 orderflow.AuditWorkflow,
		TaskQueue:                orderflow.AuditQueue,
		Args:                     []any{orderflow.AuditInput{}},
		WorkflowExecutionTimeout: auditRunTimeout,
		StaticSummary:            "compare stock, orders, payments and workflows",
	}
	return ensureSchedule(ctx, c, client.ScheduleOptions{
		ID:            orderflow.AuditSchedule,
		Spec:          client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: every}}},
		Action:        action,
		Overlap:       enumspb.SCHEDULE_OVERLAP_POLICY_SKIP,
		CatchupWindow: time.Minute,
		Note:          "the guide for operators says what to do about violations",
	})
}

func registerAudit(r worker.WorkflowRegistry) {
	r.RegisterWorkflowWithOptions(workflows.Audit, workflow.RegisterOptions{Name: orderflow.AuditWorkflow})
}

// RunAudits carries out audits until ctx ends, one at a time. The queue is its own, and its worker has no version: an
// audit is short, and nothing of it is open while a new version is rolled out.
func RunAudits(ctx context.Context, c client.Client, auditor activities.Auditor) error {
	fatal := make(chan error, 1)
	w := worker.New(c, orderflow.AuditQueue, worker.Options{
		MaxConcurrentActivityExecutionSize: 1,
		WorkerStopTimeout:                  stopTimeout,
		OnFatalError:                       func(err error) { fatal <- err },
	})
	registerAudit(w)
	w.RegisterActivityWithOptions(activities.NewAudit(auditor).RunAudit,
		activity.RegisterOptions{Name: orderflow.RunAudit})
	if err := w.Start(); err != nil {
		return fmt.Errorf("poll the %s queue: %w", orderflow.AuditQueue, err)
	}
	defer w.Stop()
	select {
	case <-ctx.Done():
		return nil
	case err := <-fatal:
		return fmt.Errorf("polling stopped: %w", err)
	}
}
