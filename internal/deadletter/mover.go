package deadletter

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	amqp "github.com/rabbitmq/amqp091-go"

	"holdfast/internal/consumer"
	"holdfast/internal/events"
	"holdfast/internal/outbox"
	"holdfast/internal/rabbitmq"
)

// MoverOptions are what a mover needs.
type MoverOptions struct {
	Store     *Store
	Queues    []string // whose dead-letter queues it empties
	Connector *rabbitmq.Connector
	Topology  rabbitmq.Topology
	Log       *slog.Logger
	Registry  prometheus.Registerer
}

// Mover moves messages from dead-letter queues into the table.
type Mover struct {
	MoverOptions
	moved *prometheus.CounterVec
	table *prometheus.GaugeVec

	mu     sync.Mutex
	queued map[string]int // messages of the dead-letter queue of each queue
	asOf   time.Time
}

// NewMover returns a mover. It moves while Run runs.
func NewMover(o MoverOptions) *Mover {
	f, label := promauto.With(o.Registry), []string{"queue"}
	return &Mover{
		MoverOptions: o,
		queued:       map[string]int{},
		moved: f.NewCounterVec(prometheus.CounterOpts{
			Name: "events_dead_messages_total",
			Help: "Messages that were moved from a dead-letter queue into the table, by cause.",
		}, []string{"queue", "cause"}),
		table: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "events_dead_messages",
			Help: "Dead messages in the table that no operator has dealt with. Add the dead-letter queue's to alert.",
		}, label),
	}
}

const (
	// prefetch is how many dead messages the mover has at a time.
	prefetch = 20
	// keepTimeout limits one write.
	keepTimeout = 5 * time.Second
	// keepPause is how long a mover waits after a failed write.
	keepPause = time.Second
	// measureInterval is how often the queues and the table are counted.
	measureInterval = 5 * time.Second
)

// Run moves messages until ctx ends. It survives outages of the broker and of the database.
func (m *Mover) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, queue := range m.Queues {
		running.Go(func() {
			// It returns nil when ctx ends.
			_ = m.Connector.Supervise(ctx, queue+"-mover", func(ctx context.Context, s *rabbitmq.Session) error {
				return m.move(ctx, s, queue)
			})
		})
	}
	running.Go(func() { _ = m.Connector.Supervise(ctx, "queue-depths", m.measure) })
	running.Wait()
	return nil
}

// move empties the dead-letter queue of one queue on one session.
func (m *Mover) move(ctx context.Context, session *rabbitmq.Session, queue string) error {
	if err := session.Declare(m.Topology); err != nil {
		return err
	}
	deliveries, err := session.Consume(ctx, rabbitmq.DeadLetterQueue(queue), prefetch)
	if err != nil {
		return err
	}
	for d := range deliveries {
		dead := message(queue, d)
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTimeout)
		fresh, err := m.Store.Keep(limited, dead)
		cancel()
		if err != nil {
			// The message stays in the queue. A fresh session delivers it again.
			select {
			case <-ctx.Done():
			case <-time.After(keepPause):
			}
			return err
		}
		if err := d.Ack(false); err != nil {
			return fmt.Errorf("acknowledge a dead message: %w", err)
		}
		if fresh {
			m.moved.WithLabelValues(queue, causeLabel(dead.Cause)).Inc()
			m.Log.ErrorContext(ctx, "a dead message waits for an operator", "queue", queue, "event_id", dead.EventID,
				"event_type", dead.EventType, "aggregate_id", dead.AggregateID, "correlation_id", dead.CorrelationID,
				"cause", dead.Cause, "attempts", dead.Attempts, "error", dead.Error)
		}
	}
	return nil
}

// The causes of a dead message of which no consumer says why it is dead.
const (
	causeUnknown       = "unknown"
	causeDeliveryLimit = "delivery_limit" // these two are the broker's words
	causeRejected      = "rejected"
)

// causeLabel returns the cause for a metric, or "other": a message must not be able to make new series.
func causeLabel(cause string) string {
	switch cause {
	case consumer.CausePoison, consumer.CauseExhausted, causeUnknown, causeDeliveryLimit, causeRejected:
		return cause
	}
	return "other"
}

// keptHeaders is what the column headers keeps of a message besides its own columns.
type keptHeaders struct {
	MessageID string            `json:"messageId"`
	Type      string            `json:"type"`
	AppID     string            `json:"appId"`
	Headers   map[string]string `json:"headers"`
}

// message reads a dead message. Nothing in it is trusted: it may come from any publisher.
func message(queue string, d amqp.Delivery) Message {
	out := Message{
		Queue:         queue,
		EventType:     clean(d.Type, maxName),
		Body:          d.Body,
		ContentType:   clean(d.ContentType, maxName),
		CorrelationID: clean(d.CorrelationId, maxName),
		Cause:         causeUnknown,
		Error:         "the broker does not say why",
		Attempts:      1,
		MaxAttempts:   1,
		Redrives:      int32(consumer.Integer(d.Headers, outbox.HeaderRedrives)), //nolint:gosec // operators act seldom
	}
	if out.Body == nil {
		out.Body = []byte{}
	}
	// Two messages that share an id and differ are two rows, so that none is lost.
	sum := sha256.Sum256(d.Body)
	out.MessageKey = clean(d.MessageId, maxName) + "/" + hex.EncodeToString(sum[:16])

	var e events.Envelope
	if json.Unmarshal(d.Body, &e) == nil && e.EventID != uuid.Nil {
		out.EventID, out.AggregateID = &e.EventID, &e.AggregateID
		out.EventType = clean(e.EventType, maxName)
	}
	setCause(&out, d.Headers)

	kept := keptHeaders{
		MessageID: clean(d.MessageId, maxName),
		Type:      clean(d.Type, maxName),
		AppID:     clean(d.AppId, maxName),
		Headers:   map[string]string{},
	}
	for name, value := range d.Headers {
		if text, ok := value.(string); ok && !strings.HasPrefix(name, "x-") {
			kept.Headers[clean(name, maxName)] = clean(text, maxText)
		}
	}
	out.Headers, _ = json.Marshal(kept) // plain strings always encode
	return out
}

// setCause takes the reason of the death from the consumer's headers, or else from the broker's.
func setCause(m *Message, headers amqp.Table) {
	if cause, ok := headers[consumer.HeaderCause].(string); ok {
		text, _ := headers[consumer.HeaderError].(string)
		m.Cause, m.Error = clean(cause, maxName), clean(text, maxText)
		m.Attempts = int32(max(1, consumer.Integer(headers, consumer.HeaderAttempts))) //nolint:gosec // few
		m.MaxAttempts = max(m.Attempts,
			int32(consumer.Integer(headers, consumer.HeaderMaxAttempts))) //nolint:gosec // few
		return
	}

	deaths, _ := headers["x-death"].([]any)
	for _, death := range deaths {
		record, _ := death.(amqp.Table)
		reason, _ := record["reason"].(string)
		switch reason {
		case causeDeliveryLimit:
			m.Cause, m.Error = reason, "the message came again too often without an acknowledgement: it may kill its consumer"
			return
		case causeRejected:
			m.Cause, m.Error = reason, "a consumer rejected the message without saying why"
			return
		}
	}
}

// maxName and maxText bound what is kept of a message's properties, in bytes.
const (
	maxName = 255
	maxText = 2000
)

// clean returns text that PostgreSQL can store.
func clean(s string, most int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}

// measure counts the dead-letter queues and the table, now and then, on one session.
func (m *Mover) measure(ctx context.Context, session *rabbitmq.Session) error {
	if err := session.Declare(m.Topology); err != nil {
		return err
	}
	for {
		queued := map[string]int{}
		for _, queue := range m.Queues {
			depth, err := session.Depth(rabbitmq.DeadLetterQueue(queue))
			if err != nil {
				return err
			}
			queued[queue] = depth.Ready
		}
		m.mu.Lock()
		m.queued, m.asOf = queued, time.Now()
		m.mu.Unlock()
		m.countTable(ctx)
		select {
		case <-ctx.Done():
			return session.Err()
		case <-time.After(measureInterval):
		}
	}
}

func (m *Mover) countTable(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	count, err := m.Store.Count(limited)
	if err != nil {
		if ctx.Err() == nil {
			m.Log.WarnContext(ctx, "cannot count dead messages", "error", err)
		}
		return
	}
	for _, queue := range m.Queues {
		m.table.WithLabelValues(queue).Set(float64(count[queue]))
	}
}

// Queued returns how many messages waited in the dead-letter queues when they were last counted, and when that was. The
// time is zero if they were never counted.
func (m *Mover) Queued() (messages int, asOf time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, queue := range m.Queues {
		messages += m.queued[queue]
	}
	return messages, m.asOf
}
