package statistics

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

// calculation is a computation and a clock under the control of a test: the test decides how long each
// computation takes and when it ends.
type calculation struct {
	mu    sync.Mutex
	at    time.Time
	begun chan struct{}              // gets a value when a computation begins
	end   chan func(*Snapshot) error // ends the computation under way
	n     atomic.Int64
}

func newCalculation() *calculation {
	return &calculation{
		at:    time.Unix(1_000_000, 0),
		begun: make(chan struct{}, 100),
		end:   make(chan func(*Snapshot) error),
	}
}

func (c *calculation) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *calculation) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// compute numbers its snapshots by their items.
func (c *calculation) compute(ctx context.Context) (Snapshot, error) {
	out := Snapshot{Totals: inventoryapi.Statistics{Items: c.n.Add(1)}}
	c.begun <- struct{}{}
	select {
	case finish := <-c.end:
		return out, finish(&out)
	case <-ctx.Done():
		return out, ctx.Err()
	}
}

func after(c *calculation, d time.Duration, err error) func(*Snapshot) error {
	return func(*Snapshot) error { c.pass(d); return err }
}

func (c *calculation) snapshots(t *testing.T) *Snapshots {
	t.Helper()
	s := New(c.compute, c.now, slog.New(slog.DiscardHandler))
	t.Cleanup(s.Close)
	return s
}

// first computes the first snapshot, which takes the given time.
func (c *calculation) first(t *testing.T, s *Snapshots, took time.Duration) {
	t.Helper()
	go func() { <-c.begun; c.end <- after(c, took, nil) }()
	require.EqualValues(t, 1, number(t, s))
}

func number(t *testing.T, s *Snapshots) int64 {
	t.Helper()
	found, err := s.Latest(t.Context())
	require.NoError(t, err)
	return found.Totals.Items
}

// TestStatisticsAge: requests get a snapshot until it is fifty computations old, and also while the next one is
// computed. That computation runs once for any number of requests.
func TestStatisticsAge(t *testing.T) {
	t.Parallel()
	c := newCalculation()
	s := c.snapshots(t)
	c.first(t, s, 2*time.Second) // so that it may be 100 s old, counted from its beginning

	c.pass(97 * time.Second)
	require.EqualValues(t, 1, number(t, s))
	require.Empty(t, c.begun, "the next computation began too early")

	c.pass(time.Second)
	for range 20 {
		require.EqualValues(t, 1, number(t, s), "no request waits for a computation of seconds")
	}
	<-c.begun
	c.pass(time.Hour)
	require.EqualValues(t, 1, number(t, s))
	require.Empty(t, c.begun, "one computation at a time")

	c.end <- after(c, 0, nil)
	require.Eventually(t, func() bool { return number(t, s) == 2 }, 10*time.Second, time.Millisecond)
	require.Empty(t, c.begun)
}

// TestStatisticsOfSmallShop: if computing takes almost no time, a snapshot lasts a second. After that the answer is
// current, also if the last request was long ago.
func TestStatisticsOfSmallShop(t *testing.T) {
	t.Parallel()
	c := newCalculation()
	s := c.snapshots(t)
	s.patience = time.Minute // the machine may be busy
	c.first(t, s, time.Millisecond)
	c.pass(minAge - 2*time.Millisecond)
	require.EqualValues(t, 1, number(t, s))
	require.Empty(t, c.begun)
	c.pass(24 * time.Hour)
	go func() { <-c.begun; c.end <- after(c, time.Millisecond, nil) }()
	require.EqualValues(t, 2, number(t, s))
}

// TestStatisticsSlowerThanLast: if a computation takes much longer than the last one, requests get the old snapshot.
func TestStatisticsSlowerThanLast(t *testing.T) {
	t.Parallel()
	c := newCalculation()
	s := c.snapshots(t)
	s.patience = 2 * time.Millisecond
	c.first(t, s, time.Millisecond)
	c.pass(time.Hour)
	require.EqualValues(t, 1, number(t, s))
	<-c.begun
	c.end <- after(c, 0, nil)
}

// TestStatisticsFail: after a failed computation requests get the old snapshot, and not every request starts a new one.
func TestStatisticsFail(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	c := newCalculation()
	s := c.snapshots(t)
	go func() { <-c.begun; c.end <- after(c, 0, broken) }()
	_, err := s.Latest(t.Context())
	require.ErrorIs(t, err, broken, "there is no snapshot yet")
	go func() { <-c.begun; c.end <- after(c, time.Millisecond, nil) }()
	require.EqualValues(t, 2, number(t, s), "the next request tries again")

	c.pass(time.Hour)
	go func() { <-c.begun; c.end <- after(c, 5*time.Second, broken) }()
	require.EqualValues(t, 2, number(t, s))
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.took == 5*time.Second
	}, 10*time.Second, time.Millisecond)

	c.pass(ComputeLimit - 6*time.Second)
	require.EqualValues(t, 2, number(t, s))
	require.Empty(t, c.begun)
	c.pass(time.Second)
	require.EqualValues(t, 2, number(t, s))
	<-c.begun
}

// TestStatisticsClose: Close ends a computation and waits for it. A caller who waits for the first snapshot gets an
// error; a snapshot that exists is still returned.
func TestStatisticsClose(t *testing.T) {
	t.Parallel()
	c := newCalculation()
	s := c.snapshots(t)
	done := make(chan error)
	go func() {
		_, err := s.Latest(context.WithoutCancel(t.Context()))
		done <- err
	}()
	<-c.begun

	s.Close()
	require.Error(t, <-done)
	_, err := s.Latest(t.Context())
	require.ErrorIs(t, err, errClosed)
	require.Empty(t, c.begun, "no computation begins after Close")

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	waiting := c.snapshots(t)
	_, err = waiting.Latest(gone)
	require.ErrorIs(t, err, context.Canceled, "a caller that gives up does not wait")
}
