package rabbitmq_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"holdfast/internal/rabbitmq"
	"holdfast/tests/fault"
	"holdfast/tests/testenv"
)

// proxied is a proxy before the broker, and the configuration that leads through it.
func proxied(t *testing.T) (*fault.TCP, rabbitmq.Config) {
	t.Helper()
	at, err := url.Parse(testenv.RabbitMQ(t))
	require.NoError(t, err)
	p := fault.NewTCP(t, at.Host)
	at.Host = p.Address()
	return p, config(at.String())
}

// TestPublishTellsEachMessageApart: in one batch, the routed message is published, and the one without a queue is
// returned under its own id.
func TestPublishTellsEachMessageApart(t *testing.T) {
	t.Parallel()
	s := session(t)
	own := declared(t, s, nil)
	topic := own.Name(rabbitmq.DeadLetterExchange(rabbitmq.InventoryOrderEvents)) // has no alternate exchange
	lost := message("", own.Name("no such queue"))

	results := publish(t, s, message(topic, "order.created"), lost, message(topic, "order.paid"))
	require.NoError(t, results[0])
	require.ErrorIs(t, results[1], rabbitmq.ErrUnroutable)
	require.NoError(t, results[2])
	require.NoError(t, s.Err())
}

// TestFullQueueRefuses: a full queue refuses messages, and loses none of those that it has.
func TestFullQueueRefuses(t *testing.T) {
	t.Parallel()
	s := session(t)
	name := "full:" + strings.ToLower(t.Name())
	conn, err := amqp.Dial(testenv.RabbitMQ(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	require.NoError(t, err)
	_, err = ch.QueueDeclare(name, true, false, false, false, amqp.Table{
		"x-queue-type": "quorum",
		"x-max-length": int32(5),
		"x-overflow":   "reject-publish",
	})
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = ch.QueueDelete(name, false, false, false) })

	p, err := s.Publisher(100)
	require.NoError(t, err)
	accepted := 0
	for range 50 {
		err := p.Publish(t.Context(), []rabbitmq.Message{message("", name)})[0]
		if err == nil {
			accepted++
			continue
		}
		require.ErrorIs(t, err, rabbitmq.ErrNacked)
	}
	require.Less(t, accepted, 50)
	requireDepth(t, s, name, accepted)
}

// TestUnconfirmed: when the broker does not confirm in time, the outcome is unknown and the session ends.
func TestUnconfirmed(t *testing.T) {
	t.Parallel()
	own := declared(t, session(t), nil)
	proxy, cfg := proxied(t)
	cfg.ConfirmTimeout = 200 * time.Millisecond
	s, err := connector(cfg).Open(t.Context(), "test")
	require.NoError(t, err)
	t.Cleanup(s.Close)
	p, err := s.Publisher(2)
	require.NoError(t, err)

	proxy.Hang()
	batch := []rabbitmq.Message{
		message(own.Name(rabbitmq.OrderEvents), "order.created"),
		message(own.Name(rabbitmq.OrderEvents), "order.paid"),
	}
	for _, err := range p.Publish(t.Context(), batch) {
		require.ErrorIs(t, err, rabbitmq.ErrUnconfirmed)
	}
	require.ErrorIs(t, s.Err(), rabbitmq.ErrSessionEnded)
	for _, err := range p.Publish(t.Context(), batch) {
		require.ErrorIs(t, err, rabbitmq.ErrUnconfirmed)
	}
}

// TestSuperviseReconnects: after each cut of the connection there is a new session, what was not acknowledged comes
// again, and a delivery of the old session acknowledges nothing.
func TestSuperviseReconnects(t *testing.T) {
	t.Parallel()
	direct := session(t)
	own := declared(t, direct, nil)
	queue := own.Name(rabbitmq.WebhooksEvents)
	proxy, cfg := proxied(t)

	received := make(chan amqp.Delivery)
	supervise(t, cfg, func(ctx context.Context, s *rabbitmq.Session) error {
		deliveries, err := s.Consume(ctx, queue, 1)
		if err != nil {
			return err
		}
		for d := range deliveries {
			select {
			case received <- d:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return fmt.Errorf("the deliveries have ended")
	})
	sent := message(own.Name(rabbitmq.OrderEvents), "order.created")
	require.NoError(t, publish(t, direct, sent)[0])

	first := receive(t, received)
	for range 3 {
		proxy.Down()
		proxy.Up()
		again := receive(t, received)
		require.Equal(t, sent.Publishing.MessageId, again.MessageId)
		require.Error(t, first.Ack(false))
		first = again
	}
	require.NoError(t, first.Ack(false))
	requireDepth(t, direct, queue, 0)
}

// TestSuperviseWaitsForTheBroker: a process that starts before its broker connects once the broker is there.
func TestSuperviseWaitsForTheBroker(t *testing.T) {
	t.Parallel()
	proxy, cfg := proxied(t)
	proxy.Down()
	connected := make(chan struct{})
	stop := supervise(t, cfg, func(ctx context.Context, _ *rabbitmq.Session) error {
		close(connected)
		<-ctx.Done()
		return nil
	})

	select {
	case <-connected:
		require.Fail(t, "connected to a broker that is down")
	case <-time.After(300 * time.Millisecond):
	}
	proxy.Up()
	<-connected
	stop()
}

// TestDeletedQueueEndsTheSession: a consumer whose queue is deleted notices it.
func TestDeletedQueueEndsTheSession(t *testing.T) {
	t.Parallel()
	s, owner := session(t), session(t)
	own := declared(t, owner, nil)
	deliveries, err := s.Consume(t.Context(), own.Name(rabbitmq.WebhooksEvents), 1)
	require.NoError(t, err)

	conn, err := amqp.Dial(testenv.RabbitMQ(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	require.NoError(t, err)
	_, err = ch.QueueDelete(own.Name(rabbitmq.WebhooksEvents), false, false, false)
	require.NoError(t, err)

	<-s.Done()
	require.ErrorContains(t, s.Err(), "cancelled the consumer")
	_, open := <-deliveries
	require.False(t, open)
}

// TestConsumerStopsInOrder: when its context ends, a consumer gets no further deliveries and can still acknowledge.
func TestConsumerStopsInOrder(t *testing.T) {
	t.Parallel()
	s, other := session(t), session(t)
	own := declared(t, other, nil)
	queue := own.Name(rabbitmq.WebhooksEvents)
	ctx, cancel := context.WithCancel(t.Context())
	deliveries, err := s.Consume(ctx, queue, 1)
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, publish(t, other, message(own.Name(rabbitmq.OrderEvents), "order.created"))[0])
	}

	d := receive(t, deliveries)
	cancel()
	_, open := <-deliveries
	require.False(t, open)
	require.NoError(t, d.Ack(false))
	requireDepth(t, other, queue, 1)
}
