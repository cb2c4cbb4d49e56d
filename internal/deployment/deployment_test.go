package deployment

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"holdfast/internal/replay"
	"holdfast/internal/temporalclient"
	"holdfast/tests/testenv"
	"holdfast/workflows/orderflow"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// wait is an Order that only waits for a signal.
func wait(ctx workflow.Context, _ orderflow.OrderInput) (orderflow.OrderResult, error) {
	workflow.GetSignalChannel(ctx, "go").Receive(ctx, nil)
	return orderflow.OrderResult{}, nil
}

// registerWait is what a worker with that Order registers.
func registerWait(r worker.WorkflowRegistry) {
	r.RegisterWorkflowWithOptions(wait, workflow.RegisterOptions{Name: orderflow.OrderWorkflow})
}

// startWorker runs a worker of a version on both queues, and returns its end.
func startWorker(t *testing.T, c client.Client, deployment, build string) (stop func()) {
	t.Helper()
	var running []worker.Worker
	for _, queue := range queues() {
		w := worker.New(c, queue, worker.Options{DeploymentOptions: worker.DeploymentOptions{
			UseVersioning:             true,
			Version:                   worker.WorkerDeploymentVersion{DeploymentName: deployment, BuildID: build},
			DefaultVersioningBehavior: workflow.VersioningBehaviorPinned,
		}})
		w.RegisterActivityWithOptions(func(context.Context) error { return nil }, activity.RegisterOptions{Name: "none"})
		if queue == orderflow.OrdersQueue {
			registerWait(w)
		}
		require.NoError(t, w.Start())
		running = append(running, w)
	}
	stopped := false
	stop = func() {
		for _, w := range running {
			if !stopped {
				w.Stop()
			}
		}
		stopped = true
	}
	t.Cleanup(stop)
	return stop
}

// connect returns a deployment of its own and its client.
func connect(t *testing.T) (*Deployment, client.Client) {
	t.Helper()
	cfg := testenv.Temporal(t, orderflow.SearchAttributes())
	c, err := temporalclient.Dial(t.Context(), cfg, nil)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return New(c, cfg.Namespace, "deployment-"+uuid.NewString()), c
}

// gate lets a version pass for which a worker polls.
func gate() *Gate { return &Gate{Window: time.Minute, WorkerWait: 30 * time.Second} }

// TestOperatorsDoNotCross: a change that is based on a state that another operator has changed meanwhile is refused.
func TestOperatorsDoNotCross(t *testing.T) {
	d, c := connect(t)
	_, err := d.Status(t.Context(), time.Minute)
	require.ErrorIs(t, err, ErrNoDeployment)
	require.ErrorContains(t, err, "holdfast deploy set-current")
	startWorker(t, c, d.name, "a")
	startWorker(t, c, d.name, "b")
	require.NoError(t, d.Promote(t.Context(), "a", gate()))
	_, err = d.awaitWorker(t.Context(), "b", 30*time.Second)
	require.NoError(t, err)

	before, err := d.routing(t.Context())
	require.NoError(t, err)
	require.NoError(t, d.Ramp(t.Context(), "b", 20, gate()))
	require.ErrorContains(t, d.setCurrent(t.Context(), "b", before), "look at `holdfast deploy status` and try again")
	require.ErrorContains(t, d.setRamp(t.Context(), "b", 90, before), "look at `holdfast deploy status` and try again")

	now, err := d.routing(t.Context())
	require.NoError(t, err)
	b, _ := now.Find("b")
	require.Equal(t, Ramping, b.State)
	require.InDelta(t, 20, b.RampPercent, 0.001)
	require.NoError(t, d.Ramp(t.Context(), "b", 20, gate()), "the same again changes nothing")
	for range 2 {
		require.NoError(t, d.Ramp(t.Context(), "b", 0, nil))
		now, err = d.routing(t.Context())
		require.NoError(t, err)
		_, ramps := now.In(Ramping)
		require.False(t, ramps, "a share of 0 ends the ramp")
	}
	require.ErrorContains(t, d.Ramp(t.Context(), "b", 101, nil), "choose 0 to 100 percent")
	require.ErrorContains(t, d.Ramp(t.Context(), "a", 10, gate()), "is current already")
}

// TestStoppedWorkerDoesNotPoll: a worker that stopped a moment ago no longer counts, although Temporal lists its
// requests for minutes.
func TestStoppedWorkerDoesNotPoll(t *testing.T) {
	d, c := connect(t)
	stop := startWorker(t, c, d.name, "a")
	unfit, err := d.awaitWorker(t.Context(), "a", 30*time.Second)
	require.NoError(t, err)
	require.Nil(t, unfit)

	stop()
	require.Eventually(t, func() bool {
		unfit, err := d.awaitWorker(t.Context(), "a", 0)
		require.NoError(t, err)
		return unfit != nil && unfit.Problem == "no worker of it polls any queue"
	}, 30*time.Second, 100*time.Millisecond)

	startWorker(t, c, d.name, "b")
	var refused *Refused
	require.ErrorAs(t, d.Promote(t.Context(), "a", &Gate{Window: time.Minute}), &refused)
	require.NoError(t, d.Promote(t.Context(), "b", gate()))
	_, err = d.Rollback(t.Context(), "a", false)
	require.ErrorAs(t, err, &refused)
	_, err = d.Rollback(t.Context(), "a", true)
	require.NoError(t, err, "an operator may force it")

	startWorker(t, c, d.name, "a") // in the same process, so it has the identity of the one that stopped
	unfit, err = d.awaitWorker(t.Context(), "a", 30*time.Second)
	require.NoError(t, err)
	require.Nil(t, unfit)
}

// TestMoveSkipsWhatHasEnded: a workflow that ends between the replay and the move is counted and stops nothing.
func TestMoveSkipsWhatHasEnded(t *testing.T) {
	d, c := connect(t)
	startWorker(t, c, d.name, "a")
	startWorker(t, c, d.name, "b")
	require.NoError(t, d.Promote(t.Context(), "a", gate()))
	var ids []string
	for range 5 {
		id := "order-" + uuid.NewString()
		_, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
			ID:        id,
			TaskQueue: orderflow.OrdersQueue,
			VersioningOverride: &client.PinnedVersioningOverride{
				Version: worker.WorkerDeploymentVersion{DeploymentName: d.name, BuildID: "a"},
			},
		}, orderflow.OrderWorkflow, orderflow.OrderInput{OrderID: uuid.New()})
		require.NoError(t, err)
		ids = append(ids, id)
	}
	onA := func() int64 {
		n, err := d.count(t.Context(), d.on("a")+" AND "+openWorkflows)
		require.NoError(t, err)
		return n
	}
	require.Eventually(t, func() bool { return onA() == 5 }, 30*time.Second, 100*time.Millisecond)

	var steps []string
	sum, err := d.Move(t.Context(), Move{
		From:       "a",
		To:         "b",
		Replayer:   replay.New(worker.WorkflowReplayerOptions{}, registerWait),
		Batch:      2,
		WorkerWait: 30 * time.Second,
		Progress: func(step string, done, total int) {
			if step == "replayed" && done == total {
				require.NoError(t, c.TerminateWorkflow(t.Context(), ids[3], "", "it ends meanwhile"))
			}
			steps = append(steps, step)
		},
	})
	require.NoError(t, err)
	require.Equal(t, Moved{Found: 5, Moved: 4, Ended: 1}, sum)
	require.Equal(t, []string{
		"replayed", "replayed", "replayed", "replayed", "replayed", "moved", "moved", "moved",
	}, steps)
	require.Eventually(t, func() bool { return onA() == 0 }, 30*time.Second, 100*time.Millisecond)
	require.ErrorContains(t, func() error {
		_, err := d.Move(t.Context(), Move{From: "a", To: "a"})
		return err
	}(), "to the same version")
}

// TestRollbackTarget: a ramp goes back to the current version; without one the version goes back that was current last.
func TestRollbackTarget(t *testing.T) {
	t.Parallel()
	at := func(minute int) time.Time { return time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC) }
	a := Version{BuildID: "a", State: Draining, LastCurrent: at(1)}
	b := Version{BuildID: "b", State: Draining, LastCurrent: at(5)}
	cur := Version{BuildID: "c", State: Current, LastCurrent: at(9)}
	ramp := Version{BuildID: "d", State: Ramping}
	never := Version{BuildID: "e", State: Inactive}
	for _, c := range []struct {
		name     string
		versions []Version
		to, want string
	}{
		{"takes back the ramp", []Version{a, b, cur, ramp}, "", "c"},
		{"the last current version", []Version{a, b, cur, never}, "", "b"},
		{"a named version", []Version{a, b, cur, ramp}, "a", "a"},
		{"there is none", []Version{cur, never}, "", ""},
		{"an unknown version", []Version{a, cur}, "x", ""},
	} {
		v, err := rollbackTarget(Status{Deployment: "orders", Versions: c.versions}, c.to)
		require.Equal(t, c.want == "", err != nil, c.name)
		require.Equal(t, c.want, v.BuildID, c.name)
	}
}

// TestRisingFailures: a few failures say nothing, and a version is compared with the current one.
func TestRisingFailures(t *testing.T) {
	t.Parallel()
	g := Gate{MaxFailureRise: 5}
	status := func(closed, failed int64) Status {
		return Status{Versions: []Version{{BuildID: "old", State: Current, Closed: closed, Failed: failed}}}
	}
	for _, c := range []struct {
		closed, failed int64
		current        Status
		rises          bool
	}{
		{0, 0, status(100, 0), false},
		{2, 2, status(100, 0), false},
		{3, 3, status(100, 0), true},
		{100, 5, status(100, 0), false},
		{100, 6, status(100, 0), true},
		{100, 14, status(100, 10), false},
		{100, 16, status(100, 10), true},
		{100, 6, Status{}, true},
	} {
		_, rises := risingFailures(Version{BuildID: "new", Closed: c.closed, Failed: c.failed}, c.current, g)
		require.Equal(t, c.rises, rises, "%+v", c)
	}
}
