package inventory

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
)

// The bounds of group commit.
const (
	// DefaultQueueLimit is how many requests may wait for their batch. At 20,000 a second a full queue
	// is half a second of work: whoever comes then is better told so at once.
	DefaultQueueLimit = 10_000
	// maxBatch bounds the requests of one transaction, and so how long one may take.
	maxBatch = 512
	// maxLanes bounds the transactions under way at once. Two keep the processor busy while another
	// waits for the disk; the rest are for stock that somebody else holds a lock on.
	maxLanes = 4
)

var (
	errQueueFull = errors.New("too many requests wait for the stock already")
	errClosed    = errors.New("the service is stopping")
)

// unit is what one caller wants done in one batch.
type unit struct {
	ctx      context.Context
	requests []stock.Request
	keys     []uuid.UUID // products and reservations that it concerns
	products []uuid.UUID
	answers  []answer
	done     chan struct{} // closed when the answers are there
	taken    bool          // it is in a batch, or was dropped
	apart    bool          // only with those on the same stock: somebody was found to hold a lock
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
// until a batch of it succeeds. Such batches leave one lane to everybody else.
//
// No goroutine runs while there is nothing to do.
type committer struct {
	limit int
	lanes int
	// apply decides a batch and reports whether somebody holds a lock on its stock. With others, whom that
	// is nothing to, nothing was done then.
	apply func(batch []stock.Request, answers []answer, others bool) (blocked bool)

	mu      sync.Mutex
	waiting []*unit
	queued  int                // requests of waiting
	claims  map[uuid.UUID]int  // by key: units that wait or are under way
	busy    map[uuid.UUID]int  // by key: units under way
	locked  map[uuid.UUID]bool // products of which somebody was found to hold a lock
	apart   int                // lanes whose batch is of such stock
	running int                // lanes
	closed  bool
	idle    *sync.Cond // running became 0
}

func newCommitter(limit int, apply func([]stock.Request, []answer, bool) bool) *committer {
	c := &committer{
		limit: limit, lanes: maxLanes, apply: apply,
		claims: map[uuid.UUID]int{}, busy: map[uuid.UUID]int{}, locked: map[uuid.UUID]bool{},
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
	u := &unit{ctx: ctx, requests: requests, keys: reads.Keys(), products: reads.Products, answers: make([]answer, len(requests)), done: make(chan struct{})}
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
	case c.queued > 0 && c.queued+len(u.requests) > c.limit: // a large unit may always be the only one
		return errQueueFull
	}
	free := true
	for _, k := range u.keys {
		free = free && c.claims[k] == 0
		c.claims[k]++
	}
	c.waiting = append(c.waiting, u)
	c.queued += len(u.requests)
	// Behind somebody on the same stock it will be taken by the lane that ends then.
	if free && c.running < c.lanes {
		c.running++
		go c.run()
	}
	return nil
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
	c.queued -= len(u.requests)
	c.unclaim(u)
}

func (c *committer) unclaim(u *unit) {
	for _, k := range u.keys {
		if c.claims[k]--; c.claims[k] == 0 {
			delete(c.claims, k)
		}
	}
}

// run is one lane: it commits batch after batch until none is ready.
func (c *committer) run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		units := c.take()
		if len(units) == 0 {
			break
		}
		apart := units[0].apart
		others := !apart && len(units) > 1
		if apart {
			c.apart++
			c.help() // with what was left for a batch of its own
		}
		c.mu.Unlock()
		blocked := c.commit(units, others)
		c.mu.Lock()
		if apart {
			c.apart--
		}
		c.release(units, blocked, blocked && others)
	}
	if c.running--; c.running == 0 {
		c.idle.Broadcast()
	}
}

// help starts another lane where one may run.
func (c *committer) help() {
	if c.running < c.lanes && len(c.waiting) > 0 {
		c.running++
		go c.run()
	}
}

// release lets go of the stock of a batch that ended, and queues it in front again where it has to be
// gathered anew.
func (c *committer) release(units []*unit, blocked, again bool) {
	for _, u := range units {
		for _, k := range u.keys {
			if c.busy[k]--; c.busy[k] == 0 {
				delete(c.busy, k)
			}
		}
		if again {
			u.taken, u.apart = false, true
			c.queued += len(u.requests)
			continue
		}
		c.unclaim(u)
		for _, p := range u.products {
			if blocked {
				c.locked[p] = true
			} else {
				delete(c.locked, p)
			}
		}
	}
	if again {
		c.waiting = append(slices.Clone(units), c.waiting...)
	}
}

// take removes the next batch from the queue: in order of arrival, whatever is not held up by a batch
// under way or by somebody before it. A unit that is kept apart is taken only with those on its stock.
func (c *committer) take() []*unit {
	var batch []*unit
	held := map[uuid.UUID]bool{} // keys of units that stay
	kept := c.waiting[:0]
	size := 0
	for i, u := range c.waiting {
		if size >= maxBatch {
			kept = append(kept, c.waiting[i:]...)
			break
		}
		switch {
		case u.ctx.Err() != nil:
			c.drop(u)
		case size > 0 && size+len(u.requests) > maxBatch, c.heldUp(u, held), !c.fits(u, batch):
			for _, k := range u.keys {
				held[k] = true
			}
			kept = append(kept, u)
		default:
			u.taken = true
			batch = append(batch, u)
			size += len(u.requests)
		}
	}
	clear(c.waiting[len(kept):])
	c.waiting = kept
	c.queued -= size
	for _, u := range batch {
		for _, k := range u.keys {
			c.busy[k]++
		}
	}
	return batch
}

// fits reports whether a unit may join a batch, and keeps it apart where its stock is known to be locked.
func (c *committer) fits(u *unit, batch []*unit) bool {
	for _, p := range u.products {
		u.apart = u.apart || c.locked[p]
	}
	switch {
	case len(batch) == 0:
		return !u.apart || c.apart < c.lanes-1
	case !batch[0].apart:
		return !u.apart
	}
	same := slices.ContainsFunc(u.keys, func(k uuid.UUID) bool { return k != uuid.Max && slices.Contains(batch[0].keys, k) })
	u.apart = u.apart || same
	return same
}

func (c *committer) heldUp(u *unit, held map[uuid.UUID]bool) bool {
	for _, k := range u.keys {
		if c.busy[k] > 0 || held[k] {
			return true
		}
	}
	return false
}

// commit has a batch decided and hands out the answers, unless it has to be gathered anew.
func (c *committer) commit(units []*unit, others bool) (blocked bool) {
	n := 0
	for _, u := range units {
		n += len(u.requests)
	}
	batch, answers := make([]stock.Request, 0, n), make([]answer, n)
	for _, u := range units {
		batch = append(batch, u.requests...)
	}
	if blocked = c.apply(batch, answers, others); blocked && others {
		return true
	}
	for _, u := range units {
		copy(u.answers, answers)
		answers = answers[len(u.requests):]
		close(u.done)
	}
	return blocked
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
