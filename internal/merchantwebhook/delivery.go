package merchantwebhook

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"holdfast/db/ordersdb"
)

// The statuses of a delivery.
const (
	Pending   = "pending"   // the sender tries it
	Delivered = "delivered" // the receiver answered 2xx
	Failed    = "failed"    // the last attempt failed
	Held      = "held"      // the subscription was disabled
)

// Delivery is one event for one subscription.
type Delivery struct {
	ordersdb.WebhookDelivery
	EventType        string
	AggregateID      uuid.UUID
	AggregateVersion int64
}

// DeliveryFilter chooses deliveries. A zero member matches every delivery.
type DeliveryFilter struct {
	SubscriptionID    uuid.UUID
	Status, EventType string
	From, To          time.Time // when the delivery was made; To is exclusive
}

// Deliveries returns the deliveries behind a position, the latest first.
func (s *Store) Deliveries(ctx context.Context, f DeliveryFilter, after Position, limit int) ([]Delivery, error) {
	rows, err := s.deliveries(ctx, f, after, int32(limit)) //nolint:gosec // the contract bounds it
	if err != nil {
		return nil, fmt.Errorf("list webhook deliveries: %w", err)
	}
	out := make([]Delivery, len(rows))
	for i, r := range rows {
		out[i] = Delivery{r.WebhookDelivery, r.EventType, r.AggregateID, r.AggregateVersion}
	}
	return out, nil
}

// deliveries uses the query whose index fits the filter.
func (s *Store) deliveries(
	ctx context.Context, f DeliveryFilter, after Position, limit int32,
) ([]ordersdb.ListWebhookDeliveriesRow, error) {
	switch {
	case f.SubscriptionID != uuid.Nil:
		rows, err := s.q.ListWebhookDeliveriesBySubscription(ctx, s.pool,
			ordersdb.ListWebhookDeliveriesBySubscriptionParams{
				BeforeCreatedAt: after.CreatedAt,
				BeforeID:        after.ID,
				SubscriptionID:  f.SubscriptionID,
				Status:          f.Status,
				EventType:       f.EventType,
				FromTime:        f.From,
				ToTime:          orFarFuture(f.To),
				PageSize:        limit,
			})
		out := make([]ordersdb.ListWebhookDeliveriesRow, len(rows))
		for i, r := range rows {
			out[i] = ordersdb.ListWebhookDeliveriesRow(r)
		}
		return out, err
	case f.Status != "":
		rows, err := s.q.ListWebhookDeliveriesByStatus(ctx, s.pool, ordersdb.ListWebhookDeliveriesByStatusParams{
			BeforeCreatedAt: after.CreatedAt,
			BeforeID:        after.ID,
			Status:          f.Status,
			EventType:       f.EventType,
			FromTime:        f.From,
			ToTime:          orFarFuture(f.To),
			PageSize:        limit,
		})
		out := make([]ordersdb.ListWebhookDeliveriesRow, len(rows))
		for i, r := range rows {
			out[i] = ordersdb.ListWebhookDeliveriesRow(r)
		}
		return out, err
	default:
		return s.q.ListWebhookDeliveries(ctx, s.pool, ordersdb.ListWebhookDeliveriesParams{
			BeforeCreatedAt: after.CreatedAt,
			BeforeID:        after.ID,
			EventType:       f.EventType,
			FromTime:        f.From,
			ToTime:          orFarFuture(f.To),
			PageSize:        limit,
		})
	}
}

func orFarFuture(t time.Time) time.Time {
	if t.IsZero() {
		return farFuture
	}
	return t
}

// Delivery returns a delivery and the body that the merchant gets.
func (s *Store) Delivery(ctx context.Context, id uuid.UUID) (Delivery, []byte, error) {
	r, err := s.q.GetWebhookDelivery(ctx, s.pool, id)
	if err != nil {
		return Delivery{}, nil, fmt.Errorf("read webhook delivery %s: %w", id, orElse(err, ErrDeliveryNotFound))
	}
	e := r.WebhookEvent
	return Delivery{r.WebhookDelivery, e.EventType, e.AggregateID, e.AggregateVersion}, e.Body, nil
}

// Redeliver sends a delivery again, with all its attempts. It returns ErrPending if the sender still tries it, so a
// repeat sends nothing, and ErrDisabled if the subscription is disabled.
func (s *Store) Redeliver(ctx context.Context, id uuid.UUID, actor string) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		r, err := s.q.GetWebhookDelivery(ctx, tx, id)
		if err != nil {
			return orElse(err, ErrDeliveryNotFound)
		}
		if err := s.lockEnabled(ctx, tx, r.WebhookDelivery.SubscriptionID); err != nil {
			return err
		}
		n, err := s.q.RedeliverWebhook(ctx, tx, id)
		switch {
		case err != nil:
			return err
		case n == 0:
			return ErrPending
		}
		return s.log(ctx, tx, r.WebhookDelivery.SubscriptionID, "redeliver", actor, "delivery "+id.String())
	})
	if err != nil {
		return fmt.Errorf("send webhook delivery %s again: %w", id, err)
	}
	return nil
}

// lockEnabled keeps a subscription from being disabled or deleted until the transaction ends.
func (s *Store) lockEnabled(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	sub, err := s.q.LockWebhookSubscription(ctx, tx, id)
	switch {
	case err != nil:
		return orElse(err, ErrNotFound)
	case !sub.Enabled:
		return ErrDisabled
	}
	return nil
}

// Range chooses deliveries of a subscription to send again. A zero time is no bound; To and EndedBefore are exclusive.
type Range struct {
	SubscriptionID uuid.UUID
	Statuses       []string
	EventType      string // empty: every type
	From, To       time.Time
	// EndedBefore leaves out the deliveries that ended at this time or later, such as those that an earlier call of the
	// same Range has sent again.
	EndedBefore time.Time
}

// CountRange returns how many deliveries RedeliverRange could send, and EndedBefore for it: the database's time if the
// range has none.
func (s *Store) CountRange(ctx context.Context, r Range) (int64, time.Time, error) {
	in := ordersdb.CountWebhookDeliveriesParams{
		SubscriptionID: r.SubscriptionID,
		Statuses:       r.Statuses,
		EventType:      r.EventType,
		FromTime:       r.From,
		ToTime:         orFarFuture(r.To),
	}
	if !r.EndedBefore.IsZero() {
		in.EndedBefore = &r.EndedBefore
	}
	found, err := s.q.CountWebhookDeliveries(ctx, s.pool, in)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("count webhook deliveries: %w", err)
	}
	if r.EndedBefore.IsZero() {
		r.EndedBefore = found.At
	}
	return found.Matching, r.EndedBefore, nil
}

// RedeliverRange sends up to limit deliveries again in one transaction, the oldest first, and returns how many. The
// range must have EndedBefore. It returns ErrDisabled if the subscription is disabled.
func (s *Store) RedeliverRange(ctx context.Context, r Range, actor string, limit int) (int, error) {
	sent := 0
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := s.lockEnabled(ctx, tx, r.SubscriptionID); err != nil {
			return err
		}
		n, err := s.q.RedeliverWebhooks(ctx, tx, ordersdb.RedeliverWebhooksParams{
			SubscriptionID: r.SubscriptionID,
			Statuses:       r.Statuses,
			EventType:      r.EventType,
			FromTime:       r.From,
			ToTime:         orFarFuture(r.To),
			EndedBefore:    r.EndedBefore,
			Size:           int32(limit), //nolint:gosec // a constant
		})
		if sent = int(n); err != nil || n == 0 {
			return err
		}
		return s.log(ctx, tx, r.SubscriptionID, "redeliver", actor, fmt.Sprintf("%d deliveries", n))
	})
	if err != nil {
		return 0, fmt.Errorf("send webhook deliveries again: %w", err)
	}
	return sent, nil
}
