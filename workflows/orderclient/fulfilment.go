package orderclient

import (
	"context"
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

// PreviewCancel says what a cancellation would do to the order, and changes nothing. The order's workflow need not run,
// but a worker must.
func (c *Client) PreviewCancel(
	ctx context.Context, id uuid.UUID, in orderflow.CancelLinesInput,
) (orderflow.CancelPreview, error) {
	var out orderflow.CancelPreview
	ctx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	answer, err := c.temporal.QueryWorkflow(ctx, orderflow.OrderWorkflowID(id), "", orderflow.QueryPreviewCancel, in)
	if err == nil {
		err = answer.Get(&out)
	}
	if err != nil {
		return out, fmt.Errorf("ask order %s for a preview: %w", id, classify(err))
	}
	return out, nil
}

func keyed(id uuid.UUID, name, key string) updateID {
	return updateID{workflow: orderflow.OrderWorkflowID(id), name: name, update: name + "-" + key}
}
