package orderstore

import (
	"context"
	"fmt"
	"time"

	"holdfast/db/ordersdb"
	"holdfast/internal/webhook"
)

// webhooksKept is how long a received webhook is remembered. Senders repeat a webhook for some days at most: Stripe for
// three, the sandbox for one.
const webhooksKept = 30 * 24 * time.Hour

var _ webhook.Inbox = (*Store)(nil)

// Processed implements webhook.Inbox.
func (s *Store) Processed(ctx context.Context, source, id string) (bool, error) {
	known, err := s.q.WebhookReceived(ctx, s.pool, ordersdb.WebhookReceivedParams{Source: source, WebhookID: id})
	if err != nil {
		return false, fmt.Errorf("look for webhook %s: %w", id, err)
	}
	return known, nil
}

// MarkProcessed implements webhook.Inbox.
func (s *Store) MarkProcessed(ctx context.Context, source, id string, at time.Time) error {
	err := s.q.KeepWebhook(ctx, s.pool, ordersdb.KeepWebhookParams{
		Source: source, WebhookID: id, ReceivedAt: at, Before: at.Add(-webhooksKept),
	})
	if err != nil {
		return fmt.Errorf("remember webhook %s: %w", id, err)
	}
	return nil
}
