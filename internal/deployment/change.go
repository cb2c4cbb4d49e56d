package deployment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
)

// Ramp starts the given share of the new orders, from 0 to 100 percent, on a version, and the others on the current
// version. Open orders stay where they are. Share 0 takes the ramp back. The call is idempotent. Its error is a
// *Refused if the gate finds the version unfit; a nil gate checks nothing.
func (d *Deployment) Ramp(ctx context.Context, buildID string, percent float32, gate *Gate) error {
	if percent < 0 || percent > 100 {
		return fmt.Errorf("%v is not a share: choose 0 to 100 percent", percent)
	}
	status, err := d.pass(ctx, buildID, gate)
	if err != nil {
		return err
	}
	current, found := status.In(Current)
	switch {
	case !found:
		return fmt.Errorf("no version of %s is current, so there is nothing to ramp from; "+
			"run `holdfast deploy set-current %s`", d.name, buildID)
	case current.BuildID == buildID:
		return fmt.Errorf("version %s is current already: every new order starts on it", buildID)
	}
	if percent == 0 {
		if ramping, _ := status.In(Ramping); ramping.BuildID != buildID {
			return nil
		}
		buildID = "" // a version that ramps to 0 % would still count as ramping
	}
	return d.setRamp(ctx, buildID, percent, status)
}

func (d *Deployment) setRamp(ctx context.Context, buildID string, percent float32, status Status) error {
	_, err := d.handle().SetRampingVersion(ctx, client.WorkerDeploymentSetRampingVersionOptions{
		BuildID:       buildID,
		Percentage:    percent,
		ConflictToken: status.token,
	})
	return d.changed(fmt.Sprintf("ramp version %s to %v %%", buildID, percent), err)
}

// Promote starts all new orders on a version. Open orders stay where they are. The call is idempotent. Its error is a
// *Refused if the gate finds the version unfit; a nil gate checks nothing.
func (d *Deployment) Promote(ctx context.Context, buildID string, gate *Gate) error {
	status, err := d.pass(ctx, buildID, gate)
	if err != nil {
		return err
	}
	return d.setCurrent(ctx, buildID, status)
}

func (d *Deployment) setCurrent(ctx context.Context, buildID string, status Status) error {
	_, err := d.handle().SetCurrentVersion(ctx, client.WorkerDeploymentSetCurrentVersionOptions{
		BuildID:       buildID,
		ConflictToken: status.token,
	})
	return d.changed(fmt.Sprintf("make version %s current", buildID), err)
}

// pass asks the gate and returns the routing that the following change is based on.
func (d *Deployment) pass(ctx context.Context, buildID string, gate *Gate) (Status, error) {
	if gate != nil {
		findings, err := d.Examine(ctx, buildID, *gate)
		if err != nil {
			return Status{}, err
		}
		if len(findings) > 0 {
			return Status{}, &Refused{BuildID: buildID, Findings: findings}
		}
	}
	return d.routing(ctx)
}

// Rollback takes new orders away from the version that was rolled out last: it takes back a ramp, or, if no version
// ramps, makes the version current that was current before, or the version to if that is given. Orders that started on
// the newer version stay on it. It returns the version on which new orders start now. Unless force is set, it refuses
// a version for which no worker polls.
func (d *Deployment) Rollback(ctx context.Context, to string, force bool) (Version, error) {
	status, err := d.versions(ctx)
	if err != nil {
		return Version{}, err
	}
	target, err := rollbackTarget(status, to)
	if err != nil {
		return Version{}, err
	}
	if !target.Polls() && !force {
		return Version{}, &Refused{BuildID: target.BuildID, Findings: []Finding{notPolling(target.BuildID, target)}}
	}

	if _, ramps := status.In(Ramping); ramps {
		if err := d.setRamp(ctx, "", 0, status); err != nil {
			return Version{}, err
		}
		if target.State == Current {
			return target, nil
		}
		if status, err = d.routing(ctx); err != nil {
			return Version{}, err
		}
	}
	return target, d.setCurrent(ctx, target.BuildID, status)
}

// rollbackTarget chooses the version on which new orders start after a rollback.
func rollbackTarget(status Status, to string) (Version, error) {
	current, hasCurrent := status.In(Current)
	_, ramps := status.In(Ramping)
	if to != "" {
		v, known := status.Find(to)
		if !known {
			return Version{}, fmt.Errorf("%s has no version %s; `holdfast deploy status` lists the versions",
				status.Deployment, to)
		}
		return v, nil
	}
	if ramps && hasCurrent {
		return current, nil
	}
	var last Version
	for _, v := range status.Versions {
		if v.BuildID != current.BuildID && v.LastCurrent.After(last.LastCurrent) {
			last = v
		}
	}
	if last.BuildID == "" {
		return Version{}, fmt.Errorf("no earlier version of %s was current; name one with --to", status.Deployment)
	}
	return last, nil
}

// NoteForced writes who forced a change and why into the metadata of the version, where `temporal worker deployment
// describe-version` shows it.
func (d *Deployment) NoteForced(ctx context.Context, buildID, change, reason, by string) error {
	_, err := d.handle().UpdateVersionMetadata(ctx, client.WorkerDeploymentUpdateVersionMetadataOptions{
		Version: worker.WorkerDeploymentVersion{DeploymentName: d.name, BuildID: buildID},
		MetadataUpdate: client.WorkerDeploymentMetadataUpdate{UpsertEntries: map[string]any{
			"holdfast-forced": map[string]string{
				"change": change,
				"reason": reason,
				"by":     by,
				"at":     time.Now().UTC().Format(time.RFC3339),
			},
		}},
	})
	return d.changed("note the reason on version "+buildID, err)
}

func (d *Deployment) handle() client.WorkerDeploymentHandle {
	return d.temporal.WorkerDeploymentClient().GetHandle(d.name)
}

// changed words the outcome of a change for operators.
func (d *Deployment) changed(what string, err error) error {
	if err == nil {
		return nil
	}
	var moved *serviceerror.FailedPrecondition
	var absent *serviceerror.NotFound
	switch {
	case errors.As(err, &absent):
		return fmt.Errorf("%s of %s: %w; has a worker with this TEMPORAL_WORKER_BUILD_ID polled? "+
			"`holdfast deploy status` lists the versions", what, d.name, err)
	case errors.As(err, &moved):
		return fmt.Errorf("%s of %s: %w; look at `holdfast deploy status` and try again", what, d.name, err)
	}
	return fmt.Errorf("%s of %s: %w", what, d.name, err)
}
