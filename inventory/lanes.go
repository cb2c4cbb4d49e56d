package inventory

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory/stock"
)

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
		var located map[*unit][]uuid.UUID
		if blocked {
			located = c.locate(context.Background(), units...)
		}
		c.mu.Lock()
		if apart {
			c.apart--
		}
		c.release(units, located, blocked, blocked && others)
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
func (c *committer) release(units []*unit, located map[*unit][]uuid.UUID, blocked, again bool) {
	for _, u := range units {
		for _, k := range u.keys {
			if c.busy[k]--; c.busy[k] == 0 {
				delete(c.busy, k)
			}
		}
		c.unclaim(u)
		u.know(located[u])
		if again {
			u.taken, u.apart = false, true
			c.claim(u)
			c.count(u, len(u.requests))
			continue
		}
		for _, p := range u.products {
			if blocked {
				c.locked[p] = time.Now()
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
			c.count(u, -len(u.requests))
			batch = append(batch, u)
			size += len(u.requests)
			if u.last {
				held[uuid.Max] = true // whose products are not known
				for _, p := range u.products {
					held[p] = true
				}
			}
		}
	}
	clear(c.waiting[len(kept):])
	c.waiting = kept
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
		u.apart = u.apart || c.isLocked(p)
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
