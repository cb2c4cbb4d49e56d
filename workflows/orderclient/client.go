// Package orderclient is the only client of our workflows: it starts workflows, sends updates to them, and turns
// Temporal's errors into its own. The api and the seeder use it; no other package starts or updates a workflow.
//
// Every call is idempotent by its update id. If the outcome of a call is unknown (OutcomeUnknown), the caller can
// repeat the call, and it takes effect once.
package orderclient

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"holdfast/workflows/orderflow"
)

const (
	// updateTimeout limits how long update waits for the outcome of an update.
	updateTimeout = 8 * time.Second
	// acceptTimeout limits how long update then waits to learn whether the workflow has accepted the update.
	acceptTimeout = time.Second
)

// Errors of a call besides RefusedError. After any other error the outcome is unknown.
var (
	// ErrUnderWay says that the workflow has accepted the update and has not finished it. The update is not lost.
	ErrUnderWay = errors.New("the update is under way")
	// ErrEnded says that the update will get no answer: the workflow ended before it finished the update, or there is no
	// such workflow.
	ErrEnded = errors.New("the workflow has ended")
)

// RefusedError says that the workflow refused the request.
type RefusedError struct {
	Kind   string // an order.Refusal or one of orderflow's error types
	Detail string // a sentence that the client may read
}

func (e *RefusedError) Error() string { return e.Kind + ": " + e.Detail }

// RefusalKind returns the kind of the RefusedError in err's chain, or "".
func RefusalKind(err error) string {
	var refused *RefusedError
	if errors.As(err, &refused) {
		return refused.Kind
	}
	return ""
}

// OutcomeUnknown reports whether err says nothing about whether the call took effect.
func OutcomeUnknown(err error) bool {
	return err != nil && !errors.Is(err, ErrUnderWay) && !errors.Is(err, ErrEnded) && RefusalKind(err) == ""
}

// Client starts and updates workflows.
type Client struct {
	temporal client.Client
	data     converter.DataConverter // of what a history holds
}

// New returns a client on a connection to Temporal, which the caller closes. data is the converter of that connection.
func New(temporal client.Client, data converter.DataConverter) *Client {
	return &Client{temporal, data}
}

// startAndUpdate starts a workflow, or attaches to the workflow that runs under start.ID, and sends it an update. It
// waits for the update's outcome until ctx ends.
func startAndUpdate[Out any](
	ctx context.Context,
	c *Client,
	start client.StartWorkflowOptions,
	workflow string,
	in any,
	id updateID,
	arg any,
) (Out, error) {
	var out Out
	handle, err := c.temporal.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: c.temporal.NewWithStartWorkflowOperation(start, workflow, in),
		UpdateOptions: client.UpdateWorkflowOptions{
			WorkflowID:   id.workflow,
			UpdateID:     id.update,
			UpdateName:   id.name,
			Args:         []any{arg},
			WaitForStage: client.WorkflowUpdateStageCompleted,
		},
	})
	if err == nil {
		err = handle.Get(ctx, &out)
	}
	if err != nil {
		return out, fmt.Errorf("start %s with %s: %w", start.ID, id.name, classify(err))
	}
	return out, nil
}

// update sends an update to a workflow and waits for its outcome. in is the update's argument.
func update[Out any](ctx context.Context, c *Client, id updateID, in any) (Out, error) {
	updateCtx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	var out Out
	options := client.UpdateWorkflowOptions{
		WorkflowID:   id.workflow,
		UpdateName:   id.name,
		UpdateID:     id.update,
		Args:         []any{in},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	}
	handle, err := c.temporal.UpdateWorkflow(updateCtx, options)
	if err == nil {
		err = handle.Get(updateCtx, &out)
	}
	if err == nil || !timedOut(err) {
		return out, classify(err)
	}

	// The workflow may have accepted the update without finishing it. Sending the update again under the same id changes
	// nothing, and returns at once if the update is accepted. An accepted update is in the history and cannot be lost.
	acceptCtx, cancelAccept := context.WithTimeout(ctx, acceptTimeout)
	defer cancelAccept()
	options.WaitForStage = client.WorkflowUpdateStageAccepted
	if _, acceptErr := c.temporal.UpdateWorkflow(acceptCtx, options); acceptErr == nil {
		return out, ErrUnderWay
	}
	return out, err
}

// updateID names one update of one workflow.
type updateID struct {
	workflow string // the workflow id
	name     string // the update's name, as in orderflow.UpdatePay
	update   string // the id by which Temporal recognises a repeated update
}

func timedOut(err error) bool {
	var timeout *client.WorkflowUpdateServiceTimeoutOrCanceledError
	var deadline *serviceerror.DeadlineExceeded
	return errors.As(err, &timeout) || errors.As(err, &deadline) || errors.Is(err, context.DeadlineExceeded)
}

// acceptedThenClosed is the type of the failure that the Temporal server gives to an update which a workflow had
// accepted before it was closed from outside, by a termination for example.
const acceptedThenClosed = "AcceptedUpdateCompletedWorkflow"

// classify turns an error of a call into a RefusedError or ErrEnded, or returns it unchanged: the outcome is then
// unknown. Only a RefusedError has text that a client may read.
func classify(err error) error {
	var failed *temporal.ApplicationError
	var gone *serviceerror.NotFound
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	switch {
	case errors.As(err, &gone), errors.As(err, &started):
		return fmt.Errorf("%w: %w", ErrEnded, err)
	case !errors.As(err, &failed):
		return err
	case failed.Type() == acceptedThenClosed:
		return fmt.Errorf("%w: %w", ErrEnded, err)
	case orderflow.RefusesUpdate(failed.Type()):
		return &RefusedError{Kind: failed.Type(), Detail: failed.Message()}
	}
	return err
}
