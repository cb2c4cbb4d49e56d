package workers

import (
	"fmt"
	"io"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// Replay replays a recorded history, as `temporal workflow show --output json` prints it, with the workflows that are
// registered with replayer. The workflow runs under the ids that it was recorded under, because a workflow refuses to
// run under any other. The error names the first event at which the workflow differs from the history.
func Replay(replayer worker.WorkflowReplayer, history io.Reader) error {
	h, err := client.HistoryFromJSON(history, client.HistoryJSONOptions{})
	if err != nil {
		return fmt.Errorf("read the history: %w", err)
	}
	if len(h.GetEvents()) == 0 {
		return fmt.Errorf("read the history: it has no events")
	}
	started := h.GetEvents()[0].GetWorkflowExecutionStartedEventAttributes()
	return replayer.ReplayWorkflowHistoryWithOptions(nil, h, worker.ReplayWorkflowHistoryOptions{
		OriginalExecution: workflow.Execution{ID: started.GetWorkflowId(), RunID: started.GetOriginalExecutionRunId()},
	})
}
