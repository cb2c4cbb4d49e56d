package merchantwebhook

import (
	"context"
	"fmt"
	"time"

	"holdfast/db/ordersdb"
	"holdfast/internal/events"
	"holdfast/internal/service"
)

const (
	measureInterval = 10 * time.Second
	cleanInterval   = time.Minute
	// cleanBatch is how many rows one statement deletes, and cleanPause the rest between two.
	cleanBatch = 500
	cleanPause = 20 * time.Millisecond
)

// measure exports how much waits, until ctx ends.
func (s *Sender) measure(ctx context.Context) {
	service.Every(ctx, measureInterval, func() {
		limited, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		backlog, err := s.Store.backlog(limited)
		if err != nil {
			if ctx.Err() == nil {
				s.Log.WarnContext(ctx, "cannot count webhooks", "error", err)
			}
			return
		}
		s.metrics.pending.Set(float64(backlog.pending))
		s.metrics.overdue.Set(backlog.overdue.Seconds())
		s.metrics.subscriptions.WithLabelValues("enabled").Set(float64(backlog.enabled))
		s.metrics.subscriptions.WithLabelValues("disabled").Set(float64(backlog.disabled))
	})
}

// clean deletes old events with their deliveries, and what deleted subscriptions have left, until ctx ends.
func (s *Sender) clean(ctx context.Context) {
	service.Every(ctx, cleanInterval, func() {
		for n := cleanBatch; n >= cleanBatch && ctx.Err() == nil; {
			limited, cancel := context.WithTimeout(ctx, storeTimeout)
			var err error
			n, err = s.Store.Clean(limited, time.Now().Add(-s.Config.Retention), cleanBatch)
			cancel()
			if err != nil {
				if ctx.Err() == nil {
					s.Log.WarnContext(ctx, "cannot delete old webhooks", "error", err)
				}
				return
			}
			service.Pause(ctx, cleanPause)
		}
	})
}

type backlog struct {
	pending, enabled, disabled int64
	overdue                    time.Duration
}

func (s *Store) backlog(ctx context.Context) (backlog, error) {
	waiting, err := s.q.CountPendingWebhooks(ctx, s.pool)
	if err != nil {
		return backlog{}, fmt.Errorf("count pending webhook deliveries: %w", err)
	}
	subscriptions, err := s.q.CountWebhookSubscriptions(ctx, s.pool)
	if err != nil {
		return backlog{}, fmt.Errorf("count webhook subscriptions: %w", err)
	}
	return backlog{
		pending:  waiting.Pending,
		overdue:  time.Duration(waiting.OverdueSeconds * float64(time.Second)),
		enabled:  subscriptions.Enabled,
		disabled: subscriptions.Disabled,
	}, nil
}

// Clean deletes at most limit events that were made before the given time, with their deliveries, and at most limit
// deliveries of deleted subscriptions. It returns the larger of both numbers. An event that is pending stays.
func (s *Store) Clean(ctx context.Context, before time.Time, limit int) (int, error) {
	most := int32(limit) //nolint:gosec // a constant
	deleted, err := s.q.DeleteOldWebhookEvents(ctx, s.pool, ordersdb.DeleteOldWebhookEventsParams{
		BelowID: events.FirstID(before), Most: most,
	})
	if err != nil {
		return 0, fmt.Errorf("delete old webhook events: %w", err)
	}
	deliveries, err := s.q.DeleteWebhookDeliveriesOfDeleted(ctx, s.pool, most)
	if err != nil {
		return 0, fmt.Errorf("delete the deliveries of deleted webhook subscriptions: %w", err)
	}
	if _, err := s.q.DeleteDeletedWebhookSubscriptions(ctx, s.pool); err != nil {
		return 0, fmt.Errorf("delete webhook subscriptions: %w", err)
	}
	return int(max(deleted, deliveries)), nil
}
