package orderclient

import (
	"context"
	"fmt"

	"go.temporal.io/api/workflowservice/v1"

	"holdfast/workflows/orderflow"
)

// CountNeedingOperator counts the open workflows that need an operator. The namespace is the client's.
func (c *Client) CountNeedingOperator(ctx context.Context) (int64, error) {
	answer, err := c.temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Query: orderflow.AttrNeedsOperator.GetName() + " = true AND ExecutionStatus = 'Running'",
	})
	if err != nil {
		return 0, fmt.Errorf("count the workflows that need an operator: %w", err)
	}
	return answer.GetCount(), nil
}
