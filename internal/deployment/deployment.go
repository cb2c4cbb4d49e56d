// Package deployment rolls out worker versions: it says which open orders are on which version, checks a version before
// new orders start on it, and moves orders from one version to another. Temporal does the routing; this package adds
// what an operator must know and check. ADR 21 has the reasons.
package deployment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"holdfast/workflows/orderflow"
)

// Deployment is a worker deployment: the versions of the worker that share the same task queues.
type Deployment struct {
	temporal  client.Client
	namespace string
	name      string
}

// New returns the deployment of the given name. The client connects to the namespace.
func New(temporal client.Client, namespace, name string) *Deployment {
	return &Deployment{temporal: temporal, namespace: namespace, name: name}
}

// Version is a version of the worker and what it has to do.
type Version struct {
	BuildID string `json:"build_id"`
	// State is current, ramping, draining, drained or inactive, as Temporal has it.
	State State `json:"state"`
	// RampPercent is the share of new orders that start on a ramping version, from 0 to 100.
	RampPercent float32 `json:"ramp_percent,omitempty"`
	// LastCurrent is when the version last became current; zero if it never was.
	LastCurrent time.Time `json:"last_current,omitzero"`
	// Workers counts, by task queue, the processes that poll.
	Workers map[string]int `json:"workers"`
	// Open are the workflows that only this version's workers carry on.
	Open Counts `json:"open"`
	// Stuck counts open workflows whose workflow tasks fail again and again.
	Stuck int64 `json:"stuck"`
	// Closed counts the workflows that ended on this version within the window, and Failed those of them that failed,
	// timed out or were terminated, and orders that ended as failed.
	Closed int64 `json:"closed"`
	Failed int64 `json:"failed"`
}

// Counts are open workflows.
type Counts struct {
	Orders       int64 `json:"orders"`
	Reservations int64 `json:"reservations"`
	Others       int64 `json:"others"`
}

// Total is the number of workflows.
func (c Counts) Total() int64 { return c.Orders + c.Reservations + c.Others }

func (c Counts) String() string {
	return fmt.Sprintf("%d orders, %d reservations, %d other workflows", c.Orders, c.Reservations, c.Others)
}

// State is what Temporal does with a version.
type State string

// The states of a version.
const (
	Current  State = "current"  // new orders start on it
	Ramping  State = "ramping"  // a share of the new orders starts on it
	Draining State = "draining" // no new order starts on it, and it has open ones
	Drained  State = "drained"  // it has no open orders any more
	Inactive State = "inactive" // it never was current or ramping
)

// TakesNewOrders reports whether new orders may start on a version in this state.
func (s State) TakesNewOrders() bool { return s == Current || s == Ramping }

// Polls reports whether a worker of the version polls every queue that an order needs.
func (v Version) Polls() bool { return len(v.unpolled()) == 0 }

func (v Version) unpolled() []string {
	var out []string
	for _, queue := range queues() {
		if v.Workers[queue] == 0 {
			out = append(out, queue)
		}
	}
	return out
}

// queues are the task queues of a worker.
func queues() []string { return []string{orderflow.OrdersQueue, orderflow.PaymentsQueue} }

// Status is the deployment at one time.
type Status struct {
	Deployment string    `json:"deployment"`
	Versions   []Version `json:"versions"`
	// Elsewhere counts open orders and reservations on no listed version: no worker has begun them yet, or Temporal has
	// forgotten their version.
	Elsewhere int64 `json:"elsewhere"`

	Window time.Duration `json:"-"` // in which ended workflows are counted

	token []byte // a change that names it is refused if another change came between
}

// Find returns a version by its build id.
func (s Status) Find(buildID string) (Version, bool) {
	for _, v := range s.Versions {
		if v.BuildID == buildID {
			return v, true
		}
	}
	return Version{}, false
}

// In returns the version in a state that only one version has: Current or Ramping.
func (s Status) In(state State) (Version, bool) {
	for _, v := range s.Versions {
		if v.State == state {
			return v, true
		}
	}
	return Version{}, false
}

// ErrNoDeployment says that no worker of the deployment has polled yet.
var ErrNoDeployment = errors.New("no worker of the deployment has polled yet")

// parallel is how many versions are counted at once.
const parallel = 8

// Status reads the versions, the last created first, with their workers and workflows. Ends of workflows are counted
// within the window before now. Temporal's list of workflows, from which it counts, is some seconds behind.
func (d *Deployment) Status(ctx context.Context, window time.Duration) (Status, error) {
	out, err := d.versions(ctx)
	if err != nil {
		return Status{}, err
	}
	out.Window = window
	if out.Elsewhere, err = d.count(ctx, OpenQuery()); err != nil {
		return Status{}, err
	}

	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	since := time.Now().Add(-window)
	for i := range out.Versions {
		group.Go(func() error { return d.countWorkflows(groupCtx, &out.Versions[i], since) })
	}
	if err := group.Wait(); err != nil {
		return Status{}, err
	}
	for _, v := range out.Versions {
		out.Elsewhere -= v.Open.Orders + v.Open.Reservations
	}
	out.Elsewhere = max(out.Elsewhere, 0) // the counts are not of one instant
	return out, nil
}

// versions reads the versions and their workers, and counts no workflows.
func (d *Deployment) versions(ctx context.Context) (Status, error) {
	out, err := d.routing(ctx)
	if err != nil {
		return Status{}, err
	}
	polling, err := d.polling(ctx)
	if err != nil {
		return Status{}, err
	}
	for i := range out.Versions {
		out.Versions[i].Workers = polling[out.Versions[i].BuildID]
	}
	return out, nil
}

// routing reads the versions and where new orders start.
func (d *Deployment) routing(ctx context.Context) (Status, error) {
	// The SDK's Describe leaves out when a version was current, without which there is no way back.
	answer, err := d.temporal.WorkflowService().DescribeWorkerDeployment(ctx,
		&workflowservice.DescribeWorkerDeploymentRequest{Namespace: d.namespace, DeploymentName: d.name})
	var absent *serviceerror.NotFound
	if errors.As(err, &absent) {
		return Status{}, fmt.Errorf("deployment %s in namespace %s: %w; start a worker, "+
			"then run `holdfast deploy set-current BUILD_ID`", d.name, d.namespace, ErrNoDeployment)
	}
	if err != nil {
		return Status{}, fmt.Errorf("describe the deployment %s: %w", d.name, err)
	}

	out := Status{Deployment: d.name, token: answer.GetConflictToken()}
	routing := answer.GetWorkerDeploymentInfo().GetRoutingConfig()
	for _, s := range answer.GetWorkerDeploymentInfo().GetVersionSummaries() {
		v := Version{BuildID: s.GetDeploymentVersion().GetBuildId(), State: stateOf(s.GetStatus())}
		if s.GetLastCurrentTime() != nil {
			v.LastCurrent = s.GetLastCurrentTime().AsTime()
		}
		// The summary of a version follows its routing after a moment; the routing is what counts.
		switch v.BuildID {
		case routing.GetCurrentDeploymentVersion().GetBuildId():
			v.State = Current
		case routing.GetRampingDeploymentVersion().GetBuildId():
			v.State, v.RampPercent = Ramping, routing.GetRampingVersionPercentage()
		default:
			if v.State.TakesNewOrders() {
				v.State = Draining
			}
		}
		out.Versions = append(out.Versions, v)
	}
	return out, nil
}

func stateOf(s enumspb.WorkerDeploymentVersionStatus) State {
	switch s {
	case enumspb.WORKER_DEPLOYMENT_VERSION_STATUS_CURRENT:
		return Current
	case enumspb.WORKER_DEPLOYMENT_VERSION_STATUS_RAMPING:
		return Ramping
	case enumspb.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINING:
		return Draining
	case enumspb.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINED:
		return Drained
	default:
		return Inactive
	}
}

const (
	openWorkflows   = "ExecutionStatus = 'Running'"
	closedBadly     = "ExecutionStatus IN ('Failed', 'TimedOut', 'Terminated')"
	reportsProblems = "TemporalReportedProblems IS NOT NULL"
)

// OpenQuery is the list filter that matches every open order and reservation.
func OpenQuery() string {
	return openWorkflows + " AND " + ofType(orderflow.OrderWorkflow, orderflow.ReservationWorkflow)
}

// ofType is the condition that a workflow has one of the types.
func ofType(types ...string) string {
	return "WorkflowType IN ('" + strings.Join(types, "', '") + "')"
}

// on is the condition that a workflow is on a version.
func (d *Deployment) on(buildID string) string {
	return "TemporalWorkerDeploymentVersion = '" + quote(d.name+":"+buildID) + "'"
}

// quote makes text safe within the quotes of a query.
func quote(text string) string { return strings.ReplaceAll(text, "'", "''") }

// countWorkflows fills in the counts of a version. closedSince is the beginning of the window.
func (d *Deployment) countWorkflows(ctx context.Context, v *Version, closedSince time.Time) error {
	here := d.on(v.BuildID)
	open := here + " AND " + openWorkflows
	closed := here + " AND ExecutionStatus != 'Running' AND " +
		ofType(orderflow.OrderWorkflow, orderflow.ReservationWorkflow) +
		fmt.Sprintf(" AND CloseTime >= '%s'", closedSince.UTC().Format(time.RFC3339Nano))
	failedOrder := fmt.Sprintf("%s = 'failed'", orderflow.AttrOrderStatus.GetName())
	var all int64
	for _, c := range []struct {
		into  *int64
		query string
	}{
		{&v.Open.Orders, open + " AND " + ofType(orderflow.OrderWorkflow)},
		{&v.Open.Reservations, open + " AND " + ofType(orderflow.ReservationWorkflow)},
		{&all, open},
		{&v.Stuck, open + " AND " + reportsProblems},
		{&v.Closed, closed},
		{&v.Failed, closed + " AND (" + closedBadly + " OR " + failedOrder + ")"},
	} {
		n, err := d.count(ctx, c.query)
		if err != nil {
			return err
		}
		*c.into = n
	}
	v.Open.Others = max(all-v.Open.Orders-v.Open.Reservations, 0)
	return nil
}

func (d *Deployment) count(ctx context.Context, query string) (int64, error) {
	answer, err := d.temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Namespace: d.namespace,
		Query:     query,
	})
	if err != nil {
		return 0, fmt.Errorf("count the workflows of %q: %w", query, err)
	}
	return answer.GetCount(), nil
}
