package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/db/outboxdb"
	"holdfast/internal/events"
)

// Event is a leased row of an outbox.
type Event struct {
	ID               uuid.UUID
	AggregateID      uuid.UUID
	AggregateVersion int64
	Type             string
	SchemaVersion    int
	Payload          string // JSON of the data
	Headers          string // JSON object
	CreatedAt        time.Time
	Attempts         int // how often a relay has leased the event, this time included
}

// Store is a relay's access to one outbox.
type Store struct {
	pool *pgxpool.Pool
	q    *outboxdb.Queries
}

// NewStore returns the outbox of a database.
func NewStore(pool *pgxpool.Pool) *Store { return &Store{pool: pool, q: outboxdb.New()} }

// blockedDelay is when the relay looks again at an event that waits for an earlier event of its aggregate.
const blockedDelay = 50 * time.Millisecond

// Lease leases at most size events, for the given time. It also returns how many rows it has looked at: if there are as
// many as size, more may be due.
func (s *Store) Lease(ctx context.Context, size int, lease time.Duration) (events []Event, seen int, err error) {
	rows, err := s.q.LeaseEvents(ctx, s.pool, outboxdb.LeaseEventsParams{
		LeaseSeconds:   lease.Seconds(),
		BlockedSeconds: blockedDelay.Seconds(),
		Size:           int32(size), //nolint:gosec // Config.Validate bounds it
	})
	if err != nil {
		return nil, 0, fmt.Errorf("lease events: %w", err)
	}
	events = make([]Event, 0, len(rows))
	for _, r := range rows {
		if !r.Free {
			continue
		}
		events = append(events, Event{
			ID:               r.EventID,
			AggregateID:      r.AggregateID,
			AggregateVersion: r.AggregateVersion,
			Type:             r.EventType,
			SchemaVersion:    int(r.SchemaVersion),
			Payload:          r.Payload,
			Headers:          r.Headers,
			CreatedAt:        r.CreatedAt,
			Attempts:         int(r.Attempts),
		})
	}
	return events, len(rows), nil
}

// Failure is an event that was leased and not published.
type Failure struct {
	ID    uuid.UUID
	Delay time.Duration // until the event is due again
	Error string
}

// Settle ends a lease: in one transaction it marks the published events and gives back the others. It is idempotent.
func (s *Store) Settle(ctx context.Context, published []uuid.UUID, failed []Failure) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if len(published) > 0 {
			if _, err := s.q.MarkPublished(ctx, tx, published); err != nil {
				return err
			}
		}
		if len(failed) == 0 {
			return nil
		}
		var arg outboxdb.DeferEventsParams
		for _, f := range failed {
			arg.EventIds = append(arg.EventIds, f.ID)
			arg.Delays = append(arg.Delays, f.Delay.Seconds())
			arg.Errors = append(arg.Errors, f.Error)
		}
		return s.q.DeferEvents(ctx, tx, arg)
	})
	if err != nil {
		return fmt.Errorf("settle %d published and %d failed events: %w", len(published), len(failed), err)
	}
	return nil
}

// Backlog is what waits in an outbox.
type Backlog struct {
	Waiting int64         // events that are not published yet
	Oldest  time.Duration // age of the oldest of them; 0 if none waits
}

// Backlog counts the events that wait, with an index that has no others.
func (s *Store) Backlog(ctx context.Context) (Backlog, error) {
	r, err := s.q.Backlog(ctx, s.pool)
	if err != nil {
		return Backlog{}, fmt.Errorf("count the events that wait: %w", err)
	}
	return Backlog{Waiting: r.Waiting, Oldest: max(0, r.At.Sub(r.Oldest))}, nil
}

// DeletePublished deletes at most limit events that were published before the given time, and returns how many it has
// deleted.
func (s *Store) DeletePublished(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := s.q.DeletePublished(ctx, s.pool, outboxdb.DeletePublishedParams{
		BelowID: events.FirstID(before),
		Before:  before,
		Most:    int32(limit), //nolint:gosec // a constant
	})
	if err != nil {
		return 0, fmt.Errorf("delete published events: %w", err)
	}
	return int(n), nil
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.pool.Ping(ctx) }
