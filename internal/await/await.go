// Package await waits for something that another process brings about, by asking for it again and again.
package await

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Until calls step at the given interval until it succeeds, returns an error of Never, or ctx ends. The first call is
// made at once. When ctx ends, the error holds both ctx's and the one that step returned last.
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

// Never marks an error that waiting does not mend. Until returns the error itself.
func Never(err error) error { return backoff.Permanent(err) }
