// Package orderclient is the one client of our workflows: it starts them, sends them updates and returns the outcome
// in our own terms. The api and the seeder use it; no other package starts or updates a workflow.
//
// Every call is idempotent under the update id that it names. After an error that leaves the outcome open, the caller
// can repeat the call: it takes effect once.
package orderclient

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"holdfast/workflows/orderflow"
)

const (
	// updateBudget is how long a call waits for the outcome of an update before it returns ErrUnderWay.
	updateBudget = 8 * time.Second
	// acceptBudget bounds the question whether the update is durable, once updateBudget is over.
	acceptBudget = time.Second
)

// Outcomes of a call that has no result. After any other error the outcome is open.
var (
	// ErrUnderWay says that the update is accepted, and so durable, and has no outcome yet.
	ErrUnderWay = errors.New("the update is under way")
	// ErrEnded says that no workflow will answer: it ended before it gave the update an outcome, or there is none.
	ErrEnded = errors.New("the workflow has ended")
)

// RefusedError is a workflow's own answer that it refuses the request.
type RefusedError struct {
	Kind   string // an order.Refusal or one of orderflow's error types
	Detail string // in words for people
}

func (e *RefusedError) Error() string { return e.Kind + ": " + e.Detail }

// RefusedAs returns the kind of the refusal in err's chain, or "" where there is none.
func RefusedAs(err error) string {
	var refused *RefusedError
	if errors.As(err, &refused) {
		return refused.Kind
	}
	return ""
}

// Open reports whether err leaves the outcome of a call open.
func Open(err error) bool {
	return err != nil && !errors.Is(err, ErrUnderWay) && !errors.Is(err, ErrEnded) && RefusedAs(err) == ""
}

// Client starts and updates workflows.
type Client struct{ temporal client.Client }

// New returns a client on a connection to Temporal, which the caller closes.
func New(temporal client.Client) *Client { return &Client{temporal} }

// startAndPlace starts a workflow, or attaches to a workflow that runs under this id, and waits for the outcome of its
// place update until ctx ends.
func startAndPlace[Out any](
	ctx context.Context,
	c *Client,
	start client.StartWorkflowOptions,
	workflow string,
	in any,
	updateID string,
) (Out, error) {
	var out Out
	handle, err := c.temporal.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: c.temporal.NewWithStartWorkflowOperation(start, workflow, in),
		UpdateOptions: client.UpdateWorkflowOptions{
			WorkflowID:   start.ID,
			UpdateID:     updateID,
			UpdateName:   orderflow.UpdatePlace,
			Args:         []any{orderflow.PlaceInput{}},
			WaitForStage: client.WorkflowUpdateStageCompleted,
		},
	})
	if err == nil {
		err = handle.Get(ctx, &out)
	}
	if err != nil {
		return out, fmt.Errorf("place %s: %w", start.ID, outcome(err))
	}
	return out, nil
}

// update sends an update to a workflow and waits for its outcome.
func update[Out any](ctx context.Context, c *Client, workflowID, name, updateID string, in any) (Out, error) {
	wait, cancel := context.WithTimeout(ctx, updateBudget)
	defer cancel()
	var out Out
	options := client.UpdateWorkflowOptions{
		WorkflowID:   workflowID,
		UpdateID:     updateID,
		UpdateName:   name,
		Args:         []any{in},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	}
	handle, err := c.temporal.UpdateWorkflow(wait, options)
	if err == nil {
		err = handle.Get(wait, &out)
	}
	if err == nil || !timedOut(err) {
		return out, outcome(err)
	}

	// Only an accepted update is in the history.
	ask, cancelAsk := context.WithTimeout(ctx, acceptBudget)
	defer cancelAsk()
	options.WaitForStage = client.WorkflowUpdateStageAccepted
	if _, aerr := c.temporal.UpdateWorkflow(ask, options); aerr == nil {
		return out, ErrUnderWay
	}
	return out, err
}

func timedOut(err error) bool {
	var timeout *client.WorkflowUpdateServiceTimeoutOrCanceledError
	var deadline *serviceerror.DeadlineExceeded
	return errors.As(err, &timeout) || errors.As(err, &deadline) || errors.Is(err, context.DeadlineExceeded)
}

// acceptedThenClosed is the type of the failure that the Temporal server gives to an update which a workflow had
// accepted before it was closed from outside, by a termination for example.
const acceptedThenClosed = "AcceptedUpdateCompletedWorkflow"

// outcome sorts the error of a call into refusals, ErrEnded, and other errors, which leave the outcome open. Only
// refusals carry words that a client may read.
func outcome(err error) error {
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
