// Package await waits until another process has done something, by asking again and again.
package await

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Until calls step at the given interval until step succeeds, step returns an error of Never, or ctx ends. It makes the
// first call at once. When ctx ends, the error wraps both the error of ctx and the last error of step.
func Until(ctx context.Context, interval time.Duration, step func() error) error {
	var last error
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		last = step()
		return struct{}{}, last
	}, backoff.WithBackOff(backoff.NewConstantBackOff(interval)), backoff.WithMaxElapsedTime(0))
	if err == nil || errors.Is(last, err) {
		return err
	}
	return errors.Join(err, last)
}

// Never marks an error that more waiting cannot resolve. Until then returns err itself.
func Never(err error) error { return backoff.Permanent(err) }
