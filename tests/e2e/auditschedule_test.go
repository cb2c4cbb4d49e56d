package e2e

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"holdfast/internal/audit"
	"holdfast/tests/platform"
	"holdfast/workflows/orderflow"
)

// TestAuditSchedule: the process makes the schedule, carries its audits out, and shows in Temporal's list, in the log
// and in the metrics what they found.
func TestAuditSchedule(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	product := p.Product(7)
	start := func() *platform.Process { return p.Start("audit", "--schedule", "24h", "--settle", "1s") }
	process := start()

	// run has the schedule audit at once, and returns what the audit found.
	run := func(number int) (out orderflow.AuditResult) {
		p.WithTemporal(func(c client.Client) {
			handle := c.ScheduleClient().GetHandle(t.Context(), orderflow.AuditSchedule)
			described, err := handle.Describe(t.Context())
			require.NoError(t, err)
			require.Equal(t, enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, described.Schedule.Policy.Overlap)
			require.Equal(t, 24*time.Hour, described.Schedule.Spec.Intervals[0].Every)
			require.NoError(t, handle.Trigger(t.Context(), client.ScheduleTriggerOptions{}))
			var id string
			require.Eventually(t, func() bool {
				described, err := handle.Describe(t.Context())
				require.NoError(t, err)
				actions := described.Info.RecentActions
				if len(actions) < number {
					return false
				}
				id = actions[len(actions)-1].StartWorkflowResult.WorkflowID
				return true
			}, 20*time.Second, 50*time.Millisecond)
			require.NoError(t, c.GetWorkflow(t.Context(), id, "").Get(t.Context(), &out))
		})
		return out
	}
	flagged := func() (n int) {
		p.WithTemporal(func(c client.Client) {
			page, err := c.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{
				Query: "WorkflowType = 'Audit' AND NeedsOperator = true",
			})
			require.NoError(t, err)
			n = len(page.GetExecutions())
		})
		return n
	}

	clean := run(1)
	require.Zero(t, clean.Found, clean.Violations)
	require.Positive(t, clean.Items)

	_, err := p.Stock.Exec(t.Context(), "UPDATE items SET quantity = quantity + 5 WHERE product_id = $1", product)
	require.NoError(t, err)
	found := run(2)
	require.Equal(t, 1, found.Found)
	require.Equal(t, string(audit.LedgerMismatch), found.Violations[0].Kind)
	require.NotEmpty(t, found.Violations[0].Remedy)
	require.Eventually(t, func() bool { return flagged() == 1 }, 20*time.Second, 100*time.Millisecond,
		"the list shows the run that found something, and only that")
	require.Contains(t, process.Log(), "the audit found a violation")

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+process.Address()+"/metrics", nil)
	require.NoError(t, err)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close() //nolint:errcheck // only read
	metrics, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Contains(t, string(metrics), `holdfast_audit_violations{kind="ledger_mismatch"} 1`)

	process.Stop()
	_, err = p.Stock.Exec(t.Context(), "UPDATE items SET quantity = quantity - 5 WHERE product_id = $1", product)
	require.NoError(t, err)
	start() // the schedule is there already
	require.Zero(t, run(3).Found)
}
