package orderflow

import "fmt"

// AuditWorkflow is the type of the workflow that a Temporal Schedule runs to compare the books of the platform.
const AuditWorkflow = "Audit"

// AuditSchedule is the id of the schedule, and the beginning of the workflow ids of its runs.
const AuditSchedule = "holdfast-audit"

// AuditQueue is the task queue of the process that has both databases (holdfast audit --schedule).
const AuditQueue = "audit"

// RunAudit is the activity that audits.
const RunAudit = "RunAudit"

// AuditInput starts an audit.
type AuditInput struct{}

// AuditViolation is a rule that the books break.
type AuditViolation struct {
	Kind    string `json:"kind"`
	Subject string `json:"subject"` // the id of the item, the reservation or the order
	Detail  string `json:"detail"`
	Remedy  string `json:"remedy"`
}

// AuditResult is what an audit found.
type AuditResult struct {
	Items        int `json:"items"`
	Reservations int `json:"reservations"`
	Orders       int `json:"orders"`
	Payments     int `json:"provider_payments"`
	Passing      int `json:"passing"` // suspicions that were gone at the second look
	// Violations are the first MaxAuditViolations of Found.
	Violations []AuditViolation `json:"violations"`
	Found      int              `json:"found"`
}

// MaxAuditViolations bounds the result of the workflow. The log of the process has all.
const MaxAuditViolations = 50

// Summary says in one line what was found.
func (r AuditResult) Summary() string {
	return fmt.Sprintf("%d violations in %d items, %d reservations and %d orders",
		r.Found, r.Items, r.Reservations, r.Orders)
}
