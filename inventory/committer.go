package inventory

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

// The bounds of group commit.
const (
	// DefaultQueueLimit is how many requests may wait for their batch. At 20,000 a second a full queue
	// is half a second of work: whoever comes then is better told so at once.
	DefaultQueueLimit = 10_000
	// stockShare bounds what of the queue those may fill who want the same: so many times what is left free,
	// which is four fifths for one hot product, four ninths each for two. Whatever is stuck, others find room.
	// (Choudhury and Hahne, Dynamic queue length thresholds for shared-memory packet switches, 1998.)
	stockShare = 4
	// maxBatch bounds the requests of one transaction, and so how long one may take.
	maxBatch = 512
	// maxLanes bounds the transactions under way at once. Two keep the processor busy while another
	// waits for the disk; the rest are for stock that somebody else holds a lock on.
	maxLanes = 4
	// lockMemory is for how long stock that somebody held a lock on is expected to be locked still.
	lockMemory = 10 * time.Second
)

var (
	errQueueFull = errors.New("too many requests wait for the stock already")
	errClosed    = errors.New("the service is stopping")
)

// unit is what one caller wants done in one batch.
type unit struct {
	ctx      context.Context
	requests []stock.Request
	keys     []uuid.UUID // products, reservations and operations that it concerns
	products []uuid.UUID // each once
	// reservations are those whose products are not known; then it has a key in common with all such units.
	reservations []uuid.UUID
	last         bool // nothing may be done to its products after it in the same batch
	answers      []answer
	done         chan struct{} // closed when the answers are there
	taken        bool          // it is in a batch, or was dropped
	apart        bool          // only with those on the same stock: somebody was found to hold a lock
}

// committer is group commit: requests that arrive together are committed together. While a batch is
// under way the next one forms, and what is ready at its end goes at once: a lone request never waits
// for company, and the more there is to do the larger the batches get.
//
// A product or reservation is in one batch at a time and units are taken in order of arrival, so that
// nobody is overtaken on the same stock, a hot product costs one transaction for all who want it, and
// a product that somebody else has locked delays no other. Between replicas the row locks do that.
//
// A batch that finds stock locked by somebody else is gathered anew: each stock's units for themselves,
// so that only they wait for the lock; and whoever wants that stock later is kept apart from the start,
// until a batch of it succeeds. Such batches leave one lane to everybody else. What products a confirmation
// or release concerns is looked up only then; until then all of those share one lane.
//
// No goroutine runs while there is nothing to do.
type committer struct {
	limit int
	lanes int
	// apply decides a batch and reports whether somebody holds a lock on its stock. With others, whom that
	// is nothing to, nothing was done then.
	apply func(batch []stock.Request, answers []answer, others bool) (blocked bool)
	// products looks up what products the lines of reservations name; nil where nobody can tell.
	products func(ctx context.Context, reservations []uuid.UUID) (map[uuid.UUID][]uuid.UUID, error)

	mu      sync.Mutex
	waiting []*unit
	queued  int                     // requests of waiting
	crowds  map[uuid.UUID]int       // by what they share: requests of waiting
	claims  map[uuid.UUID]int       // by key: units that wait or are under way
	busy    map[uuid.UUID]int       // by key: units under way
	locked  map[uuid.UUID]time.Time // products of which somebody was found to hold a lock, and when
	apart   int                     // lanes whose batch is of such stock
	running int                     // lanes
	closed  bool
	idle    *sync.Cond // running became 0
}

func newCommitter(limit int, apply func([]stock.Request, []answer, bool) bool) *committer {
	c := &committer{
		limit: limit, lanes: maxLanes, apply: apply,
		crowds: map[uuid.UUID]int{}, claims: map[uuid.UUID]int{}, busy: map[uuid.UUID]int{}, locked: map[uuid.UUID]time.Time{},
	}
	c.idle = sync.NewCond(&c.mu)
	return c
}

// submit has the requests decided in one batch and returns their answers. An error means that there
// are none: the queue is full or closed (nothing happened), or ctx ended first (they were not begun,
// or it is not known what became of them; either way they may be sent again).
func (c *committer) submit(ctx context.Context, requests []stock.Request) ([]answer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var reads stock.Reads
	for _, r := range requests {
		r.Reads(&reads)
	}
	u := &unit{ctx: ctx, requests: requests, keys: reads.Keys(), products: store.Distinct(reads.Products), answers: make([]answer, len(requests)), done: make(chan struct{})}
	if len(reads.Reservations) > 0 {
		u.reservations = reads.Reservations
		if c.somethingLocked() {
			u.know(c.locate(ctx, u)[u])
		}
	}
	u.last = slices.ContainsFunc(requests, stock.TellsVersion)
	if err := c.enqueue(u); err != nil {
		return nil, err
	}
	select {
	case <-u.done:
		return u.answers, nil
	case <-ctx.Done():
		c.abandon(u)
		return nil, ctx.Err()
	}
}

func (c *committer) enqueue(u *unit) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return errClosed
	case c.full(u):
		return errQueueFull
	}
	free := true
	for _, k := range u.keys {
		free = free && c.claims[k] == 0
	}
	c.claim(u)
	c.waiting = append(c.waiting, u)
	c.count(u, len(u.requests))
	// Behind somebody on the same stock it will be taken by the lane that ends then.
	if free && c.running < c.lanes {
		c.running++
		go c.run()
	}
	return nil
}

// full reports whether there is no room for a unit. A large one may always be the only one.
func (c *committer) full(u *unit) bool {
	if c.queued == 0 {
		return false
	}
	crowded := func(k uuid.UUID) bool { return c.crowds[k] >= stockShare*(c.limit-c.queued) }
	return c.queued+len(u.requests) > c.limit || slices.ContainsFunc(u.shares(), crowded)
}

// count adds to the requests that wait, or takes from them.
func (c *committer) count(u *unit, n int) {
	c.queued += n
	for _, p := range u.shares() {
		if c.crowds[p] += n; c.crowds[p] == 0 {
			delete(c.crowds, p)
		}
	}
}

// abandon takes a unit out whose caller has gone, so that it does not happen needlessly.
func (c *committer) abandon(u *unit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if u.taken {
		return
	}
	for i, w := range c.waiting {
		if w == u {
			c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			c.drop(u)
			return
		}
	}
}

func (c *committer) drop(u *unit) {
	u.taken = true
	c.count(u, -len(u.requests))
	c.unclaim(u)
}

func (c *committer) claim(u *unit) {
	for _, k := range u.keys {
		c.claims[k]++
	}
}

func (c *committer) unclaim(u *unit) {
	for _, k := range u.keys {
		if c.claims[k]--; c.claims[k] == 0 {
			delete(c.claims, k)
		}
	}
}

// close refuses new requests, lets everything that was accepted be done, and returns then.
func (c *committer) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for c.running > 0 {
		c.idle.Wait()
	}
}

// waitingNow is how many requests wait, for the metrics.
func (c *committer) waitingNow() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return float64(c.queued)
}

// overloaded turns a failed submission into the caller's error. All of them may be sent again.
func overloaded(err error) error { return &inventoryapi.UnavailableError{Cause: err} }
