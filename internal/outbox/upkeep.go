package outbox

import (
	"context"
	"time"

	"holdfast/internal/service"
)

const (
	// backlogInterval is how often the backlog is measured.
	backlogInterval = 5 * time.Second
	// deleteInterval is how often old events are deleted.
	deleteInterval = time.Minute
	// deleteBatch is how many events one statement deletes, and deletePause how long the relay rests between two.
	deleteBatch = 1000
	deletePause = 20 * time.Millisecond
)

// measureBacklog exports the number and age of the events that wait, until ctx ends.
func (r *Relay) measureBacklog(ctx context.Context) {
	service.Every(ctx, backlogInterval, func() {
		limited, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		backlog, err := r.source.Store.Backlog(limited)
		if err != nil {
			if ctx.Err() == nil {
				r.log.WarnContext(ctx, "cannot measure the backlog", "error", err)
			}
			return
		}
		r.metrics.waiting.Set(float64(backlog.Waiting))
		r.metrics.oldest.Set(backlog.Oldest.Seconds())
	})
}

// deletePublished deletes events that were published longer ago than the retention, until ctx ends.
func (r *Relay) deletePublished(ctx context.Context) {
	service.Every(ctx, deleteInterval, func() {
		before := time.Now().Add(-r.cfg.Retention)
		for n := deleteBatch; n == deleteBatch && ctx.Err() == nil; {
			limited, cancel := context.WithTimeout(ctx, storeTimeout)
			var err error
			n, err = r.source.Store.DeletePublished(limited, before, deleteBatch)
			cancel()
			r.metrics.deleted.Add(float64(n))
			if err != nil && ctx.Err() == nil {
				r.log.WarnContext(ctx, "cannot delete old events", "error", err)
			}
			if err == nil {
				service.Pause(ctx, deletePause)
			}
		}
	})
}
