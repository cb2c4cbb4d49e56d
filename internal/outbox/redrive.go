package outbox

import (
	"encoding/json"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"holdfast/internal/rabbitmq"
)

// RedriveType is the type of an outbox row that sends a dead message again. It announces nothing, and no consumer sees
// the type: the relay publishes the message as it was, to the one queue whose consumer could not process it.
const RedriveType = "dead_message.redriven"

// HeaderRedrives is the header that says how often operators have sent a message again.
const HeaderRedrives = "x-holdfast-redrives"

// Redrive is the data of such a row.
type Redrive struct {
	Queue         string            `json:"queue"`
	MessageID     string            `json:"messageId"`
	Type          string            `json:"type"`
	ContentType   string            `json:"contentType"`
	CorrelationID string            `json:"correlationId"`
	AppID         string            `json:"appId"`
	Headers       map[string]string `json:"headers"`
	Redrives      int32             `json:"redrives"`
	Body          []byte            `json:"body"` // in JSON it is base64, because a message may be anything
}

// redriven composes the message of a row of RedriveType. The default exchange leads to the queue.
func redriven(e Event) (rabbitmq.Message, error) {
	var r Redrive
	if err := json.Unmarshal([]byte(e.Payload), &r); err != nil {
		return rabbitmq.Message{}, fmt.Errorf("decode the redrive %s: %w", e.ID, err)
	}
	headers := amqp.Table{HeaderRedrives: int64(r.Redrives)}
	for name, value := range r.Headers {
		headers[name] = value
	}
	return rabbitmq.Message{Key: r.Queue, Publishing: amqp.Publishing{
		ContentType:   r.ContentType,
		MessageId:     r.MessageID,
		Type:          r.Type,
		CorrelationId: r.CorrelationID,
		AppId:         r.AppID,
		Headers:       headers,
		Body:          r.Body,
	}}, nil
}
