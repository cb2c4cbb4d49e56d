package groupcommit

import (
	"context"
	"slices"
	"time"
)

// startLane starts another lane if one may run and something waits.
func (q *queue) startLane() {
	if q.lanes < maxLanes && len(q.waiting) > 0 {
		q.lanes++
		go q.runLane()
	}
}

// runLane commits batch after batch until the queue has none to take.
func (q *queue) runLane() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		batch := q.take()
		if len(batch) == 0 {
			break
		}
		isolated := batch[0].isolated
		if isolated {
			q.isolatedLanes++
			q.startLane() // for submissions that cannot join an isolated batch
		}
		q.mu.Unlock()
		result := q.decide(batch, isolated)
		var found foundProducts
		if result != decided {
			found = q.lookUpProducts(context.Background(), batch)
		}
		q.mu.Lock()
		if isolated {
			q.isolatedLanes--
		}
		q.finish(batch, result, found)
	}
	if q.lanes--; q.lanes == 0 {
		q.idle.Broadcast()
	}
}

// take removes the next batch from the queue.
func (q *queue) take() []*submission {
	var batch []*submission
	size := 0
	held := map[key]bool{} // keys that no later submission of the batch may have
	kept := q.waiting[:0]
	for i, s := range q.waiting {
		if size >= maxBatch {
			kept = append(kept, q.waiting[i:]...)
			break
		}
		switch {
		case s.callerLeft():
			q.drop(s)
		case size > 0 && size+len(s.tasks) > maxBatch, q.waitsFor(s, held), !q.canJoin(s, batch):
			kept = append(kept, s)
			for _, k := range s.keys {
				held[k] = true
			}
		default:
			s.taken = true
			s.isolated = s.isolated || len(batch) > 0 && batch[0].isolated
			q.addQueued(s, -len(s.tasks))
			batch = append(batch, s)
			size += len(s.tasks)
			if s.closesBatch {
				holdProducts(s, held)
			}
		}
	}
	clear(q.waiting[len(kept):])
	q.waiting = kept
	for _, s := range batch {
		for _, k := range s.keys {
			q.inFlightByKey[k]++
		}
	}
	return batch
}

// holdProducts keeps submissions that concern, or may concern, the products of s out of the batch.
func holdProducts(s *submission, held map[key]bool) {
	held[anyProduct] = true
	for _, p := range s.products {
		held[key{product, p}] = true
	}
}

// waitsFor reports whether a submission must wait for a batch in flight or for an earlier submission.
func (q *queue) waitsFor(s *submission, held map[key]bool) bool {
	return slices.ContainsFunc(s.keys, func(k key) bool { return q.inFlightByKey[k] > 0 || held[k] })
}

// canJoin reports whether a submission may be in a batch: isolated submissions only among themselves and on the same
// stock, and such batches leave one lane to all others. A submission on stock that is expected to be locked becomes
// isolated here.
func (q *queue) canJoin(s *submission, batch []*submission) bool {
	s.isolated = s.isolated || slices.ContainsFunc(s.products, q.isLocked)
	switch {
	case len(batch) == 0:
		return !s.isolated || q.isolatedLanes < maxLanes-1
	case batch[0].isolated:
		return s.sharesKey(batch[0])
	default:
		return !s.isolated
	}
}

// decide lets the committer decide a batch and then wakes its callers, unless the batch must be regrouped.
func (q *queue) decide(batch []*submission, isolated bool) outcome {
	onLock := refuseOnLock
	if !isolated && len(batch) > 1 {
		onLock = regroupOnLock
	}
	for _, s := range batch {
		q.waited(time.Since(s.queuedAt))
	}
	ctx, end := traceBatch(batch)
	result := q.commit(ctx, tasksOf(batch), onLock)
	end()
	if result != undecided {
		for _, s := range batch {
			close(s.done)
		}
	}
	return result
}

func tasksOf(batch []*submission) []Task {
	if len(batch) == 1 {
		return batch[0].tasks
	}
	var tasks []Task
	for _, s := range batch {
		tasks = append(tasks, s.tasks...)
	}
	return tasks
}

// finish releases the keys of a batch that ended. An undecided batch goes back to the front of the queue, its
// submissions isolated.
func (q *queue) finish(batch []*submission, result outcome, found foundProducts) {
	for _, s := range batch {
		for _, k := range s.keys {
			add(q.inFlightByKey, k, -1)
		}
		q.removePending(s)
		found.apply(s)
		switch result {
		case undecided:
			s.taken, s.isolated = false, true
			q.addPending(s)
			q.addQueued(s, len(s.tasks))
		case refusedByLock:
			for _, p := range s.products {
				q.lockedAt[p] = time.Now()
			}
		case decided:
			for _, p := range s.products {
				delete(q.lockedAt, p)
			}
		}
	}
	if result == undecided {
		q.waiting = slices.Concat(batch, q.waiting)
	}
}
