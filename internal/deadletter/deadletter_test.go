package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/consumer"
	"holdfast/internal/deadletter"
	"holdfast/internal/events"
	"holdfast/internal/rabbitmq"
)

// TestMove: a dead message becomes a row with all that is known of it, and leaves the queue.
func TestMove(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, p := event(t)
	w.startMover()
	w.kill(p)
	m := w.awaitStatus(deadletter.Dead, 1)[0]
	w.awaitEmpty(rabbitmq.DeadLetterQueue(w.queue))

	require.Equal(t, w.queue, m.Queue)
	require.Equal(t, id, *m.EventID)
	require.Equal(t, "inventory.released", m.EventType)
	require.Equal(t, "corr-1", m.CorrelationID)
	require.JSONEq(t, string(p.Body), string(m.Body))
	require.Equal(t, []any{consumer.CauseExhausted, "no answer", int32(7), int32(10)},
		[]any{m.Cause, m.Error, m.Attempts, m.MaxAttempts})
}

// TestAnyMessageIsKept: what a publisher sends may be no event, no text and without an id. Nothing is lost, and a copy
// of a message is no second row.
func TestAnyMessageIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startMover()
	for _, p := range []amqp.Publishing{
		{Body: []byte("\x00\xff")},
		{},
		{MessageId: "same", Body: []byte("one")},
		{MessageId: "same", Body: []byte("two")},
		{MessageId: "same", Body: []byte("two")}, // the copy
		{Body: []byte(`{"eventId":"7"}`), Type: "a\x00b", Headers: amqp.Table{"n": int64(7), "text": "\xff\x00"}},
	} {
		w.kill(p)
	}
	w.awaitEmpty(rabbitmq.DeadLetterQueue(w.queue))
	w.awaitStatus(deadletter.Dead, 5)
}

// TestDeliveryLimit: the broker moves a message that kills its consumers to the dead-letter queue. Its row says why.
func TestDeliveryLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, p := event(t)
	w.publish("", w.queue, p)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	deliveries, err := w.session.Consume(ctx, w.queue, 1)
	require.NoError(t, err)
	go func() {
		for d := range deliveries {
			_ = d.Reject(true) // as a connection that is lost
		}
	}()

	w.startMover()
	require.Equal(t, "delivery_limit", w.awaitStatus(deadletter.Dead, 1)[0].Cause)
}

// TestDatabaseDown: while the database refuses the row, the message stays in the queue.
func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.pool.Exec(t.Context(), "ALTER TABLE dead_messages RENAME TO gone")
	require.NoError(t, err)
	_, stop := w.startMover()
	_, p := event(t)
	w.kill(p)
	require.Eventually(t, func() bool {
		d, err := w.session.Depth(rabbitmq.DeadLetterQueue(w.queue))
		return err == nil && d.Consumers > 0
	}, patience, 5*time.Millisecond)
	stop()
	require.Eventually(t, func() bool {
		d, err := w.session.Depth(rabbitmq.DeadLetterQueue(w.queue))
		return err == nil && d.Ready == 1
	}, patience, 5*time.Millisecond, "it waits in the queue")

	_, err = w.pool.Exec(t.Context(), "ALTER TABLE gone RENAME TO dead_messages")
	require.NoError(t, err)
	w.startMover()
	w.awaitStatus(deadletter.Dead, 1)
}

// TestRedrive: a message that an operator sends again reaches only the queue where it failed, as it was, and is
// processed. The operator's act is recorded.
func TestRedrive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, p := event(t)
	w.startMover()
	w.kill(p)
	m := w.awaitStatus(deadletter.Dead, 1)[0]
	require.NoError(t, w.store.RedriveOne(t.Context(), m.DeadMessageID, "olga"))
	require.ErrorIs(t, w.store.RedriveOne(t.Context(), m.DeadMessageID, "olga"), deadletter.ErrNotDead)

	w.startRelay()
	deliveries, err := w.session.Consume(t.Context(), w.queue, 1)
	require.NoError(t, err)
	d := <-deliveries
	require.NoError(t, d.Ack(false))
	require.Equal(t, p.Body, d.Body)
	require.Equal(t, []any{id.String(), "inventory.released", "corr-1", "00-trace"},
		[]any{d.MessageId, d.Type, d.CorrelationId, d.Headers["traceparent"]})
	require.NotContains(t, d.Headers, consumer.HeaderAttempts, "its attempts begin again")
	for _, q := range w.topology.Queues {
		depth, err := w.session.Depth(q.Name)
		require.NoError(t, err)
		require.Zero(t, depth.Ready, "no other queue has it: %s", q.Name)
	}

	got, actions, err := w.store.Get(t.Context(), m.DeadMessageID)
	require.NoError(t, err)
	require.Equal(t, deadletter.Redriven, got.Status)
	require.EqualValues(t, 1, got.Redrives)
	require.Len(t, actions, 1)
	require.Equal(t, []string{"retry", "olga"}, []string{actions[0].Action, actions[0].Actor})
}

// TestDeadAgain: a message that fails again after a redrive is the same row, dead again. A late copy of its first death
// changes nothing.
func TestDeadAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, p := event(t)
	w.startMover()
	w.startRelay()
	var fail atomic.Bool
	fail.Store(true)
	w.startConsumer(func(ctx context.Context, e events.Envelope) (consumer.Effect, error) {
		if fail.Load() {
			return nil, errors.New("still broken")
		}
		return noEffect(ctx, e)
	})

	w.kill(p)
	m := w.awaitStatus(deadletter.Dead, 1)[0]
	for n := range 2 {
		require.NoError(t, w.store.RedriveOne(t.Context(), m.DeadMessageID, "olga"))
		again := w.awaitStatus(deadletter.Dead, 1)[0]
		require.Equal(t, m.DeadMessageID, again.DeadMessageID)
		require.EqualValues(t, n+1, again.Redrives)
		require.Equal(t, "still broken", again.Error)
	}

	fail.Store(false)
	require.NoError(t, w.store.RedriveOne(t.Context(), m.DeadMessageID, "olga"))
	require.Eventually(t, func() bool {
		done, err := consumer.NewInbox(w.pool, "orders").Has(t.Context(), id)
		return err == nil && done
	}, patience, 5*time.Millisecond)
	_, other := event(t)
	w.kill(p)
	w.kill(other) // moved after the late copy
	require.NotEqual(t, m.DeadMessageID, w.awaitStatus(deadletter.Dead, 1)[0].DeadMessageID)
}

// TestOneRedriveOfMany: of twenty operators who send a message again at once, one does.
func TestOneRedriveOfMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, p := event(t)
	w.startMover()
	w.kill(p)
	m := w.awaitStatus(deadletter.Dead, 1)[0]

	var sent atomic.Int32
	var g errgroup.Group
	for i := range 20 {
		g.Go(func() error {
			var err error
			if i%2 == 0 {
				err = w.store.RedriveOne(t.Context(), m.DeadMessageID, "olga")
			} else {
				var n int
				if n, err = w.store.Redrive(t.Context(), deadletter.Filter{}, "otto", 10); err == nil && n == 0 {
					return nil
				}
			}
			if errors.Is(err, deadletter.ErrNotDead) {
				return nil
			}
			sent.Add(1)
			return err
		})
	}
	require.NoError(t, g.Wait())
	require.EqualValues(t, 1, sent.Load())
	require.Equal(t, 1, w.count("SELECT count(*) FROM outbox"))
	require.Equal(t, 1, w.count("SELECT count(*) FROM dead_message_actions"))
}

// TestListAndCount: looking changes nothing, pages are complete, and filters apply to lists and redrives.
func TestListAndCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const n = 25
	for i := range n {
		queue, eventType := "a", "inventory.released"
		if i%5 == 0 {
			queue, eventType = "b", "order.cancelled"
		}
		_, err := w.store.Keep(t.Context(), deadletter.Message{
			Queue: queue, MessageKey: fmt.Sprint(i), EventType: eventType, Body: []byte("{}"), Headers: []byte("{}"),
			Cause: "poison", Error: "e", Attempts: 1, MaxAttempts: 10,
		})
		require.NoError(t, err)
	}
	before := w.count("SELECT sum(xmin::text::bigint)::bigint FROM dead_messages")

	seen, after := map[uuid.UUID]bool{}, deadletter.First
	for {
		page, err := w.store.List(t.Context(), deadletter.Dead, deadletter.Filter{}, after, 4)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		for _, m := range page {
			require.False(t, seen[m.DeadMessageID])
			seen[m.DeadMessageID] = true
			_, _, err := w.store.Get(t.Context(), m.DeadMessageID)
			require.NoError(t, err)
			after = deadletter.Position{DiedAt: m.DiedAt, ID: m.DeadMessageID}
		}
	}
	require.Len(t, seen, n)
	count, err := w.store.Count(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"a": 20, "b": 5}, count)
	require.Equal(t, before, w.count("SELECT sum(xmin::text::bigint)::bigint FROM dead_messages"),
		"looking writes nothing")

	filter := deadletter.Filter{Queue: "b", EventType: "order.cancelled"}
	matching, err := w.store.CountMatching(t.Context(), filter)
	require.NoError(t, err)
	require.EqualValues(t, 5, matching)
	for _, want := range []int{3, 2, 0} {
		sent, err := w.store.Redrive(t.Context(), filter, "olga", 3)
		require.NoError(t, err)
		require.Equal(t, want, sent)
	}
	w.awaitStatus(deadletter.Dead, 20)
}

// TestDiscard: a discarded message stays readable, with the reason, and is never sent again.
func TestDiscard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, p := event(t)
	w.startMover()
	w.kill(p)
	m := w.awaitStatus(deadletter.Dead, 1)[0]
	require.NoError(t, w.store.Discard(t.Context(), m.DeadMessageID, "olga", "a test order"))
	require.ErrorIs(t, w.store.RedriveOne(t.Context(), m.DeadMessageID, "olga"), deadletter.ErrNotDead)
	require.ErrorIs(t, w.store.Discard(t.Context(), uuid.New(), "olga", "r"), deadletter.ErrNotFound)

	got, actions, err := w.store.Get(t.Context(), m.DeadMessageID)
	require.NoError(t, err)
	require.Equal(t, deadletter.Discarded, got.Status)
	require.Equal(t, "a test order", actions[0].Reason)
	require.Zero(t, w.count("SELECT count(*) FROM outbox"))
}

// TestDatabaseChecksAttempts: the database refuses attempts that cannot be.
func TestDatabaseChecksAttempts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, wrong := range [][2]int32{{0, 10}, {11, 10}, {-1, 0}, {1, 0}} {
		_, err := w.store.Keep(t.Context(), deadletter.Message{
			Queue: "q", MessageKey: "k", Body: []byte("{}"), Headers: []byte("{}"), Cause: "poison",
			Attempts: wrong[0], MaxAttempts: wrong[1],
		})
		require.ErrorContains(t, err, "dead_messages_attempts")
	}
	for _, sql := range []string{
		"UPDATE dead_messages SET status = 'lost'",
		"UPDATE dead_messages SET status = 'redriven'",
		"UPDATE dead_messages SET status = 'discarded'",
		"UPDATE dead_messages SET redrives = -1",
		"INSERT INTO dead_message_actions SELECT dead_message_id, DEFAULT, 'eat', 'a', '', now(), NULL FROM dead_messages",
	} {
		_, err := w.store.Keep(t.Context(), deadletter.Message{
			Queue: "q", MessageKey: "k", Body: []byte("{}"), Headers: []byte("{}"), Cause: "poison",
			Attempts: 1, MaxAttempts: 10,
		})
		require.NoError(t, err)
		_, err = w.pool.Exec(t.Context(), sql)
		require.Error(t, err, sql)
	}
}
