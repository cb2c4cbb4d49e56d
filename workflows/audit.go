package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"holdfast/workflows/orderflow"
)

const (
	// auditTimeout bounds one attempt of an audit.
	auditTimeout = 6 * time.Hour
	// auditHeartbeat is longer than one statement of an audit may take.
	auditHeartbeat = 6 * time.Minute
	// auditAttempts is how many times an audit is tried that could not compare everything. The next run of the schedule
	// tries again.
	auditAttempts = 3
)

// Audit compares the books of the platform, and shows in Temporal's list what it found: a run that found violations has
// the search attribute NeedsOperator. A run that could not compare everything fails. A Temporal Schedule starts Audit.
func Audit(ctx workflow.Context, _ orderflow.AuditInput) (orderflow.AuditResult, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: auditTimeout,
		HeartbeatTimeout:    auditHeartbeat,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: time.Minute,
			MaximumAttempts: auditAttempts,
		},
		Summary: "compare the ledger, the counters, the reservations, the orders, their payments and the workflows",
	})
	var out orderflow.AuditResult
	if err := workflow.ExecuteActivity(ctx, orderflow.RunAudit).Get(ctx, &out); err != nil {
		return out, err
	}
	workflow.SetCurrentDetails(ctx, describeAudit(out))
	if err := workflow.UpsertMemo(ctx, map[string]any{"audit": out.Summary()}); err != nil {
		return out, err
	}
	if out.Found > 0 {
		markNeedsOperator(ctx, true)
	}
	return out, nil
}

// describeAudit is what an operator reads on the workflow's page.
func describeAudit(r orderflow.AuditResult) string {
	text := fmt.Sprintf("**%s**\n\n", orderflow.Text(r.Summary()))
	for _, v := range r.Violations {
		text += fmt.Sprintf("- %s %s: %s\n  Remedy: %s\n",
			orderflow.Code(v.Kind), orderflow.Code(v.Subject), orderflow.Text(v.Detail), orderflow.Text(v.Remedy))
	}
	if more := r.Found - len(r.Violations); more > 0 {
		text += fmt.Sprintf("\nand %d more, which the log of the audit has\n", more)
	}
	return text
}
