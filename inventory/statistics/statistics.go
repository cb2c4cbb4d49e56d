// Package statistics keeps recent statistics of the stock. Computing them scans all items, which takes about a second
// for a million items, so no request computes its own. All requests get the last snapshot. If a request finds it too
// old, one goroutine computes the next snapshot in the background.
package statistics

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"holdfast/inventory/inventoryapi"
)

// ComputeLimit bounds one computation. A computation that takes longer fails.
const ComputeLimit = time.Minute

// The bounds of a snapshot's age, and of the time that a request waits for a newer snapshot.
const (
	// ageFactor is how many times its computation's duration a snapshot is used, so that computations take at most 2 % of
	// a core.
	ageFactor = 50
	// minAge is how long a snapshot is used at least, if its computation takes almost no time.
	minAge = time.Second
	// firstWait is how long a request waits for the first snapshot, or for the first one after quiet. Clients wait 5 s
	// for a read.
	firstWait = 4 * time.Second
	// quiet is how long a snapshot must be overdue to show that no request has asked for a while.
	quiet = 10 * time.Second
	// defaultPatience is how long a request waits for a newer snapshot if the last computation took less than that.
	defaultPatience = 50 * time.Millisecond
)

var (
	errNoSnapshot = errors.New("the first statistics are still being computed")
	errClosed     = errors.New("the service is stopping")
)

// Snapshot is the result of one computation.
type Snapshot struct {
	Totals inventoryapi.Statistics
	Most   inventoryapi.MostReserved // the longest list that a client may ask for
}

// Snapshots remembers the last snapshot. It is safe for concurrent use.
type Snapshots struct {
	compute  func(context.Context) (Snapshot, error)
	now      func() time.Time // a monotonic clock; tests have their own
	log      *slog.Logger
	patience time.Duration // defaultPatience; tests have their own

	flight singleflight.Group
	life   context.Context // ends with Close
	end    context.CancelFunc

	mu     sync.Mutex
	latest *Snapshot
	took   time.Duration // the duration of the latest computation, also if it failed
	next   time.Time     // no computation begins before this moment
}

// New returns Snapshots of what compute returns; now is a monotonic clock.
func New(compute func(context.Context) (Snapshot, error), now func() time.Time, log *slog.Logger) *Snapshots {
	s := &Snapshots{compute: compute, now: now, log: log, patience: defaultPatience}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// Latest returns the latest snapshot. If it is too old, Latest starts the computation of the next one and waits for it:
// briefly if the last computation was quick, and as long as for the first snapshot if no request has asked for a while,
// so that a client who asks once a day does not get yesterday's figures. If the next snapshot is not ready by then, or
// its computation fails, Latest returns the old one; without an old one it returns an error.
func (s *Snapshots) Latest(ctx context.Context) (*Snapshot, error) {
	latest, due, wait := s.state()
	if !due {
		return latest, nil
	}
	done := s.flight.DoChan("", s.refresh)
	if wait == 0 {
		return latest, nil
	}

	timer := time.NewTimer(wait)
	defer timer.Stop()
	var err error
	select {
	case r := <-done:
		if r.Err == nil {
			return r.Val.(*Snapshot), nil
		}
		err = r.Err
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		err = errNoSnapshot
	}
	if latest == nil {
		return nil, err
	}
	return latest, nil
}

// state returns the latest snapshot, whether the next one is due, and how long a request waits for it.
func (s *Snapshots) state() (latest *Snapshot, due bool, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.latest == nil, s.now().Sub(s.next) > quiet:
		wait = firstWait
	case s.took < s.patience:
		wait = s.patience
	}
	return s.latest, s.latest == nil || !s.now().Before(s.next), wait
}

// refresh computes a snapshot for the callers who wait and for later callers. No caller's context ends it.
func (s *Snapshots) refresh() (any, error) {
	if s.life.Err() != nil {
		return nil, errClosed
	}
	s.mu.Lock()
	latest, next := s.latest, s.next
	s.mu.Unlock()
	if latest != nil && s.now().Before(next) {
		return latest, nil // another call computed it between state and here
	}

	ctx, cancel := context.WithTimeout(s.life, ComputeLimit)
	defer cancel()
	begin := s.now()
	found, err := s.compute(ctx)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = s.now().Sub(begin)
	s.next = begin.Add(max(minAge, ageFactor*s.took))
	if err != nil {
		// If the computation waited long for the database, the next attempt comes sooner: the database may be back.
		s.next = begin.Add(max(minAge, min(ageFactor*s.took, ComputeLimit)))
		if s.life.Err() == nil {
			s.log.Warn("the statistics could not be computed; the last ones stay", "error", err)
		}
		return nil, err
	}
	s.latest = &found
	return s.latest, nil
}

// Close ends a computation under way and waits for it. Latest goes on returning the last snapshot.
func (s *Snapshots) Close() {
	s.end()
	<-s.flight.DoChan("", s.refresh)
}
