package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"holdfast/internal/correlation"
	"holdfast/workflows/orderflow"
)

// TestActivityCarriesRequest: an activity gets the correlation id of the request that started the workflow, and the one
// of a later request for what that request causes.
func TestActivityCarriesRequest(t *testing.T) {
	t.Parallel()
	var suite testsuite.WorkflowTestSuite
	suite.SetContextPropagators([]workflow.ContextPropagator{orderflow.NewPropagator()})
	id, err := converter.GetDefaultDataConverter().ToPayload("req-place")
	require.NoError(t, err)
	suite.SetHeader(&commonpb.Header{Fields: map[string]*commonpb.Payload{"holdfast-correlation-id": id}})
	env := suite.NewTestWorkflowEnvironment()

	var got, numbers []string
	env.RegisterActivityWithOptions(func(ctx context.Context) error {
		got = append(got, correlation.From(ctx))
		numbers = append(numbers, correlation.OrderNumber(ctx))
		return nil
	}, activity.RegisterOptions{Name: "note"})
	env.ExecuteWorkflow(func(ctx workflow.Context) error {
		ctx = orderflow.NameOrder(ctx, "1042")
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Second})
		ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: time.Second})
		if err := workflow.ExecuteActivity(ctx, "note").Get(ctx, nil); err != nil {
			return err
		}
		return workflow.ExecuteLocalActivity(orderflow.Correlate(ctx, "req-pay"), "note").Get(ctx, nil)
	})
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, []string{"req-place", "req-pay"}, got)
	require.Equal(t, []string{"1042", "1042"}, numbers)
}
