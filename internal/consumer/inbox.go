package consumer

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/db/inboxdb"
	"holdfast/internal/events"
)

// Inbox remembers which events a consumer has processed.
type Inbox struct {
	consumer string
	pool     *pgxpool.Pool
	q        *inboxdb.Queries
}

// NewInbox returns the inbox of a consumer in its own database.
func NewInbox(pool *pgxpool.Pool, consumer string) *Inbox {
	return &Inbox{consumer: consumer, pool: pool, q: inboxdb.New()}
}

// Has reports whether the consumer has processed the event.
func (i *Inbox) Has(ctx context.Context, event uuid.UUID) (bool, error) {
	found, err := i.q.WasProcessed(ctx, i.pool, inboxdb.WasProcessedParams{Consumer: i.consumer, EventID: event})
	if err != nil {
		return false, fmt.Errorf("look up event %s in the inbox: %w", event, err)
	}
	return found, nil
}

// Add writes that the event is processed, in one transaction with the effect on this database; nil means no such
// effect. If the event was processed before, Add changes nothing and reports false.
func (i *Inbox) Add(ctx context.Context, event uuid.UUID, effect Effect) (bool, error) {
	in := inboxdb.MarkProcessedParams{Consumer: i.consumer, EventID: event}
	added := false
	err := pgx.BeginFunc(ctx, i.pool, func(tx pgx.Tx) error {
		n, err := i.q.MarkProcessed(ctx, tx, in)
		if added = n > 0; err != nil || !added || effect == nil {
			return err
		}
		return effect(ctx, tx)
	})
	if err != nil {
		return false, fmt.Errorf("write event %s into the inbox: %w", event, err)
	}
	return added, nil
}

// Forget deletes at most limit events that were made before the given time, and returns how many it has deleted.
func (i *Inbox) Forget(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := i.q.ForgetProcessed(ctx, i.pool, inboxdb.ForgetProcessedParams{
		Consumer: i.consumer,
		BelowID:  events.FirstID(before),
		Most:     int32(limit), //nolint:gosec // a constant
	})
	if err != nil {
		return 0, fmt.Errorf("delete old events from the inbox: %w", err)
	}
	return int(n), nil
}
