package temporalclient

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
)

// ProbeServer returns a check that Temporal answers.
func ProbeServer(c client.Client) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := c.CheckHealth(ctx, &client.CheckHealthRequest{})
		return err
	}
}

// UnlessDown returns the check, but with success while Temporal does not answer: then it is not known what is missing.
func UnlessDown(probe func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		err := probe(ctx)
		var away *serviceerror.Unavailable
		var late *serviceerror.DeadlineExceeded
		if errors.As(err, &away) || errors.As(err, &late) || errors.Is(err, context.DeadlineExceeded) {
			return nil
		}
		return err
	}
}

// ProbeNamespace returns a check that Temporal answers and that the namespace has what a new order needs. Once the
// namespace has that, it checks only that Temporal answers.
func ProbeNamespace(
	c client.Client,
	namespace string,
	attributes map[string]enumspb.IndexedValueType,
) func(context.Context) error {
	var prepared atomic.Bool
	return func(ctx context.Context) error {
		if prepared.Load() {
			return ProbeServer(c)(ctx)
		}
		err := CheckNamespace(ctx, c, namespace, attributes)
		prepared.Store(err == nil)
		return err
	}
}

// ProbeCurrentVersion returns a check that the deployment has a current version, without which no worker gets a new
// order. After its first success it asks no more, because a deployment keeps a current version.
func ProbeCurrentVersion(c client.Client, deployment string) func(context.Context) error {
	var found atomic.Bool
	return func(ctx context.Context) error {
		if found.Load() {
			return nil
		}
		err := CheckCurrentVersion(ctx, c, deployment)
		found.Store(err == nil)
		return err
	}
}

// CheckCurrentVersion returns nil if the deployment has a current version. Otherwise its error says what to do. It
// changes nothing.
func CheckCurrentVersion(ctx context.Context, c client.Client, deployment string) error {
	info, err := c.WorkerDeploymentClient().GetHandle(deployment).Describe(ctx, client.WorkerDeploymentDescribeOptions{})
	var absent *serviceerror.NotFound
	switch {
	case errors.As(err, &absent):
		return fmt.Errorf("no worker of the deployment %s has polled yet; start one, "+
			"then run `holdfast deploy set-current BUILD_ID`", deployment)
	case err != nil:
		return fmt.Errorf("describe the deployment %s: %w", deployment, err)
	case info.Info.RoutingConfig.CurrentVersion == nil:
		return fmt.Errorf("no version of the deployment %s is current, so no worker gets a new order; "+
			"run `holdfast deploy set-current BUILD_ID`", deployment)
	}
	return nil
}
