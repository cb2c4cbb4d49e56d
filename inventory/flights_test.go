package inventory

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

// loader counts reads of the database and can hold them up.
type loader struct {
	loads atomic.Int32
	begun chan []uuid.UUID
	allow chan error
}

func newLoader() *loader { return &loader{begun: make(chan []uuid.UUID, 100), allow: make(chan error)} }

func (l *loader) load(ctx context.Context, products []uuid.UUID) ([]inventoryapi.Availability, error) {
	l.loads.Add(1)
	l.begun <- products
	select {
	case err := <-l.allow:
		if err != nil {
			return nil, err
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	values := make([]inventoryapi.Availability, len(products))
	for i, p := range products {
		values[i] = inventoryapi.Availability{ProductID: p}
	}
	return values, nil
}

func nowhere(context.Context, []inventoryapi.Availability) {}

// boarded waits until so many callers have joined.
func boarded(t *testing.T, n *atomic.Int32, want int32) {
	t.Helper()
	require.Eventually(t, func() bool { return n.Load() == want }, 10*time.Second, time.Millisecond)
}

// TestMissesShareOneRead: 100 callers miss the same product, one reads it, one stores it.
func TestMissesShareOneRead(t *testing.T) {
	t.Parallel()
	l := newLoader()
	f := newFlights(l.load)
	t.Cleanup(f.close)
	p := missing{uuid.New(), "the same"}
	var arrived, stored, got atomic.Int32
	var all sync.WaitGroup
	all.Go(func() {
		values, err := f.get(t.Context(), []missing{p}, func(context.Context, []inventoryapi.Availability) { stored.Add(1) })
		if err == nil && len(values) == 1 {
			got.Add(1)
		}
	})
	<-l.begun
	for range 99 {
		all.Go(func() {
			fl, err := f.board(t.Context(), []missing{p}, nowhere)
			arrived.Add(1)
			if err == nil {
				<-fl[0].done
				if fl[0].found {
					got.Add(1)
				}
			}
		})
	}
	boarded(t, &arrived, 99)
	l.allow <- nil
	all.Wait()
	require.EqualValues(t, []int32{1, 1, 100}, []int32{l.loads.Load(), stored.Load(), got.Load()})
	require.Empty(t, f.under)
}

// TestWhoSawAChangeReadsAgain: a read that began before the change is not for who came after it.
func TestWhoSawAChangeReadsAgain(t *testing.T) {
	t.Parallel()
	l := newLoader()
	f := newFlights(l.load)
	t.Cleanup(f.close)
	p := uuid.New()
	for _, known := range []string{"before", "after"} {
		_, err := f.board(t.Context(), []missing{{p, known}}, nowhere)
		require.NoError(t, err)
		<-l.begun
	}
	require.EqualValues(t, 2, l.loads.Load())
	l.allow <- nil
	l.allow <- nil
}

// TestOneStatementForWhatNobodyReads: of many products, those under way are waited for and the rest are
// read together.
func TestOneStatementForWhatNobodyReads(t *testing.T) {
	t.Parallel()
	l := newLoader()
	f := newFlights(l.load)
	t.Cleanup(f.close)
	a, b, c := uuid.New(), uuid.New(), uuid.New()
	_, err := f.board(t.Context(), []missing{{a, ""}}, nowhere)
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{a}, <-l.begun)
	result := make(chan int, 1)
	go func() {
		values, _ := f.get(t.Context(), []missing{{a, ""}, {b, ""}, {c, ""}}, nowhere)
		result <- len(values)
	}()
	second := <-l.begun
	require.Len(t, second, 2)
	require.True(t, slices.Contains(second, b) && slices.Contains(second, c))
	l.allow <- nil
	l.allow <- nil
	require.Equal(t, 3, <-result)
}

// TestReadGoesOnForOthers when the caller who began it goes away, who is not held up; an error is
// everybody's, and nothing is stored then.
func TestReadGoesOnForOthers(t *testing.T) {
	t.Parallel()
	l := newLoader()
	f := newFlights(l.load)
	t.Cleanup(f.close)
	p := []missing{{uuid.New(), ""}}
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := f.get(ctx, p, nowhere)
		first <- err
	}()
	<-l.begun
	others, err := f.board(t.Context(), p, nowhere)
	require.NoError(t, err)
	cancel()
	require.ErrorIs(t, <-first, context.Canceled)
	l.allow <- nil
	<-others[0].done
	require.True(t, others[0].found)

	broken := errors.New("broken")
	go func() { l.allow <- broken }()
	_, err = f.get(t.Context(), p, func(context.Context, []inventoryapi.Availability) { t.Error("stored") })
	require.ErrorIs(t, err, broken)
	require.EqualValues(t, 2, l.loads.Load())
}

// TestCloseEndsReads that are under way, and refuses more.
func TestCloseEndsReads(t *testing.T) {
	t.Parallel()
	l := newLoader()
	f := newFlights(l.load)
	p := []missing{{uuid.New(), ""}}
	all, err := f.board(t.Context(), p, nowhere)
	require.NoError(t, err)
	<-l.begun
	f.close()
	<-all[0].done
	require.ErrorIs(t, all[0].err, context.Canceled)
	_, err = f.get(t.Context(), p, nowhere)
	require.ErrorIs(t, err, errClosing)
}
