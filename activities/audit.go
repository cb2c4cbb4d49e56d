package activities

import (
	"context"

	"go.temporal.io/sdk/activity"

	"holdfast/workflows/orderflow"
)

// Auditor compares the books of the platform. An error means that the audit is not complete.
type Auditor interface {
	Audit(ctx context.Context, progress func(step string, done int)) (orderflow.AuditResult, error)
}

// AuditActivities audit.
type AuditActivities struct{ auditor Auditor }

// NewAudit returns the activities.
func NewAudit(auditor Auditor) *AuditActivities { return &AuditActivities{auditor} }

// RunAudit audits, and tells Temporal how far it has come. It changes nothing, so it may run again.
func (a *AuditActivities) RunAudit(ctx context.Context) (orderflow.AuditResult, error) {
	return a.auditor.Audit(ctx, func(step string, done int) { activity.RecordHeartbeat(ctx, step, done) })
}
