package merchantwebhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"holdfast/db/ordersdb"
	"holdfast/internal/webhook"
)

// Leased is a delivery that a sender has leased, with all that it needs to send it.
type Leased = ordersdb.LeaseWebhookDeliveriesRow

// lease leases due deliveries, at most size of them and perSubscription under way for each subscription. underWay is
// what this process has under way by subscription.
func (s *Store) lease(
	ctx context.Context, underWay map[uuid.UUID]int, size, perSubscription int, length time.Duration,
) ([]Leased, error) {
	in := ordersdb.LeaseWebhookDeliveriesParams{
		PerSubscription: int32(perSubscription), //nolint:gosec // the configuration bounds it
		Size:            int32(size),            //nolint:gosec // the configuration bounds it
		LeaseSeconds:    length.Seconds(),
		BusyIds:         []uuid.UUID{},
		BusyCounts:      []int64{},
	}
	for id, n := range underWay {
		in.BusyIds, in.BusyCounts = append(in.BusyIds, id), append(in.BusyCounts, int64(n))
	}
	rows, err := s.q.LeaseWebhookDeliveries(ctx, s.pool, in)
	if err != nil {
		return nil, fmt.Errorf("lease webhook deliveries: %w", err)
	}
	return rows, nil
}

// The outcome of an attempt is written in steps and not in one transaction. A transaction would lock a delivery before
// its subscription, and operators lock them the other way round. If the process dies between two steps, the next
// attempt of the subscription makes up for it.

// markDelivered writes that the receiver has taken a delivery.
func (s *Store) markDelivered(ctx context.Context, d Leased) error {
	_, err := s.q.MarkWebhookDelivered(ctx, s.pool, ordersdb.MarkWebhookDeliveredParams{
		DeliveryID: d.DeliveryID, Lease: d.Lease, LastStatus: http.StatusOK,
	})
	if err != nil {
		return fmt.Errorf("mark webhook delivery %s as delivered: %w", d.DeliveryID, err)
	}
	if err := s.q.MarkWebhookWorking(ctx, s.pool, d.SubscriptionID); err != nil {
		return fmt.Errorf("mark webhook subscription %s as working: %w", d.SubscriptionID, err)
	}
	return nil
}

// failure is why an attempt failed and what follows.
type failure struct {
	err    error
	pause  time.Duration // until the next attempt
	giveUp bool          // there is none
}

// markFailed writes a failed attempt. It switches the subscription off if the receiver is gone, or if every attempt has
// failed for disableAfter, and returns the cause: gone, failing, or "" if the subscription stays as it is.
func (s *Store) markFailed(
	ctx context.Context, d Leased, f failure, disableAfter time.Duration,
) (disabled string, err error) {
	text := storable(f.err.Error())
	n, err := s.q.MarkWebhookFailed(ctx, s.pool, ordersdb.MarkWebhookFailedParams{
		DeliveryID:   d.DeliveryID,
		Lease:        d.Lease,
		GiveUp:       f.giveUp,
		PauseSeconds: f.pause.Seconds(),
		LastStatus:   status(f.err),
		LastError:    text,
	})
	switch {
	case err != nil:
		return "", fmt.Errorf("mark webhook delivery %s as failed: %w", d.DeliveryID, err)
	case n == 0: // another sender has leased it since, or it was put on hold
		return "", nil
	}

	tooLong, err := s.q.MarkWebhookFailing(ctx, s.pool, ordersdb.MarkWebhookFailingParams{
		SubscriptionID: d.SubscriptionID, LastError: text, DisableSeconds: disableAfter.Seconds(),
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows): // it is disabled already
		return "", nil
	case err != nil:
		return "", fmt.Errorf("mark webhook subscription %s as failing: %w", d.SubscriptionID, err)
	case errors.Is(f.err, webhook.ErrGone):
		return causeGone, s.switchOff(ctx, d.SubscriptionID, webhook.ErrGone.Error())
	case tooLong:
		return causeFailing, s.switchOff(ctx, d.SubscriptionID,
			fmt.Sprintf("every attempt has failed for %s; the last error: %s", disableAfter, text))
	}
	return "", nil
}

func (s *Store) switchOff(ctx context.Context, id uuid.UUID, reason string) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.disable(ctx, tx, id, ActorSender, reason) })
	if err != nil {
		return fmt.Errorf("switch webhook subscription %s off: %w", id, err)
	}
	return nil
}

// The causes for which the sender switches a subscription off.
const (
	causeGone    = "gone"
	causeFailing = "failing"
)

// status returns the HTTP status that the receiver answered, or 0 if it did not answer.
func status(err error) int32 {
	var refused *webhook.RefusedError
	switch {
	case errors.Is(err, webhook.ErrGone):
		return http.StatusGone
	case errors.As(err, &refused):
		return int32(refused.Status) //nolint:gosec // three digits
	}
	return 0
}
