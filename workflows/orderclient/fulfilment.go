package orderclient

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"holdfast/workflows/orderflow"
)

// ReportShipment tells a paid order what happened to one of its shipments, once per key. name is orderflow.UpdatePack
// or one of the updates beside it.
func (c *Client) ReportShipment(
	ctx context.Context, id uuid.UUID, name, key string, in orderflow.ShipmentInput,
) (orderflow.FulfilmentResult, error) {
	return update[orderflow.FulfilmentResult](ctx, c, updateID{
		workflow: orderflow.OrderWorkflowID(id),
		name:     name,
		update:   fmt.Sprintf("%s-%d-%s", name, in.Shipment, key),
	}, in)
}

// CancelLines cancels units of a paid order, once per key.
func (c *Client) CancelLines(
	ctx context.Context, id uuid.UUID, key string, in orderflow.CancelLinesInput,
) (orderflow.FulfilmentResult, error) {
	return update[orderflow.FulfilmentResult](ctx, c, keyed(id, orderflow.UpdateCancelLines, key), in)
}

// Hold stops the fulfilment of a paid order.
func (c *Client) Hold(
	ctx context.Context, id uuid.UUID, key string, in orderflow.HoldInput,
) (orderflow.FulfilmentResult, error) {
	return update[orderflow.FulfilmentResult](ctx, c, keyed(id, orderflow.UpdateHold, key), in)
}

// Unhold lets the fulfilment of a paid order go on.
func (c *Client) Unhold(
	ctx context.Context, id uuid.UUID, key string, in orderflow.UnholdInput,
) (orderflow.FulfilmentResult, error) {
	return update[orderflow.FulfilmentResult](ctx, c, keyed(id, orderflow.UpdateUnhold, key), in)
}

// Return asks for a step of a return, once per key. in is the order's input as its row has it: if the order's workflow
// has ended, it starts again with the request, and goes on from the row. Return waits nine seconds at most for the
// outcome.
func (c *Client) Return(
	ctx context.Context, in orderflow.OrderInput, name, key string, arg orderflow.ReturnInput,
) (orderflow.FulfilmentResult, error) {
	ctx, stop := context.WithTimeout(ctx, updateTimeout+acceptTimeout)
	defer stop()
	in.Revision, in.Continues = orderflow.CurrentRevision, true
	id := updateID{
		workflow: orderflow.OrderWorkflowID(in.OrderID),
		name:     name,
		update:   fmt.Sprintf("%s-%d-%s", name, arg.Return, key),
	}
	for attempt := 1; ; attempt++ {
		out, err := startAndUpdate[orderflow.FulfilmentResult](
			ctx, c, startOptions(in, startAgain), orderflow.OrderWorkflow, in, id, arg)
		if !errors.Is(err, ErrEnded) || attempt == maxReturnStarts {
			return out, err
		}
	}
}

// maxReturnStarts is how often a request for a return is sent: the workflow may end at the moment at which the request
// reaches it.
const maxReturnStarts = 3

// PreviewReturn says what a step of a return would do, and changes nothing. The order's workflow need not run, but a
// worker must. ErrEnded: Temporal has deleted the workflow, or its last run does not know returns; GoOn starts it
// again.
func (c *Client) PreviewReturn(
	ctx context.Context, id uuid.UUID, in orderflow.PreviewReturnInput,
) (orderflow.ReturnPreview, error) {
	return query[orderflow.ReturnPreview](ctx, c, id, orderflow.QueryPreviewReturn, in)
}

// GoOn starts the workflow of a paid order again, to go on from the order's row, unless it is running.
func (c *Client) GoOn(ctx context.Context, in orderflow.OrderInput) error {
	in.Revision, in.Continues = orderflow.CurrentRevision, true
	_, err := c.startUnlessRunning(ctx, startOptions(in, startAgain), orderflow.OrderWorkflow, in)
	return err
}

// PreviewCancel says what a cancellation would do to the order, and changes nothing. The order's workflow need not run,
// but a worker must.
func (c *Client) PreviewCancel(
	ctx context.Context, id uuid.UUID, in orderflow.CancelLinesInput,
) (orderflow.CancelPreview, error) {
	return query[orderflow.CancelPreview](ctx, c, id, orderflow.QueryPreviewCancel, in)
}

// query asks the workflow of an order.
func query[Out any](ctx context.Context, c *Client, id uuid.UUID, name string, in any) (out Out, err error) {
	ctx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	answer, err := c.temporal.QueryWorkflow(ctx, orderflow.OrderWorkflowID(id), "", name, in)
	if err == nil {
		err = answer.Get(&out)
	}
	if err != nil {
		return out, fmt.Errorf("ask order %s for %s: %w", id, name, classify(err))
	}
	return out, nil
}

func keyed(id uuid.UUID, name, key string) updateID {
	return updateID{workflow: orderflow.OrderWorkflowID(id), name: name, update: name + "-" + key}
}
