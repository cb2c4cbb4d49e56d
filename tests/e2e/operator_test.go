package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"holdfast/tests/platform"
	"holdfast/workflows/orderflow"
)

// terminated is the mistake of an operator who terminates an order's workflow instead of cancelling it: the
// order is left as it was, says so, and a reset takes it up again, deadline included.
func terminated(t *testing.T, p *platform.Platform) {
	product := p.Product(5)
	id := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1, "ttl_seconds", 4)).Str("order_id")
	workflowID := orderflow.OrderWorkflowID(uuid.MustParse(id))
	p.WithTemporal(func(c client.Client) {
		require.NoError(t, c.TerminateWorkflow(t.Context(), workflowID, "", "a mistake"))
	})
	refused := p.Pay("alice", id, "pm_ok")
	require.Equal(t, http.StatusConflict, refused.Status, refused.Raw)
	require.Equal(t, "invalid_state", refused.Str("code"))
	p.WithTemporal(func(c client.Client) {
		described, err := c.DescribeWorkflowExecution(t.Context(), workflowID, "")
		require.NoError(t, err)
		run := described.GetWorkflowExecutionInfo().GetExecution().GetRunId()
		_, err = c.ResetWorkflowExecution(t.Context(), &workflowservice.ResetWorkflowExecutionRequest{
			Namespace:         p.Namespace(),
			WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: workflowID, RunId: run},
			Reason:            "terminated by mistake", RequestId: uuid.NewString(),
			WorkflowTaskFinishEventId: lastTask(t, c, workflowID, run),
		})
		require.NoError(t, err)
	})
	p.Await("alice", id, "expired", 20*time.Second)
	available, reserved, _ := p.Available(product)
	require.Equal(t, []int64{5, 0}, []int64{available, reserved})
	require.Equal(t, []string{"reserved", "stock_released", "expired"}, p.Events("alice", id))
}

// lastTask is where "temporal workflow reset --type LastWorkflowTask" would reset to.
func lastTask(t *testing.T, c client.Client, workflowID, run string) int64 {
	var last int64
	for it := c.GetWorkflowHistory(t.Context(), workflowID, run, false, 0); it.HasNext(); {
		e, err := it.Next()
		require.NoError(t, err)
		if e.GetWorkflowTaskCompletedEventAttributes() != nil {
			last = e.GetEventId()
		}
	}
	return last
}
