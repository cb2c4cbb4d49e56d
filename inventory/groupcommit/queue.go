package groupcommit

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// The bounds of group commit.
const (
	// DefaultQueueLimit is the number of requests that may wait for their batch. At 20,000 requests a second a full
	// queue is half a second of work. The queue immediately refuses a request that would wait longer.
	DefaultQueueLimit = 10_000
	// queueShare bounds the room that the requests for one product may take in the queue: queueShare times the room that
	// is left free. This is four fifths of the queue for one hot product, and four ninths each for two. (Choudhury and
	// Hahne, Dynamic queue length thresholds for shared-memory packet switches, 1998.)
	queueShare = 4
	// maxBatch bounds the requests of one transaction, and so its duration.
	maxBatch = 512
	// maxLanes bounds the transactions under way at once. Two keep the processor busy while another waits for the disk;
	// the rest are for stock that another transaction has locked.
	maxLanes = 4
)

var (
	errQueueFull = errors.New("the queue for this stock is full")
	errClosed    = errors.New("the service is stopping")
)

// queue holds submissions and runs the lanes that commit them. The package comment explains the order.
type queue struct {
	limit  int
	commit func(ctx context.Context, tasks []Task, onLock lockPolicy) outcome
	// productsOf looks up the products of reservations.
	productsOf func(ctx context.Context, reservations []uuid.UUID) (map[uuid.UUID][]uuid.UUID, error)
	// waited is told how long each submission has waited when its batch begins.
	waited func(time.Duration)

	mu      sync.Mutex
	waiting []*submission // in order of arrival

	// The number of requests in waiting: in total, and for each product (or anyProduct), whose share of the queue is
	// bounded.
	queued      int
	queuedByKey map[key]int

	// The number of submissions that have a key: all of them, and those in flight.
	pendingByKey  map[key]int
	inFlightByKey map[key]int

	lockedAt      map[uuid.UUID]time.Time // when a batch last found the product locked by another transaction
	lanes         int                     // how many run
	isolatedLanes int                     // how many of them commit an isolated batch
	closed        bool
	idle          *sync.Cond // signals that lanes has become 0
}

func newQueue(
	limit int,
	commit func(context.Context, []Task, lockPolicy) outcome,
	productsOf func(context.Context, []uuid.UUID) (map[uuid.UUID][]uuid.UUID, error),
) *queue {
	q := &queue{
		limit:         limit,
		commit:        commit,
		productsOf:    productsOf,
		waited:        func(time.Duration) {},
		queuedByKey:   map[key]int{},
		pendingByKey:  map[key]int{},
		inFlightByKey: map[key]int{},
		lockedAt:      map[uuid.UUID]time.Time{},
	}
	q.idle = sync.NewCond(&q.mu)
	return q
}

// submit queues the tasks and waits for their answers.
func (q *queue) submit(ctx context.Context, tasks []Task) error {
	if err := ctx.Err(); err != nil {
		return err
	}

	s := newSubmission(tasks, ctx.Done())
	s.origin = originOf(ctx)
	if len(s.toLookUp) > 0 && q.anyLocked() {
		q.lookUpProducts(ctx, []*submission{s}).apply(s)
	}

	if err := q.enqueue(s); err != nil {
		return err
	}

	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		q.abandon(s)
		return ctx.Err()
	}
}

func (q *queue) enqueue(s *submission) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return errClosed
	case q.full(s):
		return errQueueFull
	}

	// A submission that shares a key with an earlier one must wait for it. The lane that commits the earlier one then
	// takes this one, so it needs no lane of its own.
	mustWait := slices.ContainsFunc(s.keys, func(k key) bool { return q.pendingByKey[k] > 0 })

	s.queuedAt = time.Now()
	q.waiting = append(q.waiting, s)
	q.addPending(s)
	q.addQueued(s, len(s.tasks))

	if !mustWait {
		q.startLane()
	}
	return nil
}

// full reports whether the queue has no room for a submission. An empty queue has room for one of any size.
func (q *queue) full(s *submission) bool {
	if q.queued == 0 {
		return false
	}

	free := q.limit - q.queued
	shareTaken := func(k key) bool { return q.queuedByKey[k] >= queueShare*free }
	return len(s.tasks) > free || slices.ContainsFunc(s.shareKeys(), shareTaken)
}

// abandon removes a submission whose caller has left, unless its batch has begun.
func (q *queue) abandon(s *submission) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s.taken {
		return
	}
	if i := slices.Index(q.waiting, s); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
		q.drop(s)
	}
}

// drop updates the counts when a submission leaves the queue because its caller has left.
func (q *queue) drop(s *submission) {
	s.taken = true
	q.addQueued(s, -len(s.tasks))
	q.removePending(s)
}

// addQueued changes the counts of waiting requests by n, which is negative when a submission leaves the queue.
func (q *queue) addQueued(s *submission, n int) {
	q.queued += n
	for _, k := range s.shareKeys() {
		add(q.queuedByKey, k, n)
	}
}

func (q *queue) addPending(s *submission) {
	for _, k := range s.keys {
		q.pendingByKey[k]++
	}
}

func (q *queue) removePending(s *submission) {
	for _, k := range s.keys {
		add(q.pendingByKey, k, -1)
	}
}

// add changes a count, and removes the entry when the count becomes 0.
func add(counts map[key]int, k key, n int) {
	if counts[k] += n; counts[k] == 0 {
		delete(counts, k)
	}
}

// close refuses new submissions and returns when the accepted ones are finished.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for q.lanes > 0 {
		q.idle.Wait()
	}
}

func (q *queue) waitingRequests() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.queued
}
