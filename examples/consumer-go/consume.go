package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// exchange is Holdfast's: channels.ordersEvents in the document.
	exchange = "orders.events"
	// The queues are this program's.
	queue      = "accounting.order_events"
	deadLetter = "accounting.order_events.dead"
	// prefetch is how many messages are on their way to the program.
	prefetch = 50
	// deliveryLimit is how often a message comes again before the broker moves it to the dead letters.
	deliveryLimit = 20
)

// event is the part of the envelope that this program needs. It ignores what it does not know, because a later release
// may add members.
type event struct {
	Type             string          `json:"eventType"`
	ID               string          `json:"eventId"`
	AggregateID      string          `json:"aggregateId"`
	AggregateVersion int64           `json:"aggregateVersion"`
	Version          int             `json:"version"`
	Data             json.RawMessage `json:"data"`
}

// errMalformed says that no attempt to process a message can succeed.
var errMalformed = errors.New("the message is malformed")

// consume processes events on one connection until ctx ends or something fails.
func consume(ctx context.Context, broker string, books books, log *slog.Logger) error {
	conn, err := amqp.Dial(broker)
	if err != nil {
		return fmt.Errorf("connect to RabbitMQ: %w", err)
	}
	defer conn.Close() //nolint:errcheck // the connection is not used any more
	ch, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	if err := declare(ch); err != nil {
		return err
	}
	if err := ch.Qos(prefetch, 0, false); err != nil {
		return fmt.Errorf("set the prefetch: %w", err)
	}
	deliveries, err := ch.ConsumeWithContext(ctx, queue, "", false, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	log.Info("waiting for events", "queue", queue)

	// One message after the other keeps the events of an order in their order.
	for d := range deliveries {
		err := process(ctx, books, d.Body)
		switch {
		case errors.Is(err, errMalformed):
			log.Error("a message goes to the dead letters", "message_id", d.MessageId, "error", err)
			err = d.Reject(false)
		case err == nil:
			err = d.Ack(false) // only now, when the effect is committed
		}
		if err != nil {
			return err
		}
	}
	return errors.New("the connection to RabbitMQ was lost")
}

// declare declares this program's queues. The exchange belongs to Holdfast: passive means that it must be there.
func declare(ch *amqp.Channel) error {
	if err := ch.ExchangeDeclarePassive(exchange, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		return fmt.Errorf("look for the exchange %s: %w", exchange, err)
	}
	if _, err := ch.QueueDeclare(deadLetter, true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err != nil {
		return fmt.Errorf("declare %s: %w", deadLetter, err)
	}
	_, err := ch.QueueDeclare(queue, true, false, false, false, amqp.Table{
		"x-queue-type": "quorum",
		// Of several instances of this program one works at a time, so that none overtakes another.
		"x-single-active-consumer":  true,
		"x-delivery-limit":          int64(deliveryLimit),
		"x-dead-letter-exchange":    "", // the default exchange, whose keys are names of queues
		"x-dead-letter-routing-key": deadLetter,
	})
	if err != nil {
		return fmt.Errorf("declare %s: %w", queue, err)
	}
	if err := ch.QueueBind(queue, "order.*", exchange, false, nil); err != nil {
		return fmt.Errorf("bind %s: %w", queue, err)
	}
	return nil
}

func process(ctx context.Context, books books, body []byte) error {
	var e event
	if err := json.Unmarshal(body, &e); err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	if e.ID == "" || e.Type == "" || e.AggregateID == "" {
		return fmt.Errorf("%w: it has no eventId, eventType or aggregateId", errMalformed)
	}
	return books.apply(ctx, e)
}
