// Package replay runs recorded histories through the workflows of this build and says where they differ.
package replay

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sort"
	"strings"
	"unicode/utf8"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"holdfast/internal/payloadcodec"
)

// Replayer replays histories. Several goroutines may use it at once.
type Replayer struct {
	options  worker.WorkflowReplayerOptions
	register func(worker.WorkflowRegistry)
}

// New returns a replayer with the workflows that register registers. The options are those of the worker that recorded
// the histories: its data converter and its interceptors.
func New(options worker.WorkflowReplayerOptions, register func(worker.WorkflowRegistry)) *Replayer {
	// The SDK gives up on a workflow that does not yield within a second, and calls that a failed replay. On a busy
	// machine, or at a debugger's breakpoint, correct code takes longer.
	options.DisableDeadlockDetection = true
	return &Replayer{options: options, register: register}
}

// Divergence is the first event at which the workflow's code does something else than its history says.
type Divergence struct {
	// EventID and EventType name the event of the history.
	EventID   int64
	EventType string
	// Reason is what the SDK says, cut to a readable length.
	Reason string
	// Steps are what the code does in the workflow task that diverges, in order, each with its lines.
	Steps []Step
}

func (d *Divergence) Error() string {
	return fmt.Sprintf("diverges at event %d (%s): %s", d.EventID, d.EventType, d.Reason)
}

// minEvents is the length of the shortest history that the SDK replays: started, task scheduled, task started.
const minEvents = 3

// Replay runs the workflow of a history under the ids that it was recorded under, because a workflow refuses to run
// under any other. Its error is a *Divergence if the code does something else than the history says. A history in which
// no worker has run the workflow yet replays: there is nothing that can differ.
func (r *Replayer) Replay(h *historypb.History) error {
	events := h.GetEvents()
	if len(events) == 0 {
		return fmt.Errorf("the history has no events")
	}
	if events[0].GetWorkflowExecutionStartedEventAttributes() == nil {
		return fmt.Errorf("the history begins with event %d, %s; a whole history is needed",
			events[0].GetEventId(), events[0].GetEventType())
	}
	if len(events) < minEvents {
		return nil
	}
	_, err := r.run(events)
	if err == nil {
		return nil
	}
	if _, why, found := strings.Cut(err.Error(), payloadcodec.Unreadable); found {
		return errors.New(payloadcodec.Unreadable + why)
	}
	return r.locate(events, err)
}

// Read reads a history as `temporal workflow show --output json` and the Web UI's download write it.
func Read(from io.Reader) (*historypb.History, error) {
	h, err := client.HistoryFromJSON(from, client.HistoryJSONOptions{})
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	if len(h.GetEvents()) == 0 {
		return nil, fmt.Errorf("read the history: it has no events")
	}
	return h, nil
}

// run replays the events and returns what the code did.
func (r *Replayer) run(events []*historypb.HistoryEvent) ([]Step, error) {
	recorded := &recorder{}
	options := r.options
	// The recorder is the innermost interceptor, so it sees what reaches the SDK.
	options.Interceptors = append(options.Interceptors[:len(options.Interceptors):len(options.Interceptors)], recorded)
	replayer, err := worker.NewWorkflowReplayerWithOptions(options)
	if err != nil {
		return nil, fmt.Errorf("make the replayer: %w", err)
	}
	r.register(replayer)

	started := events[0].GetWorkflowExecutionStartedEventAttributes()
	// The SDK keeps what it read in the history, so each replay has its own list of events.
	h := &historypb.History{Events: append([]*historypb.HistoryEvent(nil), events...)}
	err = replayer.ReplayWorkflowHistoryWithOptions(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), h,
		worker.ReplayWorkflowHistoryOptions{OriginalExecution: workflow.Execution{
			ID:    started.GetWorkflowId(),
			RunID: started.GetOriginalExecutionRunId(),
		}})
	return recorded.all(), err
}

// locate finds the event at which the replay of events fails with whole. The SDK's error does not name the event, so
// locate replays beginnings of the history: first it bisects the workflow tasks, then it adds event by event.
func (r *Replayer) locate(events []*historypb.HistoryEvent, whole error) *Divergence {
	// A beginning that ends before a worker starts a task is complete: all commands of the tasks before are in it.
	ends := []int{}
	for i, e := range events {
		if e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED && i >= minEvents {
			ends = append(ends, i)
		}
	}
	ends = append(ends, len(events))
	failing := sort.Search(len(ends)-1, func(i int) bool {
		_, err := r.run(events[:ends[i]])
		return err != nil
	})

	good, before := minEvents-1, []Step(nil)
	if failing > 0 {
		good = ends[failing-1]
		before, _ = r.run(events[:good])
	}
	steps, err := r.run(events[:ends[failing]])
	if err == nil { // only the whole history fails
		err = whole
	}
	steps = append(steps[min(len(before), len(steps)):], panicked(err)...)

	at, err := r.firstDifference(events, good, ends[failing], err)
	return &Divergence{
		EventID:   at.GetEventId(),
		EventType: at.GetEventType().String(),
		Reason:    reason(err),
		Steps:     steps,
	}
}

// firstDifference returns the first event after good whose addition makes the replay fail, and why it does. If the code
// only does more than the history has, no event differs; then it returns the completion of the task in which the code
// did so, and task, the error of the whole task.
func (r *Replayer) firstDifference(
	events []*historypb.HistoryEvent, good, end int, task error,
) (*historypb.HistoryEvent, error) {
	for n := max(good+1, minEvents); n <= end; n++ {
		// A beginning without the last events of a task lacks the events of some commands, which is no difference.
		if _, err := r.run(events[:n]); err != nil && !isExtraCommand(err) {
			return events[n-1], err
		}
	}
	for _, e := range events[good:end] {
		if e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			return e, task
		}
	}
	return events[end-1], task
}

// isExtraCommand reports whether the SDK found more commands than events.
func isExtraCommand(err error) bool { return strings.Contains(err.Error(), "extra replay command") }

// maxReason is how many bytes of the SDK's reason are shown. The rest is the payload of an event.
const maxReason = 400

func reason(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) <= maxReason {
		return text
	}
	cut := maxReason
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
