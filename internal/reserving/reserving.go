// Package reserving starts the workflow of a reservation from outside. The api does it for customers and the seeder
// for example data, both in this one way, so that no reservation is ever without the workflow that owns its timer.
package reserving

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"holdfast/workflows/orderflow"
)

// Place starts the reservation's workflow, or attaches to the one that runs, and waits until inventory
// has decided or ctx ends. An update id that was answered before is answered the same, also by a run that has ended, so
// that repeating a request costs nothing. An update id that is new starts another run where none is running: after a
// refusal that is another try, and after a termination it takes up the reservation that inventory still holds. The
// customer must have been registered (orderstore.RegisterReservation) before.
func Place(ctx context.Context, c client.Client, in orderflow.ReservationStart, customer, updateID string) (orderflow.ReservationView, error) {
	id := orderflow.ReservationWorkflowID(in.ReservationID)
	start := c.NewWithStartWorkflowOperation(client.StartWorkflowOptions{
		ID: id, TaskQueue: orderflow.OrdersQueue,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		StaticSummary:            fmt.Sprintf("reservation from outside, %d line(s)", len(in.Lines)),
		TypedSearchAttributes:    temporal.NewSearchAttributes(orderflow.AttrCustomerID.ValueSet(customer)),
	}, orderflow.ReservationWorkflow, in)
	var out orderflow.ReservationView
	handle, err := c.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: start,
		UpdateOptions: client.UpdateWorkflowOptions{
			WorkflowID: id, UpdateID: updateID, UpdateName: orderflow.UpdatePlace,
			Args: []any{orderflow.PlaceInput{}}, WaitForStage: client.WorkflowUpdateStageCompleted,
		},
	})
	if err == nil {
		err = handle.Get(ctx, &out)
	}
	return out, err
}

// Runs reports whether a workflow runs for the reservation. It is false also for one that was deleted.
func Runs(ctx context.Context, c client.Client, reservationID uuid.UUID) (bool, error) {
	id := orderflow.ReservationWorkflowID(reservationID)
	described, err := c.DescribeWorkflowExecution(ctx, id, "")
	var gone *serviceerror.NotFound
	if errors.As(err, &gone) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at workflow %s: %w", id, err)
	}
	return described.GetWorkflowExecutionInfo().GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, nil
}
