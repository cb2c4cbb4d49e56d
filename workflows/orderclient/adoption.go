package orderclient

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"holdfast/internal/payloadcodec"
	"holdfast/workflows/orderflow"
)

// Stopped lists the ids of up to limit workflows of orders and reservations that were terminated, timed out or failed
// since the given time, the last first. Temporal's list is some seconds behind, and a workflow may have another run
// since.
func (c *Client) Stopped(ctx context.Context, since time.Time, limit int) ([]string, error) {
	query := fmt.Sprintf(
		"WorkflowType IN ('%s', '%s') AND ExecutionStatus IN ('Terminated', 'TimedOut', 'Failed') AND CloseTime >= '%s'",
		orderflow.OrderWorkflow, orderflow.ReservationWorkflow, since.UTC().Format(time.RFC3339Nano))
	page, err := c.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Query: query, PageSize: int32(limit), //nolint:gosec // a few hundred
	})
	if err != nil {
		return nil, fmt.Errorf("list the stopped workflows: %w", err)
	}
	var ids []string
	for _, execution := range page.GetExecutions() {
		ids = append(ids, execution.GetExecution().GetWorkflowId())
	}
	return ids, nil
}

// OrderWasStopped reports whether the last run of an order's workflow was terminated, timed out or failed.
func (c *Client) OrderWasStopped(ctx context.Context, id uuid.UUID) (bool, error) {
	status, err := c.status(ctx, orderflow.OrderWorkflowID(id))
	switch status {
	case enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED,
		enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT,
		enumspb.WORKFLOW_EXECUTION_STATUS_FAILED:
		return true, err
	default:
		return false, err
	}
}

// TakeUpOrder starts another run of the order's workflow and reports true, unless a run is under way. The new run gets
// the input of the last one. If Temporal has deleted that, or if it belongs to another request, the new run gets in.
func (c *Client) TakeUpOrder(ctx context.Context, in orderflow.OrderInput) (bool, error) {
	last, found, err := lastInput[orderflow.OrderInput](ctx, c, orderflow.OrderWorkflowID(in.OrderID))
	if err != nil {
		return false, err
	}
	if found && last.RequestHash == in.RequestHash && last.CustomerID == in.CustomerID && last.Issuer == in.Issuer {
		in = last
	}
	in.Revision = orderflow.CurrentRevision // a new run replays nothing
	return c.startUnlessRunning(ctx, startOptions(in, startAgain), orderflow.OrderWorkflow, in)
}

// TakeUpReservation starts another run of the workflow of a reservation without an order, with the input of the last
// run, and reports true, unless a run is under way. orderflow.ErrForgotten: Temporal has deleted the last run.
func (c *Client) TakeUpReservation(ctx context.Context, reservation uuid.UUID) (bool, error) {
	in, found, err := lastInput[orderflow.ReservationStart](ctx, c, orderflow.ReservationWorkflowID(reservation))
	switch {
	case err != nil:
		return false, err
	case !found || in.ReservationID != reservation:
		return false, orderflow.ErrForgotten
	}
	return c.startUnlessRunning(ctx, reservationOptions(in), orderflow.ReservationWorkflow, in)
}

// startUnlessRunning starts a workflow and reports true, unless a run of it is under way. True means that the new run
// has this input: it does not attach to a run that began at the same moment.
func (c *Client) startUnlessRunning(
	ctx context.Context, options client.StartWorkflowOptions, workflow string, in any,
) (bool, error) {
	running, err := c.isRunning(ctx, options.ID)
	if running || err != nil {
		return false, err
	}
	options.WorkflowIDConflictPolicy = enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL
	options.WorkflowExecutionErrorWhenAlreadyStarted = true
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	_, err = c.temporal.ExecuteWorkflow(ctx, options, workflow, in)
	switch {
	case errors.As(err, &started):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("start %s again: %w", options.ID, err)
	}
	return true, nil
}

// lastInput reads the input of a workflow's last run from its history. found is false if Temporal has no such workflow,
// or if the input is of another type.
func lastInput[In any](ctx context.Context, c *Client, workflow string) (in In, found bool, err error) {
	events := c.temporal.GetWorkflowHistory(ctx, workflow, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	first, err := events.Next()
	var gone *serviceerror.NotFound
	if errors.As(err, &gone) {
		return in, false, nil
	}
	if err != nil {
		return in, false, fmt.Errorf("read the input of workflow %s: %w", workflow, err)
	}
	input := first.GetWorkflowExecutionStartedEventAttributes().GetInput()
	err = c.data.FromPayloads(input, &in)
	var unreadable *payloadcodec.UnreadableError
	if errors.As(err, &unreadable) {
		return in, false, fmt.Errorf("read the input of workflow %s: %w", workflow, err)
	}
	return in, err == nil, nil
}
