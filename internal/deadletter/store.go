// Package deadletter keeps the messages that consumers could not process, and lets operators look at them, send them
// again and discard them.
//
// A [Mover] takes messages from the dead-letter queues and acknowledges each once it is in the table dead_messages. So
// operators look at rows, and never hold a message of a queue. To send a message again is a row of the outbox in one
// transaction with the change of the message and a record of who did it: the relay publishes it to the queue where it
// failed.
package deadletter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/db/ordersdb"
	"holdfast/internal/outbox"
)

// The statuses of a dead message.
const (
	Dead      = "dead"      // no consumer tries to process it
	Redriven  = "redriven"  // an operator has sent it again; if it fails again, it is dead again
	Discarded = "discarded" // an operator has decided that it is never processed
)

// Errors of the store.
var (
	ErrNotFound = errors.New("there is no such dead message")
	// ErrNotDead says that an operator has sent the message again or discarded it.
	ErrNotDead = errors.New("the message is not dead")
)

// Message is a message that a consumer could not process.
type Message = ordersdb.DeadMessage

// Action is what an operator did with a message.
type Action = ordersdb.DeadMessageAction

// Store is the table of dead messages in the orders database.
type Store struct {
	pool *pgxpool.Pool
	q    *ordersdb.Queries
}

// NewStore returns the store of an orders database.
func NewStore(pool *pgxpool.Pool) *Store { return &Store{pool: pool, q: ordersdb.New()} }

// Keep writes a message that has died and reports whether that was new. A message that is dead already changes nothing.
func (s *Store) Keep(ctx context.Context, m Message) (bool, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return false, fmt.Errorf("make an id: %w", err)
	}
	n, err := s.q.KeepDeadMessage(ctx, s.pool, ordersdb.KeepDeadMessageParams{
		DeadMessageID: id,
		Queue:         m.Queue,
		MessageKey:    m.MessageKey,
		EventType:     m.EventType,
		EventID:       m.EventID,
		AggregateID:   m.AggregateID,
		Body:          m.Body,
		Headers:       m.Headers,
		ContentType:   m.ContentType,
		CorrelationID: m.CorrelationID,
		Cause:         m.Cause,
		Error:         m.Error,
		Attempts:      m.Attempts,
		MaxAttempts:   m.MaxAttempts,
		Redrives:      m.Redrives,
	})
	if err != nil {
		return false, fmt.Errorf("keep a dead message of %s: %w", m.Queue, err)
	}
	return n > 0, nil
}

// Get returns a message and what operators did with it.
func (s *Store) Get(ctx context.Context, id uuid.UUID) (Message, []Action, error) {
	m, err := s.q.GetDeadMessage(ctx, s.pool, id)
	if err != nil {
		return m, nil, fmt.Errorf("read dead message %s: %w", id, notFound(err))
	}
	actions, err := s.q.ListDeadMessageActions(ctx, s.pool, id)
	if err != nil {
		return m, nil, fmt.Errorf("read the actions on dead message %s: %w", id, err)
	}
	return m, actions, nil
}

// Filter chooses messages. An empty queue or type matches every message.
type Filter struct{ Queue, EventType string }

// Position is the place of a message in the list.
type Position struct {
	DiedAt time.Time
	ID     uuid.UUID
}

// First is the position before the first message.
var First = Position{DiedAt: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), ID: uuid.Max}

// List returns the messages of a status behind a position, the latest death first.
func (s *Store) List(ctx context.Context, status string, f Filter, after Position, limit int) ([]Message, error) {
	rows, err := s.q.ListDeadMessages(ctx, s.pool, ordersdb.ListDeadMessagesParams{
		Status:       status,
		BeforeDiedAt: after.DiedAt,
		BeforeID:     after.ID,
		Queue:        f.Queue,
		EventType:    f.EventType,
		PageSize:     int32(limit), //nolint:gosec // the contract bounds it
	})
	if err != nil {
		return nil, fmt.Errorf("list dead messages: %w", err)
	}
	return rows, nil
}

// Count returns the number of dead messages of each queue that has some.
func (s *Store) Count(ctx context.Context) (map[string]int64, error) {
	rows, err := s.q.CountDeadMessages(ctx, s.pool)
	if err != nil {
		return nil, fmt.Errorf("count dead messages: %w", err)
	}
	out := make(map[string]int64, len(rows))
	for _, r := range rows {
		out[r.Queue] = r.Messages
	}
	return out, nil
}

// CountMatching returns the number of dead messages that Redrive could send.
func (s *Store) CountMatching(ctx context.Context, f Filter) (int64, error) {
	n, err := s.q.CountMatchingDeadMessages(ctx, s.pool, ordersdb.CountMatchingDeadMessagesParams(f))
	if err != nil {
		return 0, fmt.Errorf("count dead messages: %w", err)
	}
	return n, nil
}

// RedriveOne sends a dead message again. It returns ErrNotDead if the message is not dead, so a repeat sends nothing.
func (s *Store) RedriveOne(ctx context.Context, id uuid.UUID, actor string) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		m, err := s.lockDead(ctx, tx, id)
		if err != nil {
			return err
		}
		return s.redrive(ctx, tx, []Message{m}, actor)
	})
	if err != nil {
		return fmt.Errorf("send dead message %s again: %w", id, err)
	}
	return nil
}

// Redrive sends up to limit dead messages again in one transaction, those that died first, and returns how many.
func (s *Store) Redrive(ctx context.Context, f Filter, actor string, limit int) (int, error) {
	sent := 0
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		list, err := s.q.LockDeadMessages(ctx, tx, ordersdb.LockDeadMessagesParams{
			Queue: f.Queue, EventType: f.EventType, Size: int32(limit), //nolint:gosec // a constant
		})
		if sent = len(list); err != nil || sent == 0 {
			return err
		}
		return s.redrive(ctx, tx, list, actor)
	})
	if err != nil {
		return 0, fmt.Errorf("send dead messages again: %w", err)
	}
	return sent, nil
}

func (s *Store) redrive(ctx context.Context, tx pgx.Tx, list []Message, actor string) error {
	arg := ordersdb.RedriveDeadMessagesParams{Actor: actor}
	for _, m := range list {
		event, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("make an event id: %w", err)
		}
		var kept keptHeaders
		if err := json.Unmarshal(m.Headers, &kept); err != nil {
			return fmt.Errorf("decode the headers of dead message %s: %w", m.DeadMessageID, err)
		}
		payload, err := json.Marshal(outbox.Redrive{
			Queue:         m.Queue,
			MessageID:     kept.MessageID,
			Type:          kept.Type,
			ContentType:   m.ContentType,
			CorrelationID: m.CorrelationID,
			AppID:         kept.AppID,
			Headers:       kept.Headers,
			Redrives:      m.Redrives + 1,
			Body:          m.Body,
		})
		if err != nil {
			return fmt.Errorf("encode dead message %s: %w", m.DeadMessageID, err)
		}
		arg.DeadMessageIds = append(arg.DeadMessageIds, m.DeadMessageID)
		arg.EventIds = append(arg.EventIds, event)
		arg.Payloads = append(arg.Payloads, payload)
		arg.Headers = append(arg.Headers, []byte("{}"))
	}
	return s.q.RedriveDeadMessages(ctx, tx, arg)
}

// Discard marks a dead message as never to be processed. It returns ErrNotDead if the message is not dead.
func (s *Store) Discard(ctx context.Context, id uuid.UUID, actor, reason string) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := s.lockDead(ctx, tx, id); err != nil {
			return err
		}
		return s.q.DiscardDeadMessage(ctx, tx, ordersdb.DiscardDeadMessageParams{
			DeadMessageID: id, Actor: actor, Reason: reason,
		})
	})
	if err != nil {
		return fmt.Errorf("discard dead message %s: %w", id, err)
	}
	return nil
}

// lockDead locks a message for the transaction. Two operators who act on one message act one after the other.
func (s *Store) lockDead(ctx context.Context, tx pgx.Tx, id uuid.UUID) (Message, error) {
	m, err := s.q.LockDeadMessage(ctx, tx, id)
	switch {
	case err != nil:
		return m, notFound(err)
	case m.Status != Dead:
		return m, fmt.Errorf("%w: it is %s", ErrNotDead, m.Status)
	}
	return m, nil
}

func notFound(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotFound
	}
	return err
}
