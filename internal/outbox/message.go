package outbox

import (
	"encoding/json"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"holdfast/internal/events"
	"holdfast/internal/rabbitmq"
)

// correlationID is the header of an outbox row that the envelope has too.
const correlationID = "correlationId"

// message composes the message of an event: the envelope as its body, and the event's type as its routing key. The
// message has the row's other headers, such as the W3C trace context (traceparent, tracestate).
func (s Source) message(e Event) (rabbitmq.Message, error) {
	if e.Type == RedriveType {
		return redriven(e)
	}
	var headers map[string]string
	if err := json.Unmarshal([]byte(e.Headers), &headers); err != nil {
		return rabbitmq.Message{}, fmt.Errorf("decode the headers of event %s: %w", e.ID, err)
	}
	envelope := events.Envelope{
		EventType:        e.Type,
		EventID:          e.ID,
		Timestamp:        e.CreatedAt.UTC(),
		Version:          e.SchemaVersion,
		AggregateID:      e.AggregateID,
		AggregateVersion: e.AggregateVersion,
		Data:             json.RawMessage(e.Payload),
		Metadata:         events.Metadata{Service: s.Service, CorrelationID: headers[correlationID]},
	}
	body, err := json.Marshal(envelope)
	if err != nil {
		return rabbitmq.Message{}, fmt.Errorf("encode event %s: %w", e.ID, err)
	}
	p := amqp.Publishing{
		ContentType:   "application/json",
		MessageId:     e.ID.String(),
		Type:          e.Type,
		Timestamp:     e.CreatedAt,
		CorrelationId: headers[correlationID],
		AppId:         s.Service,
		Body:          body,
	}
	for name, value := range headers {
		if name == correlationID {
			continue
		}
		if p.Headers == nil {
			p.Headers = amqp.Table{}
		}
		p.Headers[name] = value
	}
	return rabbitmq.Message{Exchange: s.Exchange, Key: e.Type, Publishing: p}, nil
}
