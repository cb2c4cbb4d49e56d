package consumer

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"holdfast/internal/events"
	"holdfast/internal/rabbitmq"
)

// Headers of a message that a consumer has put aside.
const (
	// HeaderAttempts is how often a consumer has tried the message since it was last published.
	HeaderAttempts = "x-holdfast-attempts"
	// HeaderMaxAttempts is the limit that applied.
	HeaderMaxAttempts = "x-holdfast-max-attempts"
	// HeaderCause and HeaderError say why a message is dead.
	HeaderCause = "x-holdfast-cause"
	HeaderError = "x-holdfast-error"
)

// The causes that a consumer gives to a dead message.
const (
	CausePoison    = "poison"    // no attempt can succeed
	CauseExhausted = "exhausted" // too many attempts have failed
)

// maxError is the number of bytes of an error that a header has.
const maxError = 1000

// PoisonError says that no attempt to process a message can succeed.
type PoisonError struct{ Err error }

func (e *PoisonError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *PoisonError) Unwrap() error { return e.Err }

// Poison marks an error as one that another attempt would meet again.
func Poison(err error) error { return &PoisonError{err} }

func isPoison(err error) bool {
	var poison *PoisonError
	return errors.As(err, &poison)
}

// Data decodes the data of an event. Members that the type does not have are ignored, because a later release may add
// some. The error is poison.
func Data[T any](e events.Envelope) (T, error) {
	var data T
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return data, Poison(fmt.Errorf("decode the data of %s: %w", e.EventType, err))
	}
	return data, nil
}

// decode reads the envelope of a message. The error is poison.
func decode(d amqp.Delivery) (events.Envelope, error) {
	var e events.Envelope
	if err := json.Unmarshal(d.Body, &e); err != nil {
		return e, Poison(fmt.Errorf("decode the envelope: %w", err))
	}
	switch {
	case e.EventID == uuid.Nil:
		return e, Poison(errors.New("the envelope has no eventId"))
	case e.EventType == "":
		return e, Poison(errors.New("the envelope has no eventType"))
	case e.Version != events.SchemaVersion:
		return e, Poison(fmt.Errorf("version %d of %s is not known; this consumer knows version %d",
			e.Version, e.EventType, events.SchemaVersion))
	}
	return e, nil
}

// attempts returns how often a message was tried before this delivery.
func attempts(d amqp.Delivery) int { return Integer(d.Headers, HeaderAttempts) }

// Integer returns the value of a header that is an integer, or 0.
func Integer(headers amqp.Table, name string) int {
	switch n := headers[name].(type) {
	case int32:
		return int(n)
	case int64:
		return int(n)
	default:
		return 0
	}
}

// copyOf returns the message of a delivery, to be published again.
func copyOf(d amqp.Delivery) amqp.Publishing {
	headers := amqp.Table{}
	for name, value := range d.Headers {
		// The broker's own records stay with the delivery. A copy of x-death would grow with each retry.
		if name != "x-death" && name != "x-delivery-count" && !strings.HasPrefix(name, "x-first-death") &&
			!strings.HasPrefix(name, "x-last-death") {
			headers[name] = value
		}
	}
	return amqp.Publishing{
		ContentType:   d.ContentType,
		MessageId:     d.MessageId,
		Type:          d.Type,
		Timestamp:     d.Timestamp,
		CorrelationId: d.CorrelationId,
		AppId:         d.AppId,
		Headers:       headers,
		Body:          d.Body,
	}
}

// later returns the message for the next attempt, after a delay that grows with the attempts.
func later(d amqp.Delivery, queue string, attempts int) rabbitmq.Message {
	delays := rabbitmq.RetryDelays()
	delay := delays[min(attempts, len(delays))-1]
	p := copyOf(d)
	p.Headers[HeaderAttempts] = int64(attempts)
	return rabbitmq.Message{Key: rabbitmq.RetryQueue(queue, delay), Publishing: p}
}

// dead returns the message for the dead-letter queue.
func dead(d amqp.Delivery, queue string, attempts, maxAttempts int, cause string, err error) rabbitmq.Message {
	p := copyOf(d)
	p.Headers[HeaderAttempts], p.Headers[HeaderMaxAttempts] = int64(attempts), int64(maxAttempts)
	p.Headers[HeaderCause] = cause
	p.Headers[HeaderError] = strings.ToValidUTF8(err.Error()[:min(len(err.Error()), maxError)], "")
	return rabbitmq.Message{Exchange: rabbitmq.DeadLetterExchange(queue), Publishing: p}
}

// worker returns which of n workers processes the message: always the same for one aggregate.
func worker(d amqp.Delivery, n int) int {
	var named struct {
		AggregateID string `json:"aggregateId"`
	}
	_ = json.Unmarshal(d.Body, &named) // what cannot be read goes to the worker of the empty id
	h := fnv.New32a()
	_, _ = h.Write([]byte(named.AggregateID))
	return int(h.Sum32() % uint32(n)) //nolint:gosec // n is a small positive number
}

// typeLabel returns the event's type for a metric, or "other": a message must not be able to make new series.
func typeLabel(eventType string, known []string) string {
	if slices.Contains(known, eventType) {
		return eventType
	}
	return "other"
}

// age returns how long ago the event happened, by this process's clock.
func age(e events.Envelope) time.Duration { return max(0, time.Since(e.Timestamp)) }
