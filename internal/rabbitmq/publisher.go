package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Message is a message to publish. Its Publishing has a MessageId, which is unique within a call of Publish.
type Message struct {
	Exchange, Key string
	Publishing    amqp.Publishing
}

// The reasons why a message counts as not published. Each is in the chain of a result of Publish.
var (
	// ErrNacked says that the broker has refused the message. A queue was full, or had no leader.
	ErrNacked = errors.New("RabbitMQ has refused the message")
	// ErrUnroutable says that no queue has the message.
	ErrUnroutable = errors.New("no queue is bound for the message")
	// ErrUnconfirmed says that it is not known whether the broker has the message. To be sure, publish it again.
	ErrUnconfirmed = errors.New("RabbitMQ has not confirmed the message")
)

// Publisher publishes on one session and waits for the broker's confirms. It is for one goroutine.
type Publisher struct {
	session *Session
	channel *amqp.Channel
	limit   int
	returns chan amqp.Return
}

// Publisher returns a publisher for batches of at most limit messages.
func (s *Session) Publisher(limit int) (*Publisher, error) {
	ch, err := s.channel("channel of the publisher")
	if err != nil {
		return nil, err
	}
	if err := ch.Confirm(false); err != nil {
		return nil, fmt.Errorf("ask for confirms: %w", err)
	}
	return &Publisher{
		session: s,
		channel: ch,
		limit:   limit,
		// Every message of a batch has room. If there was none, the library would stop reading the connection.
		returns: ch.NotifyReturn(make(chan amqp.Return, limit)),
	}, nil
}

// Publish publishes the messages in their order, persistent and mandatory, and waits until the broker has confirmed or
// refused each. The result has one entry per message: nil if the message is in every queue that is bound for it, else
// why it counts as not published.
//
// If ctx or the session ends before, or if a confirm does not come in time, the rest is ErrUnconfirmed. The session
// then ends, because the broker, or the way to it, does not work.
func (p *Publisher) Publish(ctx context.Context, messages []Message) []error {
	results := make([]error, len(messages))
	if len(messages) > p.limit {
		for i := range results {
			results[i] = fmt.Errorf("%d messages in one batch; the publisher takes %d", len(messages), p.limit)
		}
		return results
	}
	confirms := make([]*amqp.DeferredConfirmation, len(messages))
	for i, m := range messages {
		var err error
		if confirms[i], err = p.send(ctx, m); err != nil {
			for j := i; j < len(messages); j++ {
				results[j] = fmt.Errorf("%w: %w", ErrUnconfirmed, err)
			}
			break
		}
	}

	var late error
	for i, c := range confirms {
		if c == nil {
			break
		}
		if late == nil {
			late = p.await(ctx, c)
		}
		results[i] = p.result(c, late)
	}
	p.markReturned(messages, results)
	return results
}

// send writes one message. It waits while the broker has blocked the connection.
func (p *Publisher) send(ctx context.Context, m Message) (*amqp.DeferredConfirmation, error) {
	select {
	case <-p.session.readable():
	case <-p.session.Done():
		return nil, p.session.Err()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	m.Publishing.DeliveryMode = amqp.Persistent
	c, err := p.channel.PublishWithDeferredConfirm(m.Exchange, m.Key, true, false, m.Publishing)
	if err != nil {
		return nil, fmt.Errorf("publish message %s: %w", m.Publishing.MessageId, err)
	}
	return c, nil
}

// await waits for one confirm. If it does not come, await ends the session.
func (p *Publisher) await(ctx context.Context, c *amqp.DeferredConfirmation) error {
	timer := time.NewTimer(p.session.timeout)
	defer timer.Stop()
	for {
		select {
		case <-c.Done():
			return nil
		case <-p.session.Done():
			return p.session.Err()
		case <-ctx.Done():
			p.session.fail(context.Cause(ctx))
			return context.Cause(ctx)
		case <-timer.C:
			if p.session.Blocked() {
				timer.Reset(p.session.timeout) // the broker may not even have read the message
				continue
			}
			err := fmt.Errorf("no confirm within %s", p.session.timeout)
			p.session.fail(err)
			return err
		}
	}
}

// result returns nil if the broker has confirmed the message. The caller looks up whether the broker returned it.
func (p *Publisher) result(c *amqp.DeferredConfirmation, late error) error {
	select {
	case <-c.Done():
	default:
		return fmt.Errorf("%w: %w", ErrUnconfirmed, late)
	}
	if c.Acked() {
		return nil
	}
	if p.channel.IsClosed() { // the library ends the confirms that are missing when the channel closes
		return fmt.Errorf("%w: %w", ErrUnconfirmed, ErrSessionEnded)
	}
	return ErrNacked
}

// markReturned sets the results of the messages that came back. The broker sends a message back before it confirms it,
// and the library passes both on in that order, so a message of this batch that comes back is in the channel by now.
func (p *Publisher) markReturned(messages []Message, results []error) {
	returned := map[string]error{}
	for more := true; more; {
		select {
		case r, open := <-p.returns:
			if more = open; open {
				returned[r.MessageId] = fmt.Errorf("%w: exchange %q, routing key %q: %s",
					ErrUnroutable, r.Exchange, r.RoutingKey, r.ReplyText)
			}
		default:
			more = false
		}
	}
	if len(returned) == 0 {
		return
	}
	for i, m := range messages {
		if err := returned[m.Publishing.MessageId]; err != nil {
			results[i] = err
		}
	}
}
