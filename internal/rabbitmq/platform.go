package rabbitmq

import (
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// The exchanges to which the services publish their events. The routing key is the event type.
const (
	InventoryEvents = "inventory.events"
	OrderEvents     = "orders.events"
)

// The queues that the platform's own consumers read.
const (
	OrdersInventoryEvents = "orders.inventory_events" // events of inventory, for the order side
	InventoryOrderEvents  = "inventory.order_events"  // the ends of orders, for inventory
	WebhooksEvents        = "webhooks.events"         // all events, for the webhooks of merchants
	OrdersNotifications   = "orders.notifications"    // events of orders, for what customers are told
)

// Unrouted is the exchange and the queue for events whose type no queue is bound to. A message in this queue means that
// a binding is missing.
const Unrouted = "unrouted"

// RetryDelays are the delays with which a consumer may see a message again. Each queue has a retry queue per delay.
func RetryDelays() []time.Duration {
	return []time.Duration{5 * time.Second, 30 * time.Second, 5 * time.Minute}
}

// deliveryLimit is how often a message comes again at once. It bounds what a message can do that kills its consumers;
// for an ordinary failure the consumer uses a retry queue.
const deliveryLimit = 10

// keep is the delivery limit of queues whose messages must stay however often they are looked at. RabbitMQ 4 would
// delete such a message after 20 deliveries if no limit was declared, and RabbitMQ 3.10 knows no value for "no limit".
const keep = 1_000_000_000

// DeadLetterQueue is the name of the queue that gets the messages that a queue's consumers cannot process.
func DeadLetterQueue(queue string) string { return queue + ".dlq" }

// DeadLetterExchange is the name of the exchange through which a queue's rejected messages reach its dead-letter queue.
func DeadLetterExchange(queue string) string { return queue + ".dlx" }

// RetryQueue is the name of the queue that holds a message back for one of the RetryDelays. A consumer publishes to it
// through the default exchange, with this name as the routing key. After the delay the message is in queue again, and
// its routing key is then the queue's name.
func RetryQueue(queue string, delay time.Duration) string {
	return fmt.Sprintf("%s.retry.%ds", queue, int(delay.Seconds()))
}

// Platform is the topology of the platform.
func Platform() Topology {
	t := Topology{
		Exchanges: []Exchange{
			{Name: Unrouted, Kind: amqp.ExchangeFanout},
			{Name: InventoryEvents, Kind: amqp.ExchangeTopic, Alternate: Unrouted},
			{Name: OrderEvents, Kind: amqp.ExchangeTopic, Alternate: Unrouted},
		},
		Queues: []Queue{{
			Name:          Unrouted,
			Bindings:      []Binding{{Exchange: Unrouted}},
			DeliveryLimit: keep,
		}},
	}
	t.addConsumed(OrdersInventoryEvents, Binding{Exchange: InventoryEvents, Key: "inventory.*"})
	t.addConsumed(InventoryOrderEvents, ofOrders("cancelled", "expired", "failed")...)
	t.addConsumed(WebhooksEvents,
		Binding{Exchange: OrderEvents, Key: "order.#"}, Binding{Exchange: InventoryEvents, Key: "inventory.#"})
	t.addConsumed(OrdersNotifications, ofOrders("confirmed", "shipped", "completed", "cancelled", "expired", "refunded",
		"failed", "rejected", "backordered", "in_review")...)
	t.Retired = []Retired{ // RabbitMQ writes each message to the disk, also one that no consumer handles
		{Queue: InventoryOrderEvents, Binding: Binding{Exchange: OrderEvents, Key: "order.*"}},
		{Queue: OrdersNotifications, Binding: Binding{Exchange: OrderEvents, Key: "order.*"}},
	}
	return t
}

// ofOrders binds a queue to some types of events of orders.
func ofOrders(types ...string) []Binding {
	out := make([]Binding, len(types))
	for i, t := range types {
		out[i] = Binding{Exchange: OrderEvents, Key: "order." + t}
	}
	return out
}

// addConsumed adds a queue with its dead-letter queue and its retry queues.
func (t *Topology) addConsumed(name string, bindings ...Binding) {
	dead := Binding{Exchange: DeadLetterExchange(name)}
	t.Exchanges = append(t.Exchanges, Exchange{Name: dead.Exchange, Kind: amqp.ExchangeFanout})
	t.Queues = append(t.Queues,
		Queue{
			Name:          DeadLetterQueue(name),
			Bindings:      []Binding{dead},
			DeliveryLimit: keep,
		},
		Queue{
			Name:          name,
			Bindings:      bindings,
			DeliveryLimit: deliveryLimit,
			DeadLetters:   &dead,
		},
	)
	for _, delay := range RetryDelays() {
		t.Queues = append(t.Queues, Queue{
			Name:          RetryQueue(name, delay),
			DeliveryLimit: keep,
			DeadLetters:   &Binding{Exchange: "", Key: name}, // the default exchange leads back to the queue
			TTL:           delay,
		})
	}
}
