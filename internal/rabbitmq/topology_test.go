package rabbitmq_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"holdfast/internal/rabbitmq"
	"holdfast/tests/broker"
	"holdfast/tests/testenv"
)

// TestDeclareIsIdempotent: several processes declare the topology at the same time, again and again.
func TestDeclareIsIdempotent(t *testing.T) {
	t.Parallel()
	s := session(t)
	own := declared(t, s, nil)

	var processes sync.WaitGroup
	for range 4 {
		other, err := connector(config(testenv.RabbitMQ(t))).Open(t.Context(), "test")
		require.NoError(t, err)
		processes.Go(func() {
			defer other.Close()
			for range 3 {
				if err := other.Declare(own.Topology); err != nil {
					t.Error(err)
				}
			}
		})
	}
	processes.Wait()
}

// TestDeclareRefusesAMismatch: a queue or exchange with other properties is named together with the remedy, stays as it
// is, and the session goes on.
func TestDeclareRefusesAMismatch(t *testing.T) {
	t.Parallel()
	s := session(t)
	own := declared(t, s, nil)
	queue := own.Name(rabbitmq.OrdersInventoryEvents)
	require.NoError(t, publish(t, s, message(own.Name(rabbitmq.InventoryEvents), "inventory.reserved"))[0])

	for i := range own.Queues {
		if own.Queues[i].Name == queue {
			own.Queues[i].DeliveryLimit++
		}
	}
	err := s.Declare(own.Topology)
	var mismatch *rabbitmq.MismatchError
	require.ErrorAs(t, err, &mismatch)
	require.Equal(t, queue, mismatch.Name)
	require.ErrorContains(t, err, "delete it")
	require.ErrorContains(t, err, "delivery-limit")
	requireDepth(t, s, queue, 1)

	own.Exchanges[0].Kind = amqp.ExchangeTopic
	require.ErrorAs(t, s.Declare(own.Topology), &mismatch)
	require.Equal(t, "exchange", mismatch.What)
	require.NoError(t, s.Err())
}

// TestEventsReachTheirQueues: each queue gets the events of its binding, and an event without a queue is kept as
// unrouted and not lost.
func TestEventsReachTheirQueues(t *testing.T) {
	t.Parallel()
	s := session(t)
	own := declared(t, s, nil)

	for _, err := range publish(t, s,
		message(own.Name(rabbitmq.InventoryEvents), "inventory.reserved"),
		message(own.Name(rabbitmq.OrderEvents), "order.created"),
		message(own.Name(rabbitmq.OrderEvents), "order.cancelled"),
		message(own.Name(rabbitmq.OrderEvents), "unknown"),
	) {
		require.NoError(t, err)
	}

	requireDepth(t, s, own.Name(rabbitmq.OrdersInventoryEvents), 1)
	requireDepth(t, s, own.Name(rabbitmq.InventoryOrderEvents), 1)
	requireDepth(t, s, own.Name(rabbitmq.WebhooksEvents), 3)
	requireDepth(t, s, own.Name(rabbitmq.Unrouted), 1)
}

// TestRetiredBindingIsTakenAway: a queue that an earlier version has bound to more events does not get them any more.
func TestRetiredBindingIsTakenAway(t *testing.T) {
	t.Parallel()
	s := session(t)
	own := broker.New(t, func(q *rabbitmq.Queue) {
		if strings.HasSuffix(q.Name, rabbitmq.InventoryOrderEvents) {
			q.Bindings = []rabbitmq.Binding{{Exchange: q.Bindings[0].Exchange, Key: "order.*"}}
		}
	})
	earlier := own.Topology
	earlier.Retired = nil
	require.NoError(t, s.Declare(earlier))
	created := message(own.Name(rabbitmq.OrderEvents), "order.created")
	require.NoError(t, publish(t, s, created)[0])
	requireDepth(t, s, own.Name(rabbitmq.InventoryOrderEvents), 1)

	require.NoError(t, s.Declare(own.Topology))
	require.NoError(t, publish(t, s, created)[0])
	requireDepth(t, s, own.Name(rabbitmq.WebhooksEvents), 2)
	requireDepth(t, s, own.Name(rabbitmq.InventoryOrderEvents), 1)
}

// TestRejectedMessageIsADeadLetter: a rejected message keeps its routing key and stays in the dead-letter queue.
func TestRejectedMessageIsADeadLetter(t *testing.T) {
	t.Parallel()
	s := session(t)
	own := declared(t, s, nil)
	queue := own.Name(rabbitmq.InventoryOrderEvents)
	require.NoError(t, publish(t, s, message(own.Name(rabbitmq.OrderEvents), "order.cancelled"))[0])

	deliveries, err := s.Consume(t.Context(), queue, 10)
	require.NoError(t, err)
	require.NoError(t, receive(t, deliveries).Reject(false))
	requireDepth(t, s, own.Name(rabbitmq.DeadLetterQueue(rabbitmq.InventoryOrderEvents)), 1)

	dead, err := s.Consume(t.Context(), own.Name(rabbitmq.DeadLetterQueue(rabbitmq.InventoryOrderEvents)), 1)
	require.NoError(t, err)
	for range 25 { // more often than RabbitMQ 4 would allow by itself
		letter := receive(t, dead)
		require.Equal(t, "order.cancelled", letter.RoutingKey)
		require.NoError(t, letter.Reject(true))
	}
	require.NoError(t, receive(t, dead).Ack(false))
}

// TestDeliveryLimit: a message that its consumers reject again and again becomes a dead letter.
func TestDeliveryLimit(t *testing.T) {
	t.Parallel()
	s := session(t)
	own := declared(t, s, func(q *rabbitmq.Queue) { q.DeliveryLimit = min(q.DeliveryLimit, 3) })
	require.NoError(t, publish(t, s, message(own.Name(rabbitmq.OrderEvents), "order.cancelled"))[0])

	deliveries, err := s.Consume(t.Context(), own.Name(rabbitmq.InventoryOrderEvents), 10)
	require.NoError(t, err)
	for range 4 {
		require.NoError(t, receive(t, deliveries).Reject(true))
	}
	requireDepth(t, s, own.Name(rabbitmq.DeadLetterQueue(rabbitmq.InventoryOrderEvents)), 1)
}

// TestRetryQueueGivesBack: a message in a retry queue is in its queue again after the delay.
func TestRetryQueueGivesBack(t *testing.T) {
	t.Parallel()
	s := session(t)
	const delay = 1500 * time.Millisecond
	own := declared(t, s, func(q *rabbitmq.Queue) {
		if q.TTL > 0 {
			q.TTL = delay
		}
	})
	queue := own.Name(rabbitmq.OrdersInventoryEvents)
	retry := message("", rabbitmq.RetryQueue(queue, rabbitmq.RetryDelays()[0]))
	retry.Publishing.Headers = amqp.Table{"attempt": int32(1)}

	start := time.Now()
	require.NoError(t, publish(t, s, retry)[0])
	deliveries, err := s.Consume(t.Context(), queue, 1)
	require.NoError(t, err)
	back := receive(t, deliveries)
	require.GreaterOrEqual(t, time.Since(start), delay)
	require.Equal(t, retry.Publishing.MessageId, back.MessageId)
	require.EqualValues(t, 1, back.Headers["attempt"])
	require.NoError(t, back.Ack(false))
}

// TestPlatformNames: the names that other programs know.
func TestPlatformNames(t *testing.T) {
	t.Parallel()
	var names []string
	for _, q := range rabbitmq.Platform().Queues {
		names = append(names, q.Name)
	}
	require.Equal(t, []string{
		"unrouted",
		"orders.inventory_events.dlq",
		"orders.inventory_events",
		"orders.inventory_events.retry.5s",
		"orders.inventory_events.retry.30s",
		"orders.inventory_events.retry.300s",
		"inventory.order_events.dlq",
		"inventory.order_events",
		"inventory.order_events.retry.5s",
		"inventory.order_events.retry.30s",
		"inventory.order_events.retry.300s",
		"webhooks.events.dlq",
		"webhooks.events",
		"webhooks.events.retry.5s",
		"webhooks.events.retry.30s",
		"webhooks.events.retry.300s",
		"orders.notifications.dlq",
		"orders.notifications",
		"orders.notifications.retry.5s",
		"orders.notifications.retry.30s",
		"orders.notifications.retry.300s",
	}, names)
}
