package groupcommit

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// The bounds of further attempts at a batch that lost a race or its connection.
const (
	maxAttempts   = 12
	maxReconnects = 3 // attempts without a usable connection
	maxTakeBacks  = 8 // attempts that found more rows to read; each next one counts as a conflict
	firstPause    = time.Millisecond
	maxPause      = 50 * time.Millisecond
)

// pause waits before attempt n+1, and reports whether there is time left. The pause doubles each time and has full
// jitter, so that two batches that collided once do not collide again.
func pause(ctx context.Context, n int) bool {
	limit := min(firstPause<<n, maxPause)
	t := time.NewTimer(time.Duration(rand.Int64N(int64(limit)))) //nolint:gosec // jitter needs no secrecy
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// repeatsMemory is how long the committer expects more repeated reserves after one.
const repeatsMemory = time.Second

// repeats remembers the time of the last repeated reserve. Callers repeat requests if answers are slow or lost,
// and then many callers do so.
type repeats struct{ last atomic.Int64 } // nanoseconds since 1970

func (r *repeats) note() { r.last.Store(time.Now().UnixNano()) }

func (r *repeats) recent() bool { return time.Now().UnixNano()-r.last.Load() < int64(repeatsMemory) }
