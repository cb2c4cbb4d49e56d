package cache

import (
	"context"
	"time"
)

// retryPause is the time between two attempts to reach a Redis that failed. Only the background goroutine waits for
// them; meanwhile reads and writes proceed without the cache.
const retryPause = 250 * time.Millisecond

// The states of a cache.
const (
	down       int32 = iota // Redis failed: only the background goroutine calls it
	catchingUp              // Redis answers again: it gets changes; reads go to the database until it has all changes
	inUse
)

// stopUsing takes the cache out of use because of err, and remembers the changes that Redis must get before the cache
// is used again. It does not wait.
func (c *Cache) stopUsing(err error, changes []Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deferChanges(changes)
	c.state.Store(down)
	if c.redelivering || c.closed {
		return
	}
	c.redelivering = true
	c.log.Warn("the cache does not answer; availability is read from the database until it does", "error", err)
	c.running.Go(c.redeliver)
}

// deferIfDown keeps changes for later and reports true if Redis is down.
func (c *Cache) deferIfDown(changes []Change) bool {
	if c.state.Load() != down {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Load() != down {
		return false
	}
	c.deferChanges(changes)
	return true
}

func (c *Cache) deferChanges(changes []Change) {
	c.undelivered.add(changes...)
	c.metrics.invalidations.WithLabelValues("deferred").Add(float64(len(changes)))
}

// redeliver asks Redis until it has taken everything, and puts the cache back into use.
func (c *Cache) redeliver() {
	began := time.Now()
	pause := time.NewTimer(retryPause)
	defer pause.Stop()
	for {
		select {
		case <-c.stopCtx.Done():
			return
		case <-pause.C:
		}
		for c.deliver() == nil {
			if c.resume() {
				c.log.Info("the cache is in use again", "after", time.Since(began).Round(time.Millisecond))
				return
			}
		}
		pause.Reset(retryPause)
	}
}

// deliver sends Redis the undelivered changes. Changes that Redis does not take stay undelivered.
func (c *Cache) deliver() error {
	c.mu.Lock()
	batch := c.undelivered
	c.undelivered = newBacklog()
	c.mu.Unlock()

	var err error
	switch changes := batch.changes(); {
	case batch.everything:
		err = c.renewEpoch(c.stopCtx)
	case len(changes) > 0:
		if err = c.sendChanges(c.stopCtx, changes); err == nil {
			c.metrics.invalidations.WithLabelValues("redelivered").Add(float64(len(changes)))
		}
	default:
		err = c.call(c.stopCtx, "ping", func(ctx context.Context) error { return c.client.Ping(ctx).Err() })
	}
	if err == nil && !batch.everything {
		// Other processes may have lost Redis too, and a process that has ended cannot deliver its changes any more.
		err = c.renewEpoch(c.stopCtx)
	}
	if err != nil {
		c.mu.Lock()
		c.undelivered.merge(batch)
		c.mu.Unlock()
	}
	return err
}

// resume puts the cache back into use and reports true, unless more changes have become undelivered meanwhile. Then it
// only lets new changes go straight to Redis again: otherwise the background might never catch up with them.
func (c *Cache) resume() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return true
	case !c.undelivered.empty():
		c.state.Store(catchingUp)
		return false
	}
	c.redelivering = false
	c.state.Store(inUse)
	return true
}

func (c *Cache) backlogSize() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.undelivered.versions)
}
