package availability

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/stock"
)

// database counts reads and ends each one when the test says so.
type database struct {
	reads atomic.Int32
	begun chan []uuid.UUID
	end   chan error
}

func newDatabase() *database {
	return &database{begun: make(chan []uuid.UUID, 100), end: make(chan error)}
}

func (d *database) read(ctx context.Context, products []uuid.UUID) ([]stock.Availability, error) {
	d.reads.Add(1)
	d.begun <- products
	select {
	case err := <-d.end:
		if err != nil {
			return nil, err
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	values := make([]stock.Availability, len(products))
	for i, p := range products {
		values[i].ProductID = p
	}
	return values, nil
}

type loaded struct {
	values []stock.Availability
	err    error
}

// startLoad calls load in a goroutine. It returns when load has called Done of its context, which shows that load waits
// for its result.
func startLoad(
	ctx context.Context, l *loads, missing map[uuid.UUID]string,
	onLoaded func(context.Context, []stock.Availability),
) <-chan loaded {
	waiting := &observedContext{Context: ctx, waiting: make(chan struct{})}
	result := make(chan loaded, 1)
	go func() {
		values, err := l.load(waiting, missing, onLoaded)
		result <- loaded{values, err}
	}()
	<-waiting.waiting
	return result
}

// observedContext closes waiting at the first call of Done.
type observedContext struct {
	context.Context
	asked   atomic.Bool
	waiting chan struct{}
}

func (c *observedContext) Done() <-chan struct{} {
	if c.asked.CompareAndSwap(false, true) {
		close(c.waiting)
	}
	return c.Context.Done()
}

func discard(context.Context, []stock.Availability) {}

func TestMissesShareOneRead(t *testing.T) {
	t.Parallel()
	const callers = 100
	d := newDatabase()
	l := newLoads(d.read)
	t.Cleanup(l.close)
	var stored atomic.Int32
	store := func(context.Context, []stock.Availability) { stored.Add(1) }
	a, b := uuid.New(), uuid.New()

	var results []<-chan loaded
	for range callers {
		results = append(results, startLoad(t.Context(), l, map[uuid.UUID]string{a: "1", b: "2"}, store))
	}
	require.ElementsMatch(t, []uuid.UUID{a, b}, <-d.begun)
	d.end <- nil

	for _, result := range results {
		r := <-result
		require.NoError(t, r.err)
		require.Len(t, r.values, 2)
	}
	require.EqualValues(t, 1, d.reads.Load())
	require.EqualValues(t, 1, stored.Load())
}

// A read that began before a change is not shared with a caller that came after the change.
func TestMissAfterAChangeReadsAgain(t *testing.T) {
	t.Parallel()
	d := newDatabase()
	l := newLoads(d.read)
	t.Cleanup(l.close)
	p := uuid.New()

	var results []<-chan loaded
	for _, known := range []string{"before", "after"} {
		results = append(results, startLoad(t.Context(), l, map[uuid.UUID]string{p: known}, discard))
		<-d.begun
	}

	require.EqualValues(t, 2, d.reads.Load())
	for range results {
		d.end <- nil
	}
	for _, result := range results {
		require.NoError(t, (<-result).err)
	}
}

func TestReadGoesOnWithoutTheCallerWhoBeganIt(t *testing.T) {
	t.Parallel()
	d := newDatabase()
	l := newLoads(d.read)
	t.Cleanup(l.close)
	missing := map[uuid.UUID]string{uuid.New(): ""}

	ctx, cancel := context.WithCancel(t.Context())
	first := startLoad(ctx, l, missing, discard)
	<-d.begun
	second := startLoad(t.Context(), l, missing, discard)
	cancel()
	require.ErrorIs(t, (<-first).err, context.Canceled, "it returns although the read has not ended")

	d.end <- nil
	r := <-second
	require.NoError(t, r.err)
	require.Len(t, r.values, 1)
	require.EqualValues(t, 1, d.reads.Load())
}

func TestFailedReadIsNotStored(t *testing.T) {
	t.Parallel()
	d := newDatabase()
	l := newLoads(d.read)
	t.Cleanup(l.close)
	errBroken := errors.New("broken")

	onLoaded := func(context.Context, []stock.Availability) {
		t.Error("the values of a failed read were stored")
	}
	result := startLoad(t.Context(), l, map[uuid.UUID]string{uuid.New(): ""}, onLoaded)
	<-d.begun
	d.end <- errBroken

	require.ErrorIs(t, (<-result).err, errBroken)
}

func TestCloseEndsReads(t *testing.T) {
	t.Parallel()
	d := newDatabase()
	l := newLoads(d.read)
	missing := map[uuid.UUID]string{uuid.New(): ""}
	result := startLoad(t.Context(), l, missing, discard)
	<-d.begun

	l.close()

	require.ErrorIs(t, (<-result).err, context.Canceled)
	_, err := l.load(t.Context(), missing, discard)
	require.ErrorIs(t, err, errClosed)
}

// A read that ends after its deadline is not stored: the cache may have forgotten the version that it would compare.
func TestLateReadIsNotStored(t *testing.T) {
	t.Parallel()
	var l *loads
	l = newLoads(func(ctx context.Context, products []uuid.UUID) ([]stock.Availability, error) {
		l.end()
		<-ctx.Done()
		return make([]stock.Availability, len(products)), nil
	})
	t.Cleanup(l.close)

	onLoaded := func(context.Context, []stock.Availability) {
		t.Error("the values of a late read were stored")
	}
	values, err := l.load(t.Context(), map[uuid.UUID]string{uuid.New(): ""}, onLoaded)

	require.NoError(t, err)
	require.Len(t, values, 1)
}
