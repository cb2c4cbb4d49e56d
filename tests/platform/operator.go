package platform

import (
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

// CurrentRun returns the id and the status of a workflow's latest run.
func (p *Platform) CurrentRun(c client.Client, workflowID string) (string, enumspb.WorkflowExecutionStatus) {
	p.T.Helper()
	described, err := c.DescribeWorkflowExecution(p.T.Context(), workflowID, "")
	require.NoError(p.T, err)
	info := described.GetWorkflowExecutionInfo()
	return info.GetExecution().GetRunId(), info.GetStatus()
}

// ResetPoints returns the events that a run can be reset to, first to last.
func (p *Platform) ResetPoints(c client.Client, workflowID, run string) []int64 {
	p.T.Helper()
	var out []int64
	for it := events(p.T.Context(), c, workflowID, run); it.HasNext(); {
		e, err := it.Next()
		require.NoError(p.T, err)
		if e.GetWorkflowTaskCompletedEventAttributes() != nil {
			out = append(out, e.GetEventId())
		}
	}
	return out
}

// Reset begins a new run at a point of an earlier run, as `temporal workflow reset` does. Unless reapply is set, it
// leaves out the updates that came after that point.
func (p *Platform) Reset(c client.Client, workflowID, run string, point int64, reapply bool) error {
	request := &workflowservice.ResetWorkflowExecutionRequest{
		Namespace:                 p.Namespace(),
		WorkflowExecution:         &commonpb.WorkflowExecution{WorkflowId: workflowID, RunId: run},
		Reason:                    "a test",
		RequestId:                 uuid.NewString(),
		WorkflowTaskFinishEventId: point,
	}
	if !reapply {
		request.ResetReapplyExcludeTypes = []enumspb.ResetReapplyExcludeType{enumspb.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE}
	}
	_, err := c.ResetWorkflowExecution(p.T.Context(), request)
	return err
}
