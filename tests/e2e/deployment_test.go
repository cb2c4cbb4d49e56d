package e2e

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"holdfast/internal/deployment"
	"holdfast/tests/platform"
	"holdfast/workflows/orderflow"
)

// The versions of the worker in the tests below.
const (
	buildA = "e2e" // of the platform
	buildB = "build-b"
	// buildX is a worker of the test process that has another Order.
	buildX = "build-x"
)

// versions is a platform whose worker is rolled out.
type versions struct {
	*platform.Platform
	product uuid.UUID
}

// TestTwoVersions rolls out version B of the worker beside version A: open orders stay on A, new ones go to B bit by
// bit, a rollback brings new ones back to A, and A stops once its orders have ended or were moved.
func TestTwoVersions(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	v := versions{Platform: p, product: p.Product(500)}
	a := p.Process("worker")
	old := v.place(buildA, 4)
	v.refuses("no worker of it polls any queue", "promote", buildB, "--wait", "1s")
	v.refuses("is current: new orders start on it", "drain", buildA)

	p.Configure("TEMPORAL_WORKER_BUILD_ID", buildB, "WORKER_LISTEN", "127.0.0.1:0")
	p.Start("worker")
	v.ramps()

	v.does("promote", buildB)
	v.awaitNewOrdersOn(buildB)
	v.does("rollback")
	v.awaitNewOrdersOn(buildA)
	v.does("promote", buildB)
	v.awaitNewOrdersOn(buildB)

	v.Act("alice", old[0], "cancel", nil)
	v.Await("alice", old[0], "cancelled", 10*time.Second)
	require.Equal(t, buildA, v.versionOf(old[0]), "an open order ends on the version that began it")
	v.refuses("still carries on", "drain", buildA)

	v.moves(old[1:])
	v.does("drain", buildA, "--wait", "1m")
	a.Stop()
	for _, id := range old[1:] {
		require.Equal(t, http.StatusOK, v.Pay("alice", id, "pm_ok").Status, "version B carries it on")
		require.Equal(t, buildB, v.versionOf(id))
	}
	require.Equal(t, buildB, v.versionOf(v.place("", 1)[0]))
}

// ramps starts half of the new orders on B, and takes the ramp back.
func (v versions) ramps() {
	v.does("ramp", buildB, "50")
	seen := map[string]int{}
	require.Eventually(v.T, func() bool {
		for _, id := range v.place("", 4) {
			seen[v.versionOf(id)]++
		}
		return seen[buildA] >= 4 && seen[buildB] >= 4
	}, time.Minute, time.Millisecond, "new orders start on both versions: %v", seen)

	require.Eventually(v.T, func() bool { // Temporal's list of workflows is behind
		s := v.status()
		a, _ := s.Find(buildA)
		b, _ := s.Find(buildB)
		require.Equal(v.T, deployment.Current, a.State)
		require.Equal(v.T, deployment.Ramping, b.State)
		require.InDelta(v.T, 50, b.RampPercent, 0.001)
		require.True(v.T, a.Polls() && b.Polls())
		return a.Open.Orders == int64(4+seen[buildA]) && b.Open.Orders == int64(seen[buildB])
	}, 30*time.Second, 100*time.Millisecond)

	v.does("rollback")
	_, ramping := v.status().In(deployment.Ramping)
	require.False(v.T, ramping, "the ramp is taken back")
	v.awaitNewOrdersOn(buildA)
	v.does("ramp", buildB, "100")
	v.awaitNewOrdersOn(buildB)
}

// moves takes orders of A, and whatever else is open there, to B.
func (v versions) moves(orders []string) {
	out, errs, err := v.Run([]string{"deploy", "move", "--from", buildA, "--to", buildB, "--dry-run"})
	require.NoError(v.T, err, errs)
	require.Contains(v.T, out, "0 moved to "+buildB)
	require.Equal(v.T, buildA, v.versionOf(orders[0]))

	out, errs, err = v.Run([]string{"deploy", "move", "--from", buildA, "--to", buildB, "--batch", "2"})
	require.NoError(v.T, err, errs)
	require.Contains(v.T, errs, "replayed: ")
	require.Contains(v.T, errs, "moved: 2 of ")
	require.Contains(v.T, out, "0 do not replay, 0 ended meanwhile")
	require.Eventually(v.T, func() bool {
		a, _ := v.status().Find(buildA)
		return a.Open.Total() == 0
	}, 30*time.Second, 100*time.Millisecond, "nothing is left on A")
}

// otherOrder is an Order that no history of ours has: it only waits. With the id of stuckOrder it cannot even do that.
func otherOrder(ctx workflow.Context, _ orderflow.OrderInput) (orderflow.OrderResult, error) {
	if workflow.GetInfo(ctx).WorkflowExecution.ID == stuckOrder {
		panic("a fault of this version")
	}
	return orderflow.OrderResult{}, workflow.Sleep(ctx, time.Hour)
}

const (
	strangeOrder = "order-of-another-build"
	stuckOrder   = "order-that-is-stuck"
)

// TestUnfitVersions: a version that would break open orders, that fails more orders, or on which workflows are stuck
// gets no more new orders, unless an operator says why it should.
func TestUnfitVersions(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	v := versions{Platform: p, product: p.Product(50)}
	p.Configure("TEMPORAL_WORKER_BUILD_ID", buildB, "WORKER_LISTEN", "127.0.0.1:0")
	p.Start("worker")
	p.WithTemporal(func(c client.Client) {
		version := worker.WorkerDeploymentVersion{DeploymentName: orderflow.DeploymentName, BuildID: buildX}
		w := worker.New(c, orderflow.OrdersQueue, worker.Options{DeploymentOptions: worker.DeploymentOptions{
			UseVersioning:             true,
			Version:                   version,
			DefaultVersioningBehavior: workflow.VersioningBehaviorPinned,
		}})
		w.RegisterWorkflowWithOptions(otherOrder, workflow.RegisterOptions{Name: orderflow.OrderWorkflow})
		require.NoError(t, w.Start())
		stop := sync.OnceFunc(w.Stop)
		defer stop()

		v.divergingOrders(c)
		v.stuckOrders(c)
		v.failingOrders(c)
		v.abandonedOrders(c, stop)
	})
}

// start starts a workflow of the type Order on a version.
func (v versions) start(c client.Client, id, build string) client.WorkflowRun {
	var run client.WorkflowRun
	require.Eventually(v.T, func() (started bool) { // a version is known once its worker has polled
		var err error
		run, err = c.ExecuteWorkflow(v.T.Context(), client.StartWorkflowOptions{
			ID:        id,
			TaskQueue: orderflow.OrdersQueue,
			VersioningOverride: &client.PinnedVersioningOverride{Version: worker.WorkerDeploymentVersion{
				DeploymentName: orderflow.DeploymentName, BuildID: build,
			}},
		}, orderflow.OrderWorkflow, orderflow.OrderInput{OrderID: uuid.New()})
		return err == nil
	}, 30*time.Second, 100*time.Millisecond)
	return run
}

func (v versions) divergingOrders(c client.Client) {
	v.start(c, strangeOrder, buildX)
	v.awaitOn(buildX, func(x deployment.Version) bool { return x.Open.Orders == 1 })
	v.refuses("do not replay, the first: "+strangeOrder+" diverges at event", "promote", buildB)
	v.refuses("do not replay", "ramp", buildB, "10")
	v.refuses("1 of 1 open workflows do not replay", "move", "--from", buildX, "--to", buildB)
	out, errs, err := v.Run([]string{"deploy", "move", "--from", buildX, "--to", buildB, "--skip-diverging"})
	require.NoError(v.T, err, errs)
	require.Contains(v.T, out, "0 moved to "+buildB+", 1 do not replay")

	v.refuses("--force needs --reason", "promote", buildB, "--force")
	v.does("promote", buildB, "--force", "--reason", "the order is a test")
	v.awaitNewOrdersOn(buildB)
	described, err := c.WorkerDeploymentClient().GetHandle(orderflow.DeploymentName).DescribeVersion(v.T.Context(),
		client.WorkerDeploymentDescribeVersionOptions{BuildID: buildB})
	require.NoError(v.T, err)
	require.Contains(v.T, string(described.Info.Metadata["holdfast-forced"].GetData()), "the order is a test")

	require.NoError(v.T, c.TerminateWorkflow(v.T.Context(), strangeOrder, "", "the test is over"))
	v.awaitOn(buildX, func(x deployment.Version) bool { return x.Open.Orders == 0 })
}

func (v versions) stuckOrders(c client.Client) {
	v.start(c, stuckOrder, buildX)
	v.awaitOn(buildX, func(x deployment.Version) bool { return x.Stuck == 1 })
	v.refuses("1 open workflows of it are stuck", "promote", buildX, "--wait", "1s")
	v.refuses("no worker of it polls payments", "promote", buildX, "--wait", "1s")
	require.NoError(v.T, c.TerminateWorkflow(v.T.Context(), stuckOrder, "", "the test is over"))
}

func (v versions) failingOrders(c client.Client) {
	v.does("rollback") // A is current
	for range 3 {
		run := v.start(c, "order-of-nobody-"+uuid.NewString(), buildB)
		require.Error(v.T, run.Get(v.T.Context(), nil), "an order under a foreign id is refused")
	}
	v.awaitOn(buildB, func(b deployment.Version) bool { return b.Failed == 3 })
	v.refuses("workflows that ended on it in the last 15m0s failed", "ramp", buildB, "10")
	v.does("ramp", buildB, "10", "--max-failure-rise", "100")
}

// abandonedOrders stops the last worker of a version that has an open order.
func (v versions) abandonedOrders(c client.Client, stop func()) {
	const id = "order-left-alone"
	v.start(c, id, buildX)
	v.awaitOn(buildX, func(x deployment.Version) bool { return x.Open.Orders == 1 })
	v.refuses("version build-x still carries on 1 orders, 0 reservations, 0 other workflows", "drain", buildX)
	v.does("drain", buildX, "--allow-open-orders")
	v.refuses("is current: new orders start on it", "drain", buildA, "--allow-open-orders")

	stop()
	require.Eventually(v.T, func() bool {
		out, errs, err := v.Run([]string{"deploy", "status"})
		require.NoError(v.T, err, errs)
		return regexp.MustCompile(`(?m)^build-x +[a-z]+ +0 +1 +0 +0 `).MatchString(out) &&
			strings.Contains(out, "version build-x has open workflows and no worker")
	}, 30*time.Second, 200*time.Millisecond)
	require.NoError(v.T, c.TerminateWorkflow(v.T.Context(), id, "", "the test is over"))
}

// does runs a command of deploy, which must succeed.
func (v versions) does(args ...string) {
	out, errs, err := v.Run(append([]string{"deploy"}, args...))
	require.NoError(v.T, err, "%v: %s%s", args, out, errs)
}

// refuses runs a command of deploy, which must fail and say why.
func (v versions) refuses(why string, args ...string) {
	out, errs, err := v.Run(append([]string{"deploy"}, args...))
	require.Equal(v.T, 1, exitStatus(v.T, err), "%v: %s%s", args, out, errs)
	require.Contains(v.T, errs, why)
}

func (v versions) status() (s deployment.Status) {
	out, errs, err := v.Run([]string{"deploy", "status", "--json"})
	require.NoError(v.T, err, errs)
	require.NoError(v.T, json.NewDecoder(strings.NewReader(out)).Decode(&s))
	return s
}

// awaitOn waits until Temporal's list of workflows shows something about a version.
func (v versions) awaitOn(build string, is func(deployment.Version) bool) {
	var last deployment.Version
	require.Eventually(v.T, func() bool {
		last, _ = v.status().Find(build)
		return is(last)
	}, time.Minute, 200*time.Millisecond, "%+v", &last)
}

// awaitNewOrdersOn places orders until the workers' queues know the routing, and then some more.
func (v versions) awaitNewOrdersOn(build string) {
	require.Eventually(v.T, func() bool { return v.versionOf(v.place("", 1)[0]) == build },
		30*time.Second, time.Millisecond, "new orders start on %s", build)
	v.place(build, 2)
}

// place places reserved orders; all must be on the version if one is given.
func (v versions) place(build string, n int) []string {
	var out []string
	for range n {
		id := v.Place("alice", http.StatusCreated, platform.OneLine(v.product, 1)).Str("order_id")
		if build != "" {
			require.Equal(v.T, build, v.versionOf(id))
		}
		out = append(out, id)
	}
	return out
}

// versionOf is the version that carries an order on.
func (v versions) versionOf(order string) (build string) {
	v.WithTemporal(func(c client.Client) {
		described, err := c.DescribeWorkflowExecution(v.T.Context(), orderflow.OrderWorkflowID(uuid.MustParse(order)), "")
		require.NoError(v.T, err)
		info := described.GetWorkflowExecutionInfo().GetVersioningInfo()
		build = info.GetDeploymentVersion().GetBuildId()
		if pinned := info.GetVersioningOverride().GetPinned(); pinned != nil {
			build = pinned.GetVersion().GetBuildId()
		}
	})
	return build
}
