package workers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"holdfast/internal/await"
)

// MakeCurrent makes buildID the version that new orders of the deployment start on. It waits until a worker of the
// version has polled: a fresh server does not know the version before that, and without a current version no versioned
// worker gets any task. It is idempotent.
func MakeCurrent(ctx context.Context, c client.Client, deployment, buildID string) error {
	handle := c.WorkerDeploymentClient().GetHandle(deployment)
	err := await.Until(ctx, 100*time.Millisecond, func() error {
		_, err := handle.SetCurrentVersion(ctx, client.WorkerDeploymentSetCurrentVersionOptions{BuildID: buildID})
		if err != nil && !mayPass(err) {
			return await.Never(err)
		}
		return err
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("make version %s of %s current: %w; is a worker with TEMPORAL_WORKER_BUILD_ID=%s running?",
			buildID, deployment, err, buildID)
	}
	return fmt.Errorf("make version %s of %s current: %w", buildID, deployment, err)
}

// mayPass reports whether the server may accept the version later: it has not seen the version's workers yet, is busy
// with another change of the deployment, or is still starting.
func mayPass(err error) bool {
	var notFound *serviceerror.NotFound
	var precondition *serviceerror.FailedPrecondition
	var unavailable *serviceerror.Unavailable
	var exhausted *serviceerror.ResourceExhausted
	var deadline *serviceerror.DeadlineExceeded
	return errors.As(err, &notFound) || errors.As(err, &precondition) || errors.As(err, &unavailable) ||
		errors.As(err, &exhausted) || errors.As(err, &deadline)
}
