package orderclient

import (
	"context"
	"fmt"

	"go.temporal.io/api/workflowservice/v1"

	"holdfast/workflows/orderflow"
)

// listPage is how many workflows one request lists.
const listPage = 1000

// ListRunning calls each with the id of every workflow of an order or a reservation that Temporal lists as running. The
// list is some seconds behind; WorkflowIsRunning asks for one workflow and is exact.
func (c *Client) ListRunning(ctx context.Context, each func(workflowID string)) error {
	query := fmt.Sprintf("WorkflowType IN ('%s', '%s') AND ExecutionStatus = 'Running'",
		orderflow.OrderWorkflow, orderflow.ReservationWorkflow)
	var next []byte
	for {
		page, err := c.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
			Query: query, PageSize: listPage, NextPageToken: next,
		})
		if err != nil {
			return fmt.Errorf("list the running workflows: %w", err)
		}
		for _, execution := range page.GetExecutions() {
			each(execution.GetExecution().GetWorkflowId())
		}
		if next = page.GetNextPageToken(); len(next) == 0 {
			return nil
		}
	}
}

// WorkflowIsRunning reports whether a run of the workflow is under way.
func (c *Client) WorkflowIsRunning(ctx context.Context, workflowID string) (bool, error) {
	return c.isRunning(ctx, workflowID)
}
