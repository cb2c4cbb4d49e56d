package asyncapi

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Consumer reads every channel of a document.
type Consumer struct {
	document *Document
	url      string
	running  sync.WaitGroup
	stop     context.CancelFunc

	mu     sync.Mutex
	report Report
	seen   map[string]bool
}

// Report is what a consumer has seen.
type Report struct {
	Events     []Event  // each once, in the order in which they came first
	Duplicates int      // messages whose event had come before
	Late       []Event  // events that came after a newer one of their aggregate
	Invalid    []string // what the document does not allow, with the reason
}

// Start declares a queue of the consumer's own for each channel and consumes until Stop. The queues stay, so that a
// consumer that starts again misses nothing.
func Start(ctx context.Context, d *Document, url string) (*Consumer, error) {
	ctx, cancel := context.WithCancel(ctx)
	c := &Consumer{document: d, url: url, stop: cancel, seen: map[string]bool{}}
	for _, channel := range d.Channels {
		if err := c.declare(channel); err != nil {
			cancel()
			return nil, err
		}
	}
	for _, channel := range d.Channels {
		c.running.Go(func() { c.run(ctx, channel) })
	}
	return c, nil
}

// Stop ends the consumer.
func (c *Consumer) Stop() {
	c.stop()
	c.running.Wait()
}

// Report returns what the consumer has seen until now.
func (c *Consumer) Report() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.report
	out.Events, out.Late, out.Invalid = slices.Clone(out.Events), slices.Clone(out.Late), slices.Clone(out.Invalid)
	return out
}

func (channel Channel) queue() string { return "held-back." + channel.Name }

func (c *Consumer) declare(channel Channel) error {
	conn, err := amqp.Dial(c.url)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close() //nolint:errcheck // it is not used any more
	ch, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	_, err = ch.QueueDeclare(channel.queue(), true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
	if err != nil {
		return fmt.Errorf("declare a queue: %w", err)
	}
	if err := ch.QueueBind(channel.queue(), "#", channel.Exchange, false, nil); err != nil {
		return fmt.Errorf("bind a queue to %s: %w", channel.Exchange, err)
	}
	return nil
}

// reconnectPause is how long the consumer waits before it connects again.
const reconnectPause = 200 * time.Millisecond

// run consumes a channel, on a new connection after each failure.
func (c *Consumer) run(ctx context.Context, channel Channel) {
	for ctx.Err() == nil {
		_ = c.consume(ctx, channel) // whatever failed, the next connection begins anew
		select {
		case <-ctx.Done():
		case <-time.After(reconnectPause):
		}
	}
}

func (c *Consumer) consume(ctx context.Context, channel Channel) error {
	conn, err := amqp.Dial(c.url)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // it is not used any more
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := ch.Qos(100, 0, false); err != nil {
		return err
	}
	deliveries, err := ch.ConsumeWithContext(ctx, channel.queue(), "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	for d := range deliveries {
		c.take(channel, d)
		if err := d.Ack(false); err != nil {
			return err
		}
	}
	return errors.New("the connection has ended")
}

// take records a message.
func (c *Consumer) take(channel Channel, d amqp.Delivery) {
	e, err := channel.read(d.RoutingKey, d.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.report.Invalid = append(c.report.Invalid, fmt.Sprintf("%v: %s", err, d.Body))
		return
	}
	if c.seen[e.EventID] {
		c.report.Duplicates++
		return
	}
	c.seen[e.EventID] = true
	if slices.ContainsFunc(c.report.Events, func(earlier Event) bool {
		return earlier.AggregateID == e.AggregateID && earlier.AggregateVersion > e.AggregateVersion
	}) {
		c.report.Late = append(c.report.Late, e)
	}
	c.report.Events = append(c.report.Events, e)
}
