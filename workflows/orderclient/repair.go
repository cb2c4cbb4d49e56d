package orderclient

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/temporal"

	"holdfast/workflows/orderflow"
)

// ErrOldVersion says that the version of the worker that carries the order out does not know the request.
var ErrOldVersion = errors.New("the worker version of the order does not know this request")

// RetryNow attempts the steps of a workflow at once that wait for their next attempt, and returns their names. The
// step's count of attempts begins again. ErrEnded: no workflow runs.
func (c *Client) RetryNow(ctx context.Context, namespace, workflowID string) ([]string, error) {
	described, err := c.temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil {
		return nil, fmt.Errorf("look at workflow %s: %w", workflowID, classify(err))
	}
	info := described.GetWorkflowExecutionInfo()
	if info.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return nil, fmt.Errorf("workflow %s: %w", workflowID, ErrEnded)
	}

	var names []string
	for _, step := range described.GetPendingActivities() {
		if step.GetState() != enumspb.PENDING_ACTIVITY_STATE_SCHEDULED || step.GetAttempt() < 2 {
			continue // it is being attempted, or for the first time
		}
		_, err := c.temporal.WorkflowService().ResetActivity(ctx, &workflowservice.ResetActivityRequest{
			Namespace: namespace,
			Execution: &commonpb.WorkflowExecution{WorkflowId: workflowID, RunId: info.GetExecution().GetRunId()},
			Activity:  &workflowservice.ResetActivityRequest_Id{Id: step.GetActivityId()},
		})
		var gone *serviceerror.NotFound
		if errors.As(err, &gone) {
			continue // it has ended meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("attempt %s of workflow %s now: %w", step.GetActivityType().GetName(), workflowID, err)
		}
		names = append(names, step.GetActivityType().GetName())
	}
	slices.Sort(names)
	return names, nil
}

// SkipStep tells an order that an operator did a step by hand, once per key.
func (c *Client) SkipStep(ctx context.Context, id uuid.UUID, key string, in orderflow.SkipStepInput) error {
	_, err := update[orderflow.SkipStepResult](ctx, c, keyed(id, orderflow.UpdateSkipStep, key), in)
	return unknownUpdate(err)
}

// NoteRepair puts a repair into the order's timeline, once per key.
func (c *Client) NoteRepair(ctx context.Context, id uuid.UUID, key string, in orderflow.NoteRepairInput) error {
	_, err := update[orderflow.NoteRepairResult](ctx, c, keyed(id, orderflow.UpdateNoteRepair, key), in)
	return unknownUpdate(err)
}

// unknownUpdate turns the SDK's answer to an update without a handler into ErrOldVersion.
func unknownUpdate(err error) error {
	var failed *temporal.ApplicationError
	if errors.As(err, &failed) && strings.HasPrefix(failed.Message(), "unknown update") {
		return fmt.Errorf("%w: %w", ErrOldVersion, err)
	}
	return err
}

// TakeUpSettled starts another run of the workflow of an order whose outcome is settled, with what the order's row has,
// and reports true, unless a run is under way.
func (c *Client) TakeUpSettled(ctx context.Context, in orderflow.OrderInput) (bool, error) {
	in.Revision = orderflow.CurrentRevision
	return c.startUnlessRunning(ctx, startOptions(in, startAgain), orderflow.OrderWorkflow, in)
}

// StartReservation starts the workflow of a reservation without an order from what inventory knows of it.
func (c *Client) StartReservation(ctx context.Context, in orderflow.ReservationStart) error {
	in.Revision = orderflow.CurrentRevision
	_, err := c.startUnlessRunning(ctx, reservationOptions(in), orderflow.ReservationWorkflow, in)
	return err
}
