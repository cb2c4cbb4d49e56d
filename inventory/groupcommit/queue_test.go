package groupcommit

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/stock"
)

// patience is the longest time that a test waits for an event.
const patience = 30 * time.Second

// numbered is a task with a number, which records that it was decided.
type numbered struct {
	Task
	n       int
	needs   stock.Reads
	decided bool
}

func newNumbered(n int, products ...uuid.UUID) *numbered {
	return &numbered{n: n, needs: stock.Reads{Products: products}}
}

// confirmation returns a task that names a reservation whose products are unknown.
func confirmation(n int) *numbered {
	return &numbered{n: n, needs: stock.Reads{Reservations: []uuid.UUID{uuid.New()}}}
}

func (t *numbered) reads() *stock.Reads { return &t.needs }

func (t *numbered) tellsVersion() bool { return false }

// numbers decides the tasks and returns their numbers.
func numbers(tasks []Task) []int {
	var list []int
	for _, t := range tasks {
		t := t.(*numbered)
		t.decided = true
		list = append(list, t.n)
	}
	return list
}

func productID(n byte) uuid.UUID { return uuid.UUID{n} }

func noProducts(context.Context, []uuid.UUID) (map[uuid.UUID][]uuid.UUID, error) { return nil, nil }

// begun is a batch that has begun.
type begun struct {
	tasks  []int
	onLock lockPolicy
}

// bench is a queue whose batches wait until the test passes their outcome.
type bench struct {
	*queue
	begun chan begun
	end   chan outcome
}

func newBench(limit int) *bench {
	b := &bench{begun: make(chan begun, 100), end: make(chan outcome)}
	b.queue = newQueue(limit, func(_ context.Context, tasks []Task, onLock lockPolicy) outcome {
		b.begun <- begun{numbers(tasks), onLock}
		return <-b.end
	}, noProducts)
	return b
}

// result is the answer to a caller.
type result struct {
	task *numbered
	err  chan error
}

// require waits for the caller, who must have been answered.
func (r result) require(t *testing.T) {
	t.Helper()
	require.NoError(t, <-r.err)
	require.True(t, r.task.decided, "task %d was answered without being decided", r.task.n)
}

func requireAll(t *testing.T, results []result) {
	t.Helper()
	for _, r := range results {
		r.require(t)
	}
}

// submitAs submits a task in a goroutine, and returns once it waits or is in flight.
func (b *bench) submitAs(t *testing.T, ctx context.Context, task *numbered) result {
	t.Helper()
	before := b.pending()
	r := result{task, make(chan error, 1)}
	go func() { r.err <- b.submit(ctx, []Task{task}) }()
	b.await(t, func() bool { return b.pendingLocked() > before })
	return r
}

// submitNumber submits task n on the given products.
func (b *bench) submitNumber(t *testing.T, n int, products ...byte) result {
	t.Helper()
	task := newNumbered(n)
	for _, p := range products {
		task.needs.Products = append(task.needs.Products, productID(p))
	}
	return b.submitAs(t, context.WithoutCancel(t.Context()), task)
}

func (b *bench) pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pendingLocked()
}

func (b *bench) pendingLocked() (n int) {
	for _, count := range b.pendingByKey {
		n += count
	}
	return n
}

// await waits until cond is true of the queue; cond runs under its lock.
func (b *bench) await(t *testing.T, cond func() bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return cond()
	}, patience, 50*time.Microsecond)
}

// requireIdle closes the queue and requires that it has no state left.
func requireIdle(t *testing.T, q *queue) {
	t.Helper()
	q.close()
	require.Empty(t, q.waiting)
	require.Zero(t, q.queued)
	require.Empty(t, q.queuedByKey)
	require.Empty(t, q.pendingByKey)
	require.Empty(t, q.inFlightByKey)
	require.Zero(t, q.lanes)
	require.Zero(t, q.isolatedLanes)
}

// A lone request is committed at once. Requests for the same stock that come meanwhile form the next batch, in order of
// arrival. Requests for other stock do not wait for it.
func TestBatchFormsWhileOneCommits(t *testing.T) {
	t.Parallel()
	b := newBench(100)

	results := []result{b.submitNumber(t, 1, 'a')}
	require.Equal(t, []int{1}, (<-b.begun).tasks)
	results = append(results,
		b.submitNumber(t, 2, 'a'),
		b.submitNumber(t, 3, 'a', 'b'),
		b.submitNumber(t, 4, 'b'),
		b.submitNumber(t, 5, 'c'),
	)
	require.Equal(t, []int{5}, (<-b.begun).tasks, "5 is on other stock and need not wait; 4 must not overtake 3 on b")

	b.end <- decided
	b.end <- decided
	require.Equal(t, []int{2, 3, 4}, (<-b.begun).tasks)
	b.end <- decided
	requireAll(t, results)
	requireIdle(t, b.queue)
}

// A request whose caller leaves before its batch begins is not decided.
func TestAbandonedRequestIsNotDecided(t *testing.T) {
	t.Parallel()
	b := newBench(100)
	first := b.submitNumber(t, 1, 'a')
	require.Equal(t, []int{1}, (<-b.begun).tasks)
	ctx, cancel := context.WithCancel(t.Context())
	abandoned := b.submitAs(t, ctx, newNumbered(2, productID('a')))
	third := b.submitNumber(t, 3, 'a')

	cancel()
	require.ErrorIs(t, <-abandoned.err, context.Canceled)

	b.end <- decided
	require.Equal(t, []int{3}, (<-b.begun).tasks)
	b.end <- decided
	first.require(t)
	third.require(t)
	require.ErrorIs(t, b.submit(ctx, []Task{newNumbered(4)}), context.Canceled)
	requireIdle(t, b.queue)
}

// A batch that forms after a caller has left, and before its submit could remove the request, leaves the request out.
func TestRequestOfLeavingCallerIsNotTaken(t *testing.T) {
	t.Parallel()
	b := newBench(100)
	first := b.submitNumber(t, 1, 'a')
	require.Equal(t, []int{1}, (<-b.begun).tasks)
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, b.enqueue(newSubmission([]Task{newNumbered(2, productID('a'))}, ctx.Done())))
	third := b.submitNumber(t, 3, 'a')

	cancel() // and abandon is not called

	b.end <- decided
	require.Equal(t, []int{3}, (<-b.begun).tasks)
	b.end <- decided
	first.require(t)
	third.require(t)
	requireIdle(t, b.queue)
}

// A full queue refuses a request at once. Requests that wait already are decided.
func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	b := newBench(2)
	results := []result{b.submitNumber(t, 1, 'a')}
	<-b.begun
	results = append(results, b.submitNumber(t, 2, 'a'), b.submitNumber(t, 3, 'a'))

	require.ErrorIs(t, b.submit(t.Context(), []Task{newNumbered(4, productID('a'))}), errQueueFull)
	require.Equal(t, 2, b.waitingRequests())

	b.end <- decided
	require.Equal(t, []int{2, 3}, (<-b.begun).tasks)
	b.end <- decided
	requireAll(t, results)
	requireIdle(t, b.queue)
}

// A submission that has more requests than the queue has room for is refused, unless the queue is empty.
func TestSubmissionMustFitTheQueue(t *testing.T) {
	t.Parallel()
	b := newBench(4)
	results := []result{b.submitNumber(t, 1, 'a')}
	<-b.begun
	results = append(results, b.submitNumber(t, 2, 'a'))
	large := func(products ...uuid.UUID) []Task {
		var tasks []Task
		for n := range 5 {
			tasks = append(tasks, newNumbered(n, products...))
		}
		return tasks
	}

	require.ErrorIs(t, b.submit(t.Context(), large(productID('c'))[:4]), errQueueFull)

	b.end <- decided
	<-b.begun
	done := make(chan error, 1)
	go func() { done <- b.submit(context.WithoutCancel(t.Context()), large(productID('c'))) }()
	require.Len(t, (<-b.begun).tasks, 5, "the only submission may be larger than the queue")
	b.end <- decided
	b.end <- decided
	require.NoError(t, <-done)
	requireAll(t, results)
	requireIdle(t, b.queue)
}

// Requests for one product cannot fill the queue, even if its batches never finish. Requests for others find room.
func TestQueueKeepsRoomForOtherProducts(t *testing.T) {
	t.Parallel()
	b := newBench(20)
	var results []result
	for i, p := range []byte{'a', 'b'} { // a batch of each does not finish
		results = append(results, b.submitNumber(t, i, p))
		require.Equal(t, []int{i}, (<-b.begun).tasks)
	}
	full := func(products ...byte) bool {
		task := newNumbered(0)
		for _, p := range products {
			task.needs.Products = append(task.needs.Products, productID(p))
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.full(newSubmission([]Task{task}, nil))
	}
	fill := func(p byte) (n int) {
		for ; !full(p); n++ {
			results = append(results, b.submitNumber(t, len(results), p))
		}
		return n
	}

	require.Equal(t, 16, fill('a'), "four fifths")
	require.False(t, full('c'))
	require.True(t, full('c', 'a'), "the request would wait for a as well")
	require.Equal(t, 4, fill('b'))
	require.True(t, full('c'), "nothing is free")

	for range 4 {
		b.end <- decided
	}
	requireAll(t, results)
	requireIdle(t, b.queue)
}

// Confirmations whose products are unknown cannot fill the queue either.
func TestQueueKeepsRoomBesideConfirmations(t *testing.T) {
	t.Parallel()
	b := newBench(20)
	results := []result{b.submitAs(t, context.WithoutCancel(t.Context()), confirmation(0))}
	<-b.begun
	for n := range 16 {
		results = append(results, b.submitAs(t, context.WithoutCancel(t.Context()), confirmation(n)))
	}

	require.ErrorIs(t, b.submit(t.Context(), []Task{confirmation(17)}), errQueueFull)
	other := b.submitNumber(t, 100, 'a')
	require.Equal(t, []int{100}, (<-b.begun).tasks)

	for range 3 {
		b.end <- decided
	}
	requireAll(t, append(results, other))
	requireIdle(t, b.queue)
}

// Close finishes the accepted requests and refuses later ones.
func TestCloseDrains(t *testing.T) {
	t.Parallel()
	b := newBench(100)
	results := []result{b.submitNumber(t, 1, 'a')}
	<-b.begun
	results = append(results, b.submitNumber(t, 2, 'a'))

	closed := make(chan struct{})
	go func() {
		b.close()
		close(closed)
	}()
	b.await(t, func() bool { return b.closed })
	require.ErrorIs(t, b.submit(t.Context(), []Task{newNumbered(3)}), errClosed)
	select {
	case <-closed:
		require.Fail(t, "the queue closed while a batch was in flight")
	default:
	}

	b.end <- decided
	<-b.begun
	b.end <- decided
	<-closed
	requireAll(t, results)
}

// The queue tells how long each submission has waited for its batch, also if the batch before it took long.
func TestWaitIsTold(t *testing.T) {
	t.Parallel()
	b := newBench(100)
	waits := make(chan time.Duration, 10)
	b.waited = func(d time.Duration) { waits <- d }
	submitted := time.Now()
	first := b.submitNumber(t, 1, 'A')
	<-b.begun
	second := b.submitNumber(t, 2, 'A') // on the same product, so it waits for the first batch
	require.Less(t, <-waits, time.Since(submitted))
	require.Empty(t, waits, "the second waits")
	waiting := time.Now()
	for time.Since(waiting) < 5*time.Millisecond {
		runtime.Gosched()
	}
	b.end <- decided
	<-b.begun
	require.GreaterOrEqual(t, <-waits, 5*time.Millisecond)
	b.end <- decided
	requireAll(t, []result{first, second})
}

// Under load each request is decided once, no stock is in two batches at a time, and the order of each caller holds for
// each product.
func TestQueueUnderLoad(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	inFlight := map[uuid.UUID]bool{}
	last := map[[2]uuid.UUID]int{} // by caller and product
	decidedTasks := 0
	q := newQueue(1000, func(_ context.Context, tasks []Task, _ lockPolicy) outcome {
		mu.Lock()
		mine := map[uuid.UUID]bool{}
		for _, task := range tasks {
			task := task.(*numbered)
			task.decided = true
			caller := task.needs.Products[0]
			for _, p := range task.needs.Products[1:] {
				if inFlight[p] && !mine[p] {
					t.Errorf("%s is in two batches", p)
				}
				inFlight[p], mine[p] = true, true
				at := [2]uuid.UUID{caller, p}
				if last[at] >= task.n {
					t.Errorf("%d came after %d", task.n, last[at])
				}
				last[at] = task.n
			}
		}
		decidedTasks += len(tasks)
		mu.Unlock()
		for range rand.IntN(500) { // a little work
			_ = rand.IntN(2)
		}
		mu.Lock()
		for p := range mine {
			delete(inFlight, p)
		}
		mu.Unlock()
		return decided
	}, noProducts)

	const callers, each = 24, 200
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for n := 1; n <= each; n++ {
				task := newNumbered(n, uuid.UUID{0xff, byte(i)})
				for range 1 + rand.IntN(3) {
					if p := productID(byte(rand.IntN(8))); !slices.Contains(task.needs.Products, p) {
						task.needs.Products = append(task.needs.Products, p)
					}
				}
				if err := q.submit(context.Background(), []Task{task}); err != nil || !task.decided {
					t.Errorf("task %d: decided %t, error %v", n, task.decided, err)
				}
			}
		})
	}
	wg.Wait()

	require.Equal(t, callers*each, decidedTasks)
	requireIdle(t, q)
}
