package replay

import (
	"context"
	"errors"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"
	"golang.org/x/sync/errgroup"
)

// Result is the outcome for one workflow.
type Result struct {
	Execution workflow.Execution
	Events    int
	// Err is nil if the history replays, a *Divergence if it does not, and any other error if it was not read.
	Err error
}

// Diverges reports whether the code does something else than the history says.
func (r Result) Diverges() bool {
	var d *Divergence
	return errors.As(r.Err, &d)
}

// IsGone reports whether Temporal has no such workflow, or has it no more.
func (r Result) IsGone() bool {
	var gone *serviceerror.NotFound
	return errors.As(r.Err, &gone)
}

// Fetch reads the history of a run from the server. An empty run id stands for the latest run.
func Fetch(ctx context.Context, c client.Client, execution workflow.Execution) (*historypb.History, error) {
	h := &historypb.History{}
	events := c.GetWorkflowHistory(ctx, execution.ID, execution.RunID, false,
		enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		if err != nil {
			return nil, fmt.Errorf("read the history of %s: %w", execution.ID, err)
		}
		h.Events = append(h.Events, e)
	}
	return h, nil
}

// pageSize is how many workflows one request to the server lists.
const pageSize = 500

// List returns up to limit workflows that the query matches, the last started first; limit 0 returns all. Temporal's
// list is some seconds behind.
func List(ctx context.Context, c client.Client, query string, limit int) ([]workflow.Execution, error) {
	var out []workflow.Execution
	request := &workflowservice.ListWorkflowExecutionsRequest{Query: query, PageSize: pageSize}
	for {
		page, err := c.ListWorkflow(ctx, request)
		if err != nil {
			return nil, fmt.Errorf("list the workflows of %q: %w", query, err)
		}
		for _, e := range page.GetExecutions() {
			out = append(out, workflow.Execution{
				ID:    e.GetExecution().GetWorkflowId(),
				RunID: e.GetExecution().GetRunId(),
			})
			if limit > 0 && len(out) == limit {
				return out, nil
			}
		}
		request.NextPageToken = page.GetNextPageToken()
		if len(request.NextPageToken) == 0 {
			return out, nil
		}
	}
}

// parallel is how many histories are read and replayed at once.
const parallel = 8

// ReplayAll fetches and replays each workflow. It calls each with the result of every workflow, one call at a time, in
// no order. Its error is that of ctx.
func (r *Replayer) ReplayAll(
	ctx context.Context, c client.Client, executions []workflow.Execution, each func(Result),
) error {
	results := make(chan Result)
	var group errgroup.Group
	group.SetLimit(parallel)
	go func() {
		defer close(results)
		for _, execution := range executions {
			if ctx.Err() != nil {
				break
			}
			group.Go(func() error {
				results <- r.replayOne(ctx, c, execution)
				return nil
			})
		}
		_ = group.Wait() // no function returns an error
	}()

	for result := range results {
		if ctx.Err() == nil {
			each(result)
		}
	}
	return ctx.Err()
}

func (r *Replayer) replayOne(ctx context.Context, c client.Client, execution workflow.Execution) Result {
	out := Result{Execution: execution}
	h, err := Fetch(ctx, c, execution)
	if err != nil {
		out.Err = err
		return out
	}
	out.Events = len(h.GetEvents())
	if len(h.GetEvents()) > 0 && execution.RunID == "" {
		started := h.GetEvents()[0].GetWorkflowExecutionStartedEventAttributes()
		out.Execution.RunID = started.GetOriginalExecutionRunId()
	}
	out.Err = r.Replay(h)
	return out
}
