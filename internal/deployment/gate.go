package deployment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"

	"holdfast/internal/await"
	"holdfast/internal/replay"
)

// Gate says what a version must show before more new orders start on it.
type Gate struct {
	// Replayer has the workflows of the version that is checked. Nil leaves the replays out.
	Replayer *replay.Replayer
	// ReplayLimit is how many open orders and reservations are replayed, the last started first; 0 means all.
	ReplayLimit int
	// Window is the time in which ends of workflows are compared.
	Window time.Duration
	// MaxFailureRise is by how many percentage points the share of failed workflows may exceed that of the current
	// version.
	MaxFailureRise float64
	// WorkerWait is how long a worker of the version may take to poll.
	WorkerWait time.Duration
	// Progress is told how many of the open workflows are replayed.
	Progress func(done, total int)
}

// minFailures is how many workflows must have failed before their share means anything.
const minFailures = 3

// Finding is a reason not to start more orders on a version.
type Finding struct {
	Problem string
	Remedy  string
}

func (f Finding) String() string { return f.Problem + "\n    " + f.Remedy }

// Refused is the error of a change to a version that is not fit for it.
type Refused struct {
	BuildID  string
	Findings []Finding
}

func (r *Refused) Error() string {
	lines := make([]string, len(r.Findings))
	for i, f := range r.Findings {
		lines[i] = "  - " + f.String()
	}
	return fmt.Sprintf("version %s is not fit, and nothing was changed:\n%s", r.BuildID, strings.Join(lines, "\n"))
}

// Examine returns the reasons not to start more new orders on a version; none means that it is fit. It changes nothing.
func (d *Deployment) Examine(ctx context.Context, buildID string, g Gate) ([]Finding, error) {
	var out []Finding
	unfit, err := d.awaitWorker(ctx, buildID, g.WorkerWait)
	if err != nil {
		return nil, err
	}
	if unfit != nil {
		out = append(out, *unfit)
	}
	status, err := d.Status(ctx, g.Window)
	if err != nil {
		return out, ignoreNoDeployment(err)
	}
	v, _ := status.Find(buildID)
	if v.Stuck > 0 {
		out = append(out, Finding{
			Problem: fmt.Sprintf("%d open workflows of it are stuck: their workflow tasks fail", v.Stuck),
			Remedy:  fmt.Sprintf("list them: temporal workflow list --query \"%s AND %s\"", d.on(buildID), reportsProblems),
		})
	}
	if f, rises := risingFailures(v, status, g); rises {
		out = append(out, f)
	}
	if g.Replayer == nil {
		return out, nil
	}
	f, err := d.replayOpen(ctx, buildID, g)
	return append(out, f...), err
}

// ignoreNoDeployment returns nil if no worker has polled yet: then there is nothing more to examine.
func ignoreNoDeployment(err error) error {
	if errors.Is(err, ErrNoDeployment) {
		return nil
	}
	return err
}

// awaitWorker returns nil once a worker of the version polls all queues, and what is wrong once wait has passed.
func (d *Deployment) awaitWorker(ctx context.Context, buildID string, wait time.Duration) (*Finding, error) {
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	errSilent := errors.New("no worker of the version polls every queue")
	var v Version
	err := await.Until(waiting, 250*time.Millisecond, func() error {
		status, err := d.versions(ctx) // a look is not cut off by the end of the wait
		if ignoreNoDeployment(err) != nil {
			return await.Never(err)
		}
		v, _ = status.Find(buildID)
		if !v.Polls() {
			return errSilent
		}
		return nil
	})
	switch {
	case err == nil:
		return nil, nil
	case errors.Is(err, errSilent) && ctx.Err() == nil:
		f := notPolling(buildID, v)
		return &f, nil
	}
	return nil, err
}

func notPolling(buildID string, v Version) Finding {
	queues := "any queue"
	if len(v.Workers) > 0 {
		queues = strings.Join(v.unpolled(), ", ")
	}
	return Finding{
		Problem: fmt.Sprintf("no worker of it polls %s", queues),
		Remedy:  fmt.Sprintf("start a worker with TEMPORAL_WORKER_BUILD_ID=%s and look at its /ready", buildID),
	}
}

// risingFailures compares a version with the current one.
func risingFailures(v Version, status Status, g Gate) (Finding, bool) {
	share := func(v Version) float64 {
		if v.Closed == 0 {
			return 0
		}
		return 100 * float64(v.Failed) / float64(v.Closed)
	}
	current, _ := status.In(Current)
	if current.BuildID == v.BuildID {
		current = Version{}
	}
	if v.Failed < minFailures || share(v) <= share(current)+g.MaxFailureRise {
		return Finding{}, false
	}
	return Finding{
		Problem: fmt.Sprintf("%d of %d workflows that ended on it in the last %s failed (%.0f %%); "+
			"on the current version %.0f %%",
			v.Failed, v.Closed, status.Window, share(v), share(current)),
		Remedy: "find out why (docs/guides/operators.md), or take the version back: holdfast deploy rollback",
	}, true
}

// replayOpen replays open orders and reservations of the other versions.
func (d *Deployment) replayOpen(ctx context.Context, buildID string, g Gate) ([]Finding, error) {
	query := OpenQuery() +
		" AND TemporalWorkerDeploymentVersion != '" + quote(d.name+":"+buildID) + "'"
	open, err := replay.List(ctx, d.temporal, query, g.ReplayLimit)
	if err != nil {
		return nil, err
	}
	sum, err := replayEach(ctx, d.temporal, g.Replayer, open, g.Progress)
	if err != nil {
		return nil, err
	}
	if len(sum.diverging) == 0 {
		return nil, nil
	}
	return []Finding{{
		Problem: fmt.Sprintf("%d of %d open orders and reservations do not replay, the first: %s",
			len(sum.diverging), len(open), describe(sum.diverging[0])),
		Remedy: "they stay on their version, but cannot be moved to this one: look with `holdfast replay --open`, " +
			"and put the change behind workflow.GetVersion",
	}}, nil
}

func describe(r replay.Result) string { return fmt.Sprintf("%s %v", r.Execution.ID, r.Err) }

// replayed is the outcome of many replays.
type replayed struct {
	diverging []replay.Result
	replays   []replay.Result // those that replay
}

// replayEach replays workflows and reports progress. A workflow that Temporal has deleted meanwhile is left out.
func replayEach(
	ctx context.Context, c client.Client, r *replay.Replayer, open []workflow.Execution, progress func(done, total int),
) (replayed, error) {
	var out replayed
	var unread error
	done := 0
	err := r.ReplayAll(ctx, c, open, func(result replay.Result) {
		done++
		if progress != nil {
			progress(done, len(open))
		}
		switch {
		case result.Err == nil:
			out.replays = append(out.replays, result)
		case result.Diverges():
			out.diverging = append(out.diverging, result)
		case !result.IsGone():
			unread = result.Err
		}
	})
	return out, errors.Join(err, unread)
}
