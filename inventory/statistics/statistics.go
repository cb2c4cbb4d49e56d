// Package statistics keeps recent statistics of the stock. Computing them scans all items, which takes about a second
// for a million items, so no request computes its own: all requests are answered from the last snapshot, and the next one
// is computed aside, by one goroutine at most and only if a request asks for figures that are too old.
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

// ComputeLimit bounds one computation; one that takes longer is given up.
const ComputeLimit = time.Minute

// How old a snapshot may be, and how long a request may wait for a newer one.
const (
	// ageFactor is a snapshot's age in computations, so that they take at most 2 % of a core.
	ageFactor = 50
	// minAge is a snapshot's age where a computation takes almost no time.
	minAge = time.Second
	// firstWait is for the first snapshot, or one after quiet; clients wait 5 s for a read.
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
	took   time.Duration // by the latest computation, failed ones included
	next   time.Time     // no computation begins before it
}

// New returns Snapshots of what compute returns; now is a monotonic clock.
func New(compute func(context.Context) (Snapshot, error), now func() time.Time, log *slog.Logger) *Snapshots {
	s := &Snapshots{compute: compute, now: now, log: log, patience: defaultPatience}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// Latest returns the latest snapshot. If it is too old, Latest has the next one computed and waits for it: briefly if
// the last computation was quick, and as long as for the first snapshot if no request has asked for a while, so that a
// client who asks once a day is not answered with yesterday's figures. If the next snapshot is not ready by then, or
// fails, Latest returns the old one; without an old one it returns an error.
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

// refresh computes a snapshot for all callers, those who wait and those who come later: no caller's context ends it.
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
		// After a computation that waited long for the database, the next attempt comes sooner: the database may be back.
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
