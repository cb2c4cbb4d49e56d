package orderclient

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

// Reserve starts the workflow of a reservation without an order, or attaches to a workflow that runs already, and waits
// until inventory has decided, or ctx ends. A repeated request gets the answer of the first one, also if the run has
// ended, so a repeat costs nothing. The caller must have registered in.Actor's request before
// (orderstore.RegisterReservation).
func (c *Client) Reserve(ctx context.Context, in orderflow.ReservationStart) (orderflow.ReservationView, error) {
	return c.reserve(ctx, in, orderflow.UpdatePlace)
}

// ReserveAgain is Reserve, but starts another run if none is running. After a refusal the new run tries again; after a
// termination it takes up the reservation that inventory still holds.
func (c *Client) ReserveAgain(ctx context.Context, in orderflow.ReservationStart) (orderflow.ReservationView, error) {
	return c.reserve(ctx, in, uuid.NewString())
}

func (c *Client) reserve(
	ctx context.Context,
	in orderflow.ReservationStart,
	update string,
) (orderflow.ReservationView, error) {
	in.Revision = orderflow.CurrentRevision
	workflow := orderflow.ReservationWorkflowID(in.ReservationID)
	id := updateID{workflow: workflow, name: orderflow.UpdatePlace, update: update}
	return startAndUpdate[orderflow.ReservationView](
		ctx, c, reservationOptions(in), orderflow.ReservationWorkflow, in, id, orderflow.PlaceInput{})
}

// reservationOptions are the options with which the workflow of a reservation without an order starts.
func reservationOptions(in orderflow.ReservationStart) client.StartWorkflowOptions {
	names := make([]string, len(in.Lines))
	for i, l := range in.Lines {
		names[i] = l.SKU
	}
	return client.StartWorkflowOptions{
		ID:                       orderflow.ReservationWorkflowID(in.ReservationID),
		TaskQueue:                orderflow.OrdersQueue,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowIDReusePolicy:    startAgain,
		StaticSummary:            in.Summary(),
		StaticDetails:            in.Details(),
		TypedSearchAttributes: temporal.NewSearchAttributes(
			orderflow.AttrCustomerID.ValueSet(in.Actor),
			orderflow.AttrSKUs.ValueSet(orderflow.FirstSKUs(names)),
		),
	}
}

// IsRunning reports whether a workflow runs for the reservation. It is false also if the workflow was deleted.
func (c *Client) IsRunning(ctx context.Context, reservation uuid.UUID) (bool, error) {
	return c.isRunning(ctx, orderflow.ReservationWorkflowID(reservation))
}

func (c *Client) isRunning(ctx context.Context, workflow string) (bool, error) {
	status, err := c.status(ctx, workflow)
	return status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, err
}

// status returns the status of a workflow's last run; unspecified if Temporal has no such workflow.
func (c *Client) status(ctx context.Context, workflow string) (enumspb.WorkflowExecutionStatus, error) {
	described, err := c.temporal.DescribeWorkflowExecution(ctx, workflow, "")
	var gone *serviceerror.NotFound
	if errors.As(err, &gone) {
		return enumspb.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED, nil
	}
	if err != nil {
		return enumspb.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED, fmt.Errorf("look at workflow %s: %w", workflow, err)
	}
	return described.GetWorkflowExecutionInfo().GetStatus(), nil
}

// Confirm takes the stock of a reservation without an order out for good.
func (c *Client) Confirm(ctx context.Context, reservation uuid.UUID, in orderflow.ResolveInput) error {
	return c.resolve(ctx, reservation, orderflow.UpdateConfirm, in)
}

// Release gives the stock of a reservation without an order back.
func (c *Client) Release(ctx context.Context, reservation uuid.UUID, in orderflow.ResolveInput) error {
	return c.resolve(ctx, reservation, orderflow.UpdateRelease, in)
}

func (c *Client) resolve(ctx context.Context, reservation uuid.UUID, name string, in orderflow.ResolveInput) error {
	target := updateID{workflow: orderflow.ReservationWorkflowID(reservation), name: name, update: name}
	_, err := update[orderflow.ReservationView](ctx, c, target, in)
	return err
}

// ExtendReservation holds the stock of a reservation without an order for longer, once per key.
func (c *Client) ExtendReservation(
	ctx context.Context,
	reservation uuid.UUID,
	key string,
	in orderflow.ExtendInput,
) error {
	workflow, name := orderflow.ReservationWorkflowID(reservation), orderflow.UpdateExtend
	target := updateID{workflow: workflow, name: name, update: "extend-" + key}
	_, err := update[orderflow.ReservationView](ctx, c, target, in)
	return err
}
