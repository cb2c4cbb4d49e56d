package inventory

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/stock"
)

// job is a request that concerns some products.
type job struct {
	stock.Request
	n            int
	keys         []uuid.UUID
	reservations []uuid.UUID
}

func (j job) Reads(r *stock.Reads) {
	r.Products = append(r.Products, j.keys...)
	r.Reservations = append(r.Reservations, j.reservations...)
}

func key(n byte) uuid.UUID { return uuid.UUID{n} }

// workbench is a committer whose batches wait until the test lets them end.
type workbench struct {
	*committer
	begun chan []int    // the jobs of each batch, when it begins
	end   chan struct{} // one for each batch that may end
}

func newWorkbench(limit int) *workbench {
	w := &workbench{begun: make(chan []int, 100), end: make(chan struct{})}
	w.committer = newCommitter(limit, func(batch []stock.Request, answers []answer, _ bool) bool {
		var jobs []int
		for i, r := range batch {
			jobs = append(jobs, r.(job).n)
			answers[i].value = r.(job).n
		}
		w.begun <- jobs
		<-w.end
		return false
	})
	return w
}

// enqueued submits a job and returns once it waits or is under way.
func (w *workbench) enqueued(t *testing.T, ctx context.Context, n int, keys ...byte) chan error {
	t.Helper()
	j := job{n: n}
	for _, k := range keys {
		j.keys = append(j.keys, key(k))
	}
	w.mu.Lock()
	before := len(w.claims) + w.sum()
	w.mu.Unlock()
	result := make(chan error, 1)
	go func() {
		answers, err := w.submit(ctx, []stock.Request{j})
		if err == nil && answers[0].value != n {
			t.Errorf("job %d was answered %v", n, answers[0].value)
		}
		result <- err
	}()
	require.Eventually(t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.claims)+w.sum() > before
	}, 5*time.Second, 50*time.Microsecond)
	return result
}

func (w *workbench) sum() (n int) {
	for _, c := range w.claims {
		n += c
	}
	return n
}

// TestBatchFormsWhileOneCommits: a lone request goes at once; what comes for the same stock meanwhile
// goes together, in order; other stock does not wait for it.
func TestBatchFormsWhileOneCommits(t *testing.T) {
	t.Parallel()
	w := newWorkbench(100)
	results := []chan error{w.enqueued(t, t.Context(), 1, 'a')}
	require.Equal(t, []int{1}, <-w.begun)
	results = append(results, w.enqueued(t, t.Context(), 2, 'a'), w.enqueued(t, t.Context(), 3, 'a', 'b'), w.enqueued(t, t.Context(), 4, 'b'))
	results = append(results, w.enqueued(t, t.Context(), 5, 'c'))
	require.Equal(t, []int{5}, <-w.begun, "other stock goes at once; 4 must not overtake 3 on b")
	w.end <- struct{}{}
	w.end <- struct{}{}
	require.Equal(t, []int{2, 3, 4}, <-w.begun)
	w.end <- struct{}{}
	for _, r := range results {
		require.NoError(t, <-r)
	}
	w.close()
	require.Empty(t, w.claims)
	require.Empty(t, w.busy)
	require.Zero(t, w.queued)
}

// TestGoneCallerIsNotServed: a request whose caller gave up before its batch began does not happen.
func TestGoneCallerIsNotServed(t *testing.T) {
	t.Parallel()
	w := newWorkbench(100)
	first := w.enqueued(t, t.Context(), 1, 'a')
	require.Equal(t, []int{1}, <-w.begun)
	ctx, cancel := context.WithCancel(t.Context())
	gone, stays := w.enqueued(t, ctx, 2, 'a'), w.enqueued(t, t.Context(), 3, 'a')
	cancel()
	require.ErrorIs(t, <-gone, context.Canceled)
	w.end <- struct{}{}
	require.Equal(t, []int{3}, <-w.begun)
	w.end <- struct{}{}
	require.NoError(t, <-first)
	require.NoError(t, <-stays)
	_, err := w.submit(ctx, []stock.Request{job{n: 4}})
	require.ErrorIs(t, err, context.Canceled)
	w.close()
	require.Empty(t, w.claims)
}

// TestQueueIsBounded: what finds the queue full is refused at once and does not happen; what waits
// does.
func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorkbench(2)
	results := []chan error{w.enqueued(t, t.Context(), 1, 'a')}
	<-w.begun
	results = append(results, w.enqueued(t, t.Context(), 2, 'a'), w.enqueued(t, t.Context(), 3, 'a'))
	_, err := w.submit(t.Context(), []stock.Request{job{n: 4, keys: []uuid.UUID{key('a')}}})
	require.ErrorIs(t, err, errQueueFull)
	require.EqualValues(t, 2, w.waitingNow())
	w.end <- struct{}{}
	require.Equal(t, []int{2, 3}, <-w.begun)
	w.end <- struct{}{}
	for _, r := range results {
		require.NoError(t, <-r)
	}
}

// TestQueueKeepsRoomForOthers: those who want one product cannot fill the queue, however long it is stuck;
// who wants another finds room, and what was let in is done.
func TestQueueKeepsRoomForOthers(t *testing.T) {
	t.Parallel()
	w := newWorkbench(20)
	var results []chan error
	for i, k := range []byte{'a', 'b'} { // both are stuck
		results = append(results, w.enqueued(t, t.Context(), i, k))
		require.Equal(t, []int{i}, <-w.begun)
	}
	full := func(keys ...uuid.UUID) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.full(&unit{requests: make([]stock.Request, 1), products: keys})
	}
	fill := func(k byte) (n int) {
		for ; !full(key(k)); n++ {
			results = append(results, w.enqueued(t, t.Context(), len(results), k))
		}
		return n
	}
	require.Equal(t, 16, fill('a'), "four fifths")
	require.False(t, full(key('c')))
	require.True(t, full(key('c'), key('a')), "it would wait for a as well")
	require.Equal(t, 4, fill('b'))
	require.True(t, full(key('c')), "nothing is free")
	for range 4 {
		w.end <- struct{}{}
	}
	for _, r := range results {
		require.NoError(t, <-r)
	}
	w.close()
	require.Empty(t, w.claims)
	require.Empty(t, w.crowds)
	require.Zero(t, w.queued)
}

// TestConfirmationsLeaveRoom: confirmations, of which it is not known what they concern, do not fill the queue
// either.
func TestConfirmationsLeaveRoom(t *testing.T) {
	t.Parallel()
	w := newWorkbench(20)
	const most = 16
	results := make(chan error, most+1)
	for n := range most + 1 {
		go func() {
			_, err := w.submit(context.WithoutCancel(t.Context()), []stock.Request{job{n: n, reservations: []uuid.UUID{uuid.New()}}})
			results <- err
		}()
		if n == 0 {
			<-w.begun
		}
		require.Eventually(t, func() bool { return int(w.waitingNow()) == n }, 5*time.Second, 50*time.Microsecond)
	}
	_, err := w.submit(t.Context(), []stock.Request{job{reservations: []uuid.UUID{uuid.New()}}})
	require.ErrorIs(t, err, errQueueFull)
	product := w.enqueued(t, t.Context(), 100, 'a')
	require.Equal(t, []int{100}, <-w.begun)
	for range 3 {
		w.end <- struct{}{}
	}
	for range most + 1 {
		require.NoError(t, <-results)
	}
	require.NoError(t, <-product)
	w.close()
	require.Empty(t, w.claims)
	require.Empty(t, w.crowds)
}

// TestLockedStockIsKeptApart: a batch that finds stock locked is gathered anew, so that only who wants
// that stock waits for it, also later, until a batch of it succeeds.
func TestLockedStockIsKeptApart(t *testing.T) {
	t.Parallel()
	type batch struct {
		jobs   []int
		others bool
	}
	begun, verdict := make(chan batch, 100), make(chan bool)
	w := &workbench{}
	w.committer = newCommitter(100, func(requests []stock.Request, answers []answer, others bool) bool {
		b := batch{others: others}
		for i, r := range requests {
			b.jobs = append(b.jobs, r.(job).n)
			answers[i].value = r.(job).n
		}
		begun <- b
		return <-verdict
	})
	var results []chan error
	submit := func(n int, keys ...byte) { results = append(results, w.enqueued(t, t.Context(), n, keys...)) }
	submit(1, 'a', 'x', 'b', 'c')
	require.Equal(t, batch{[]int{1}, false}, <-begun)
	submit(2, 'a')
	submit(3, 'x')
	submit(4, 'x')
	submit(5, 'b')
	verdict <- false
	require.Equal(t, batch{[]int{2, 3, 4, 5}, true}, <-begun)
	verdict <- true // somebody holds x
	apart := []batch{<-begun, <-begun, <-begun}
	require.ElementsMatch(t, []batch{{[]int{2}, false}, {[]int{3, 4}, false}, {[]int{5}, false}}, apart)
	submit(6, 'c')
	require.Equal(t, batch{[]int{6}, false}, <-begun, "a lane is left for others")
	for range 4 {
		verdict <- true // x is still held; of the others nobody asks again
	}
	for _, r := range results {
		require.NoError(t, <-r)
	}
	require.Eventually(t, func() bool { // callers are answered before what was learned of their stock is noted
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.running > 0 {
			return false
		}
		w.locked = map[uuid.UUID]time.Time{key('x'): time.Now()}
		return true
	}, 5*time.Second, 50*time.Microsecond)
	submit(7, 'x', 'y')
	require.Equal(t, batch{[]int{7}, false}, <-begun)
	submit(8, 'y')
	submit(9, 'x')
	verdict <- false // x is free: from now on it is like any other
	require.Equal(t, batch{[]int{8, 9}, true}, <-begun)
	verdict <- false
	w.close()
	require.Empty(t, w.claims)
	require.Empty(t, w.locked)
	require.Zero(t, w.queued)
}

// TestCloseDrains: what was accepted is done, what comes later is refused.
func TestCloseDrains(t *testing.T) {
	t.Parallel()
	w := newWorkbench(100)
	results := []chan error{w.enqueued(t, t.Context(), 1, 'a')}
	<-w.begun
	results = append(results, w.enqueued(t, t.Context(), 2, 'a'))
	closed := make(chan struct{})
	go func() { w.close(); close(closed) }()
	require.Eventually(t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.closed
	}, 5*time.Second, 50*time.Microsecond)
	_, err := w.submit(t.Context(), []stock.Request{job{n: 3}})
	require.ErrorIs(t, err, errClosed)
	select {
	case <-closed:
		t.Fatal("it closed while a batch was under way")
	default:
	}
	w.end <- struct{}{}
	<-w.begun
	w.end <- struct{}{}
	<-closed
	for _, r := range results {
		require.NoError(t, <-r)
	}
}

// TestCommitterUnderLoad: whatever comes at once, everybody is answered once, no stock is in two
// batches at a time and per caller and stock the order holds.
func TestCommitterUnderLoad(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	under := map[uuid.UUID]bool{}
	last := map[[2]uuid.UUID]int{} // by caller and key
	sizes := 0
	c := newCommitter(1000, func(batch []stock.Request, answers []answer, _ bool) bool {
		mu.Lock()
		mine := map[uuid.UUID]bool{}
		for i, r := range batch {
			j := r.(job)
			for _, k := range j.keys[1:] {
				if under[k] && !mine[k] {
					t.Errorf("%s is in two batches", k)
				}
				under[k], mine[k] = true, true
				at := [2]uuid.UUID{j.keys[0], k}
				if last[at] >= j.n {
					t.Errorf("%d came after %d", j.n, last[at])
				}
				last[at] = j.n
			}
			answers[i].value = j.n
		}
		sizes += len(batch)
		mu.Unlock()
		for range rand.IntN(500) {
			_ = rand.IntN(2)
		}
		mu.Lock()
		for k := range mine {
			delete(under, k)
		}
		mu.Unlock()
		return false
	})
	const callers, each = 24, 200
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for n := 1; n <= each; n++ {
				j := job{n: n, keys: []uuid.UUID{{0xff, byte(i)}}}
				for range 1 + rand.IntN(3) {
					if k := key(byte(rand.IntN(8))); !slices.Contains(j.keys, k) {
						j.keys = append(j.keys, k)
					}
				}
				answers, err := c.submit(context.Background(), []stock.Request{j})
				if err != nil || answers[0].value != n {
					t.Errorf("answer %v, error %v", answers, err)
				}
			}
		})
	}
	wg.Wait()
	c.close()
	require.Equal(t, callers*each, sizes)
	require.Empty(t, c.claims)
	require.Empty(t, c.crowds)
	require.Empty(t, c.busy)
	require.Zero(t, c.running)
}
