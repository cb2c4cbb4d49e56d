package inventory

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"holdfast/inventory/inventoryapi"
)

// How old figures may be, and how long they may take. Computing them is a scan of all items, which no
// request may pay for: with a million items it takes about a second.
const (
	ageFactor    = 50                    // a snapshot's age in computations: they cost 2 % of a core at most
	minAge       = time.Second           // however fast the computation is
	computeLimit = time.Minute           // one computation; more is given up
	firstWait    = 4 * time.Second       // for the very first snapshot, or after quiet; clients have 5 s for a read
	quiet        = 10 * time.Second      // so long overdue, nobody has asked for a while
	patience     = 50 * time.Millisecond // for a fresher snapshot, where the last took less than this
)

var errNoSnapshot = errors.New("the first statistics are still being computed")

// snapshot is what one computation found.
type snapshot struct {
	totals inventoryapi.Statistics
	most   inventoryapi.MostReserved // the longest list that may be asked for
}

// statistics remembers the last snapshot and computes the next one aside, in one goroutine at most
// and only when somebody asks for figures that are too old.
type statistics struct {
	compute func(context.Context) (snapshot, error)
	now     func() time.Time // a monotonic clock; tests have their own
	log     *slog.Logger

	patience time.Duration // the constant; tests have their own

	flight singleflight.Group
	life   context.Context // ends with close
	end    context.CancelFunc

	mu     sync.Mutex
	latest *snapshot
	took   time.Duration // by the latest computation, failed ones included
	next   time.Time     // not computed again before
}

func newStatistics(compute func(context.Context) (snapshot, error), now func() time.Time, log *slog.Logger) *statistics {
	s := &statistics{compute: compute, now: now, log: log, patience: patience}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// get returns the latest snapshot. One that is too old has the next computed, which is waited for a
// moment where it takes no longer, and like the first where nobody has asked for a while: whoever asks
// once a day is not answered with yesterday's figures.
func (s *statistics) get(ctx context.Context) (*snapshot, error) {
	s.mu.Lock()
	latest, wait := s.latest, time.Duration(0)
	due := latest == nil || !s.now().Before(s.next)
	switch {
	case latest == nil, s.now().Sub(s.next) > quiet:
		wait = firstWait
	case s.took < s.patience:
		wait = s.patience
	}
	s.mu.Unlock()
	if !due {
		return latest, nil
	}
	done := s.flight.DoChan("", s.refresh)
	if wait == 0 {
		return latest, nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case r := <-done:
		if r.Err == nil {
			return r.Val.(*snapshot), nil
		}
		if latest == nil {
			return nil, r.Err
		}
		return latest, nil
	case <-ctx.Done():
		if latest == nil {
			return nil, ctx.Err()
		}
		return latest, nil
	case <-t.C:
		if latest == nil {
			return nil, errNoSnapshot
		}
		return latest, nil
	}
}

// refresh computes a snapshot, for whoever waits and whoever comes later: no caller's context ends it.
func (s *statistics) refresh() (any, error) {
	if s.life.Err() != nil {
		return nil, errClosed
	}
	s.mu.Lock()
	latest, next := s.latest, s.next
	s.mu.Unlock()
	if latest != nil && s.now().Before(next) {
		return latest, nil // computed between the caller's look and its turn
	}
	ctx, cancel := context.WithTimeout(s.life, computeLimit)
	defer cancel()
	begin := s.now()
	found, err := s.compute(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = s.now().Sub(begin)
	s.next = begin.Add(max(minAge, ageFactor*s.took))
	if err != nil {
		// The database may be back long before a computation that waited for it may cost the next one.
		s.next = begin.Add(max(minAge, min(ageFactor*s.took, computeLimit)))
		if s.life.Err() == nil {
			s.log.Warn("the statistics could not be computed; the last ones stay", "error", err)
		}
		return nil, err
	}
	s.latest = &found
	return s.latest, nil
}

// close ends a computation under way and waits for it; get goes on answering what is remembered.
func (s *statistics) close() {
	s.end()
	<-s.flight.DoChan("", s.refresh)
}

// Statistics implements inventoryapi.Queries.
func (s *Service) Statistics(ctx context.Context) (inventoryapi.Statistics, error) {
	found, err := s.statistics.get(ctx)
	if err != nil {
		return inventoryapi.Statistics{}, unavailable(err)
	}
	return found.totals, nil
}

// MostReserved implements inventoryapi.Queries.
func (s *Service) MostReserved(ctx context.Context, limit int) (inventoryapi.MostReserved, error) {
	limit, err := limitOf(limit, inventoryapi.DefaultMostReserved, inventoryapi.MaxMostReserved)
	if err != nil {
		return inventoryapi.MostReserved{}, err
	}
	found, err := s.statistics.get(ctx)
	if err != nil {
		return inventoryapi.MostReserved{}, unavailable(err)
	}
	out := found.most
	n := min(limit, len(out.Items))
	out.Items = out.Items[:n:n] // shared with other callers: none may grow into it
	return out, nil
}

// computeStatistics reads one snapshot from the database.
func (s *Service) computeStatistics(ctx context.Context) (snapshot, error) {
	totals, most, err := s.store.Statistics(ctx, inventoryapi.MaxMostReserved, computeLimit)
	return snapshot{totals, most}, err
}
