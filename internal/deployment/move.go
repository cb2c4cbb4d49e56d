package deployment

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/replay"
)

// Move says which open workflows go to another version.
type Move struct {
	From, To string
	// Replayer has the workflows of the version To.
	Replayer *replay.Replayer
	// Batch is how many workflows are moved at once.
	Batch int
	// SkipDiverging leaves workflows where they are that do not replay, instead of moving none.
	SkipDiverging bool
	// DryRun checks and moves nothing.
	DryRun bool
	// WorkerWait is how long a worker of the version To may take to poll.
	WorkerWait time.Duration
	// Progress is told how much of a step is done.
	Progress func(step string, done, total int)
}

// Moved sums a move up.
type Moved struct {
	Found     int             // open workflows on the version From
	Diverging []replay.Result // those that do not replay
	Moved     int
	Ended     int // those that ended before they were moved
}

// Move pins the open workflows of one version to another one, after it has replayed all of them. It refuses with the
// first of those that do not replay and moves none, unless they are to be skipped. If it stops halfway, for example
// because ctx ends, the workflows that it has moved stay moved and another call goes on with the others.
func (d *Deployment) Move(ctx context.Context, m Move) (Moved, error) {
	var out Moved
	if m.From == m.To {
		return out, fmt.Errorf("the workflows of version %s are to move to the same version", m.From)
	}
	unfit, err := d.awaitWorker(ctx, m.To, m.WorkerWait)
	if err != nil {
		return out, err
	}
	if unfit != nil {
		return out, &Refused{BuildID: m.To, Findings: []Finding{*unfit}}
	}

	open, err := replay.List(ctx, d.temporal, d.on(m.From)+" AND "+openWorkflows, 0)
	if err != nil {
		return out, err
	}
	out.Found = len(open)
	sum, err := replayEach(ctx, d.temporal, m.Replayer, open,
		func(done, total int) { m.Progress("replayed", done, total) })
	if err != nil {
		return out, err
	}
	out.Diverging = sum.diverging
	out.Ended = out.Found - len(sum.replays) - len(sum.diverging)
	if len(sum.diverging) > 0 && !m.SkipDiverging {
		return out, fmt.Errorf("%d of %d open workflows do not replay with the code of version %s, and none was moved, "+
			"the first: %s; --skip-diverging moves the others", len(sum.diverging), len(open), m.To, describe(sum.diverging[0]))
	}
	if m.DryRun {
		return out, nil
	}
	return out, d.moveAll(ctx, m, sum.replays, &out)
}

// moveAll moves workflows batch by batch. The batches bound how many requests Temporal gets at once.
func (d *Deployment) moveAll(ctx context.Context, m Move, workflows []replay.Result, out *Moved) error {
	for begin := 0; begin < len(workflows); begin += m.Batch {
		batch := workflows[begin:min(begin+m.Batch, len(workflows))]
		var moved, ended atomic.Int64
		group, ctx := errgroup.WithContext(ctx)
		for _, w := range batch {
			group.Go(func() error {
				err := d.moveOne(ctx, w.Execution, m.To)
				var gone *serviceerror.NotFound
				switch {
				case err == nil:
					moved.Add(1)
				case errors.As(err, &gone):
					ended.Add(1)
				default:
					return fmt.Errorf("move %s to version %s: %w", w.Execution.ID, m.To, err)
				}
				return nil
			})
		}
		err := group.Wait()
		out.Moved += int(moved.Load())
		out.Ended += int(ended.Load())
		if err != nil {
			return fmt.Errorf("%w; %d workflows are moved; run this again to go on", err, out.Moved)
		}
		m.Progress("moved", begin+len(batch), len(workflows))
	}
	return nil
}

// moveOne pins a run to a version.
func (d *Deployment) moveOne(ctx context.Context, w workflow.Execution, to string) error {
	_, err := d.temporal.UpdateWorkflowExecutionOptions(ctx, client.UpdateWorkflowExecutionOptionsRequest{
		WorkflowId: w.ID,
		RunId:      w.RunID,
		WorkflowExecutionOptionsChanges: client.WorkflowExecutionOptionsChanges{
			VersioningOverride: &client.VersioningOverrideChange{Value: &client.PinnedVersioningOverride{
				Version: worker.WorkerDeploymentVersion{DeploymentName: d.name, BuildID: to},
			}},
		},
	})
	return err
}
