package rabbitmq

import (
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Exchange is a durable exchange.
type Exchange struct {
	Name string
	Kind string // amqp.ExchangeTopic or amqp.ExchangeFanout
	// Alternate is the exchange that gets the messages for which this one has no queue. Empty means none.
	Alternate string
}

// Binding leads messages of an exchange into a queue.
type Binding struct{ Exchange, Key string }

// Queue is a durable quorum queue.
type Queue struct {
	Name     string
	Bindings []Binding
	// DeliveryLimit is how often the broker delivers a message again before it moves the message to DeadLetters. A message
	// comes again after its consumer has rejected it with requeue, or has gone without an acknowledgement.
	DeliveryLimit int
	DeadLetters   *Binding // where rejected and expired messages go; nil deletes them
	// TTL is how long a message stays; 0 means for ever.
	TTL time.Duration
}

// Topology is what a process expects of the broker.
type Topology struct {
	Exchanges []Exchange
	Queues    []Queue
	Retired   []Retired // what an earlier version has bound and this one does not
}

// Retired is a binding of a queue that Declare takes away.
type Retired struct {
	Queue   string
	Binding Binding
}

// MismatchError says that an exchange or queue exists with other properties than the declared ones. Nothing was
// changed.
type MismatchError struct {
	What string // "queue" or "exchange"
	Name string
	Err  error // the broker's
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("the %s %q exists in RabbitMQ with other properties than this version declares, and RabbitMQ "+
		"cannot change them (%v); let its consumers empty it, delete it, and run: holdfast events --declare-only",
		e.What, e.Name, e.Err)
}

// Unwrap returns the broker's error.
func (e *MismatchError) Unwrap() error { return e.Err }

// Declare creates what is missing, takes the retired bindings away, and leaves alone what else is there. It is
// idempotent, and several processes may call it at the same time. If something exists with other properties, it
// returns a *MismatchError.
func (s *Session) Declare(t Topology) error {
	for _, e := range t.Exchanges {
		if err := s.declareExchange(e); err != nil {
			return err
		}
	}
	for _, q := range t.Queues {
		if err := s.declareQueue(q); err != nil {
			return err
		}
	}
	for _, r := range t.Retired {
		err := s.onOwnChannel(func(ch *amqp.Channel) error {
			return ch.QueueUnbind(r.Queue, r.Binding.Key, r.Binding.Exchange, nil)
		})
		if err != nil {
			return fmt.Errorf("unbind the queue %q from %q of the exchange %q: %w",
				r.Queue, r.Binding.Key, r.Binding.Exchange, err)
		}
	}
	return nil
}

func (s *Session) declareExchange(e Exchange) error {
	args := amqp.Table{}
	if e.Alternate != "" {
		args["alternate-exchange"] = e.Alternate
	}
	return s.onOwnChannel(func(ch *amqp.Channel) error {
		return declared("exchange", e.Name, ch.ExchangeDeclare(e.Name, e.Kind, true, false, false, false, args))
	})
}

func (s *Session) declareQueue(q Queue) error {
	return s.onOwnChannel(func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(q.Name, true, false, false, false, q.arguments())
		if err != nil {
			return declared("queue", q.Name, err)
		}
		for _, b := range q.Bindings {
			if err := ch.QueueBind(q.Name, b.Key, b.Exchange, false, nil); err != nil {
				return fmt.Errorf("bind the queue %q to %q of the exchange %q: %w", q.Name, b.Key, b.Exchange, err)
			}
		}
		return nil
	})
}

// arguments are the queue's properties. RabbitMQ compares them with those of an existing queue, so a change here needs
// a queue of another name.
func (q Queue) arguments() amqp.Table {
	args := amqp.Table{
		"x-queue-type": "quorum",
		// A full queue refuses a message and the publisher keeps it; the default would delete the oldest message.
		"x-overflow": "reject-publish",
	}
	if q.DeliveryLimit > 0 {
		args["x-delivery-limit"] = int64(q.DeliveryLimit)
	}
	if q.TTL > 0 {
		args["x-message-ttl"] = q.TTL.Milliseconds()
	}
	if q.DeadLetters != nil {
		// The default strategy forgets a dead letter that its target does not take.
		args["x-dead-letter-strategy"] = "at-least-once"
		args["x-dead-letter-exchange"] = q.DeadLetters.Exchange
		if q.DeadLetters.Key != "" {
			args["x-dead-letter-routing-key"] = q.DeadLetters.Key
		}
	}
	return args
}

func declared(what, name string, err error) error {
	var refused *amqp.Error
	if errors.As(err, &refused) && refused.Code == amqp.PreconditionFailed {
		return &MismatchError{What: what, Name: name, Err: err}
	}
	if err != nil {
		return fmt.Errorf("declare the %s %q: %w", what, name, err)
	}
	return nil
}

// Depth is how much a queue holds.
type Depth struct {
	Ready     int // messages that wait for a consumer; those that a consumer has and has not acknowledged are not counted
	Consumers int
}

// Depth asks for a queue's depth.
func (s *Session) Depth(queue string) (Depth, error) {
	var d Depth
	err := s.onOwnChannel(func(ch *amqp.Channel) error {
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		if err != nil {
			return fmt.Errorf("ask for the depth of the queue %q: %w", queue, err)
		}
		d = Depth{Ready: q.Messages, Consumers: q.Consumers}
		return nil
	})
	return d, err
}
