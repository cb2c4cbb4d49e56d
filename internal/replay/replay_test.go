package replay_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"go.uber.org/goleak"

	"holdfast/internal/replay"
	"holdfast/internal/temporalclient"
	"holdfast/workers"
	"holdfast/workflows"
	"holdfast/workflows/orderflow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// history reads a recorded history of the workflows.
func history(t *testing.T, name string) *historypb.History {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "workflows", "testdata", name+".json"))
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	h, err := replay.Read(f)
	require.NoError(t, err)
	return h
}

// changed returns a replayer whose Order is the given one.
func changed(order func(workflow.Context, orderflow.OrderInput) (orderflow.OrderResult, error)) *replay.Replayer {
	return replay.New(worker.WorkflowReplayerOptions{}, func(r worker.WorkflowRegistry) {
		r.RegisterWorkflowWithOptions(order, workflow.RegisterOptions{Name: orderflow.OrderWorkflow})
	})
}

// next is the line after its caller's, as a divergence names it.
func next() string {
	_, file, line, _ := runtime.Caller(1)
	return filepath.Base(filepath.Dir(file)) + "/" + filepath.Base(file) + ":" + strconv.Itoa(line+1)
}

// TestDivergence changes the workflow and expects the event, its type and the line of the change.
func TestDivergence(t *testing.T) {
	t.Parallel()
	var line string
	for _, c := range []struct {
		name, history string
		order         func(workflow.Context, orderflow.OrderInput) (orderflow.OrderResult, error)
		event         int64
		eventType     string
		reason        string
		step          string // that the changed line takes
	}{
		{
			name:    "a timer before everything",
			history: "order-confirmed-r2",
			order: func(ctx workflow.Context, in orderflow.OrderInput) (orderflow.OrderResult, error) {
				line = next()
				_ = workflow.Sleep(ctx, time.Second)
				return workflows.Order(ctx, in)
			},
			event:     5,
			eventType: "WorkflowExecutionUpdateAccepted",
			reason:    "history event is WorkflowExecutionUpdateAccepted",
			step:      "sleep of 1s",
		},
		{
			name:    "steps that are gone",
			history: "order-confirmed-r2",
			order: func(workflow.Context, orderflow.OrderInput) (orderflow.OrderResult, error) {
				return orderflow.OrderResult{}, nil
			},
			event:     5,
			eventType: "WorkflowExecutionUpdateAccepted",
			reason:    "missing replay command",
		},
		{
			name:    "one more step in the last task",
			history: "order-expired-r2",
			order: func(ctx workflow.Context, in orderflow.OrderInput) (orderflow.OrderResult, error) {
				out, err := workflows.Order(ctx, in)
				line = next()
				workflow.NewTimer(ctx, time.Hour)
				return out, err
			},
			event:     14,
			eventType: "WorkflowTaskCompleted",
			reason:    "extra replay command for StartTimer",
			step:      "timer of 1h0m0s",
		},
		{
			name:    "a panic",
			history: "order-confirmed-r2",
			order: func(workflow.Context, orderflow.OrderInput) (orderflow.OrderResult, error) {
				line = next()
				panic(errors.New("a fault"))
			},
			event:     4,
			eventType: "WorkflowTaskCompleted",
			reason:    "a fault",
			step:      "panic",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			line = ""
			h := history(t, c.history)
			require.NoError(t, workers.NewReplayer(temporalclient.Config{}).Replay(h), "the history itself is good")

			var d *replay.Divergence
			require.ErrorAs(t, changed(c.order).Replay(h), &d)
			require.Equal(t, c.event, d.EventID, d)
			require.Equal(t, c.eventType, d.EventType)
			require.Contains(t, d.Reason, c.reason)
			require.Less(t, len(d.Reason), 500)
			if c.step != "" {
				require.Contains(t, d.Steps, replay.Step{What: c.step, Lines: []string{line}})
			}
		})
	}
}

// TestNotAHistory: what cannot be replayed is no divergence.
func TestNotAHistory(t *testing.T) {
	t.Parallel()
	r := workers.NewReplayer(temporalclient.Config{})
	whole := history(t, "order-confirmed-r2").GetEvents()
	for name, events := range map[string][]*historypb.HistoryEvent{
		"no events":          nil,
		"not from the start": whole[3:],
	} {
		err := r.Replay(&historypb.History{Events: events})
		var d *replay.Divergence
		require.Error(t, err, name)
		require.NotErrorAs(t, err, &d, name)
	}
	for _, text := range []string{"", "{}", `{"events": []}`, "<html>"} {
		_, err := replay.Read(strings.NewReader(text))
		require.ErrorContains(t, err, "read the history", text)
	}
}

// TestBeginningsReplay: a history that was read at any moment of an order's life replays. A worker may just have begun
// a task, or Temporal may just have noted what comes next.
func TestBeginningsReplay(t *testing.T) {
	t.Parallel()
	r := workers.NewReplayer(temporalclient.Config{})
	for _, name := range []string{"order-confirmed-r2", "order-cancelled-during-authorisation-r2", "order-delivered-r2"} {
		h := history(t, name)
		task := false // between the completion of a task and the next event that is not its command's
		for n := 1; n <= len(h.GetEvents()); n++ {
			e := h.GetEvents()[n-1]
			switch {
			case e.GetWorkflowTaskCompletedEventAttributes() != nil:
				task = true
			case e.GetWorkflowTaskScheduledEventAttributes() != nil:
				task = false
			}
			if task { // the server writes the events of a task's commands together
				continue
			}
			require.NoError(t, r.Replay(&historypb.History{Events: h.GetEvents()[:n]}), "%s until event %d", name, n)
		}
	}
}
