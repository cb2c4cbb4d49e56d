package orderclient

import (
	"context"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// Place starts the order's workflow, or attaches to the workflow that the same request started, and waits until the
// order is recorded for the first time, or ctx ends. The recorded row then decides what the customer is told.
// ErrEnded: the order's workflow has ended already, or an operator has stopped it.
func (c *Client) Place(ctx context.Context, in orderflow.OrderInput) (orderflow.PlaceResult, error) {
	return start[orderflow.PlaceResult](ctx, c, in, orderflow.UpdatePlace, orderflow.PlaceInput{})
}

// CancelNew starts the order's workflow together with its cancellation, which comes before a payment that the order has
// with it. If the workflow runs already, CancelNew is Cancel. It waits nine seconds at most for the outcome.
func (c *Client) CancelNew(
	ctx context.Context, in orderflow.OrderInput, cancel orderflow.CancelInput,
) (orderflow.CancelResult, error) {
	ctx, stop := context.WithTimeout(ctx, updateTimeout+acceptTimeout)
	defer stop()
	return start[orderflow.CancelResult](ctx, c, in, orderflow.UpdateCancel, cancel)
}

// start starts the order's workflow with an update that it gets once.
func start[Out any](ctx context.Context, c *Client, in orderflow.OrderInput, update string, arg any) (Out, error) {
	in.Revision = orderflow.CurrentRevision
	id := updateID{workflow: orderflow.OrderWorkflowID(in.OrderID), name: update, update: update}
	return startAndUpdate[Out](ctx, c, startOptions(in, rejectDuplicate), orderflow.OrderWorkflow, in, id, arg)
}

// What happens if the order's workflow has ended already.
const (
	rejectDuplicate = enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE // the start fails
	startAgain      = enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE  // another run starts
)

// startOptions are the options with which an order's workflow starts. A start attaches to a run that is under way.
func startOptions(in orderflow.OrderInput, ended enumspb.WorkflowIdReusePolicy) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID:                       orderflow.OrderWorkflowID(in.OrderID),
		TaskQueue:                orderflow.OrdersQueue,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowIDReusePolicy:    ended,
		StaticSummary:            in.Summary(),
		StaticDetails:            in.Details(),
		TypedSearchAttributes:    temporal.NewSearchAttributes(attributes(in)...),
	}
}

// attributes are the search attributes that are known at the start. Each later change rewrites the row in Temporal's
// visibility store, so what does not change is set here only.
func attributes(in orderflow.OrderInput) []temporal.SearchAttributeUpdate {
	out := []temporal.SearchAttributeUpdate{
		orderflow.AttrOrderStatus.ValueSet(string(order.Pending)),
		orderflow.AttrCustomerID.ValueSet(in.CustomerID),
		orderflow.AttrSKUs.ValueSet(orderflow.SKUs(in.Lines)),
		orderflow.AttrAmountMinor.ValueSet(in.Total.Minor),
		orderflow.AttrCurrency.ValueSet(in.Total.Currency),
	}
	if in.Number != "" {
		out = append(out, orderflow.AttrOrderNumber.ValueSet(in.Number))
	}
	if in.Review != nil {
		out = append(out, orderflow.AttrReviewReasons.ValueSet(in.Review.Reasons))
	}
	return out
}

// Pay pays an order, once per key, and waits eight seconds at most for the outcome.
func (c *Client) Pay(
	ctx context.Context,
	id uuid.UUID,
	key string,
	in orderflow.PayInput,
) (orderflow.PayResult, error) {
	target := updateID{workflow: orderflow.OrderWorkflowID(id), name: orderflow.UpdatePay, update: "pay-" + key}
	return update[orderflow.PayResult](ctx, c, target, in)
}

// Cancel calls an order off. It is idempotent by the order's state, so each call is an update of its own: an order that
// refused a cancellation may be able to take one later.
func (c *Client) Cancel(ctx context.Context, id uuid.UUID, in orderflow.CancelInput) (orderflow.CancelResult, error) {
	target := keyed(id, orderflow.UpdateCancel, uuid.NewString())
	return update[orderflow.CancelResult](ctx, c, target, in)
}

// StockGranted tells an order that waits for stock that inventory has reserved it, once per event of inventory.
func (c *Client) StockGranted(
	ctx context.Context, id, event uuid.UUID, in orderflow.StockGrantedInput,
) error {
	name := orderflow.UpdateStockGranted
	_, err := update[orderflow.StockGrantedResult](ctx, c, keyed(id, name, event.String()), in)
	return err
}

// Approve approves an order that waits for review.
func (c *Client) Approve(
	ctx context.Context, id uuid.UUID, key string, in orderflow.ApproveInput,
) (orderflow.ApproveResult, error) {
	return update[orderflow.ApproveResult](ctx, c, keyed(id, orderflow.UpdateApprove, key), in)
}

// Extend holds an order's stock for longer, once per key.
func (c *Client) Extend(
	ctx context.Context,
	id uuid.UUID,
	key string,
	in orderflow.ExtendInput,
) (orderflow.ExtendResult, error) {
	target := updateID{workflow: orderflow.OrderWorkflowID(id), name: orderflow.UpdateExtend, update: "extend-" + key}
	return update[orderflow.ExtendResult](ctx, c, target, in)
}

// Edit changes the lines of an order that is not paid, once per key, and waits eight seconds at most for the outcome.
func (c *Client) Edit(
	ctx context.Context, id uuid.UUID, key string, in orderflow.EditInput,
) (orderflow.EditResult, error) {
	return update[orderflow.EditResult](ctx, c, keyed(id, orderflow.UpdateEdit, key), in)
}

// PaymentChanged tells an order that the provider has news of a payment, once per event of the provider. Refusal: the
// order waits for no payment.
func (c *Client) PaymentChanged(
	ctx context.Context, id uuid.UUID, event string, in orderflow.PaymentChangedInput,
) error {
	name := orderflow.UpdatePaymentChanged
	_, err := update[orderflow.PaymentChangedResult](ctx, c, keyed(id, name, event), in)
	return err
}
