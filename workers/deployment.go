package workers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
)

// MakeCurrent makes buildID the version that new orders of the deployment start on. It waits until a
// worker of that version has polled: a fresh server does not know the version before, and without a
// current version no versioned worker gets any task. It is idempotent.
func MakeCurrent(ctx context.Context, c client.Client, deployment, buildID string) error {
	handle := c.WorkerDeploymentClient().GetHandle(deployment)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := handle.SetCurrentVersion(ctx, client.WorkerDeploymentSetCurrentVersionOptions{BuildID: buildID})
		if err == nil {
			return nil
		}
		if !mayPass(err) {
			return fmt.Errorf("make version %s of %s current: %w", buildID, deployment, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("make version %s of %s current: %w; is a worker with TEMPORAL_WORKER_BUILD_ID=%s running?",
				buildID, deployment, errors.Join(ctx.Err(), err), buildID)
		case <-tick.C:
		}
	}
}

// mayPass reports whether the server may accept the version later: it has not seen its workers yet, is
// busy with another change of the deployment, or is still starting.
func mayPass(err error) bool {
	var notFound *serviceerror.NotFound
	var precondition *serviceerror.FailedPrecondition
	var unavailable *serviceerror.Unavailable
	var exhausted *serviceerror.ResourceExhausted
	var deadline *serviceerror.DeadlineExceeded
	return errors.As(err, &notFound) || errors.As(err, &precondition) || errors.As(err, &unavailable) ||
		errors.As(err, &exhausted) || errors.As(err, &deadline)
}
