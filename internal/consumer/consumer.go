package consumer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/correlation"
	"holdfast/internal/events"
	"holdfast/internal/rabbitmq"
)

// Effect changes the consumer's own database in the transaction of the inbox row.
type Effect func(ctx context.Context, tx pgx.Tx) error

// Handler applies an event. Effects outside the consumer's own database happen in it, and must be idempotent by the
// event's id. It returns the effect on the own database, or nil if there is none. A handler ignores types that it does
// not know. It returns a Poison error if another attempt cannot succeed, and ErrNothingToDo if the event has no effect
// anywhere: the inbox then does not remember it, which saves a transaction.
type Handler func(ctx context.Context, e events.Envelope) (Effect, error)

// ErrNothingToDo says that an event has no effect, neither in a database nor elsewhere.
var ErrNothingToDo = errors.New("the event has no effect")

// Options are what a consumer needs.
type Options struct {
	Config    Config
	Service   string // for which it consumes: "inventory" or "orders"; its metrics begin with that
	Queue     string
	Types     []string // the types that the handler knows
	Handler   Handler
	Inbox     *Inbox
	Connector *rabbitmq.Connector
	Topology  rabbitmq.Topology // declared at the start of every session
	Log       *slog.Logger
	Registry  prometheus.Registerer
	Tracer    trace.Tracer // nil means that nothing is traced
}

// Consumer reads one queue. Several consumers of one queue share the work.
type Consumer struct {
	Options
	aside   *aside
	metrics *metrics
}

// New returns a consumer. It consumes while Run runs.
func New(o Options) *Consumer {
	o.Log = o.Log.With("queue", o.Queue)
	if o.Tracer == nil {
		o.Tracer = noop.Tracer{}
	}
	return &Consumer{
		Options: o,
		aside:   newAside(o.Connector, o.Topology, o.Service+"-consumer-aside"),
		metrics: newMetrics(o.Service, o.Types, o.Registry),
	}
}

// Run consumes until ctx ends, and then finishes the messages that it has begun. It survives outages of the broker, of
// its database and of the services that its handler calls.
func (c *Consumer) Run(ctx context.Context) error {
	// The messages in work can be put aside until the last of them is finished, and not only until ctx ends.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var beside sync.WaitGroup
	beside.Go(func() { _ = c.aside.run(background) }) // it returns nil when the context ends
	beside.Go(func() { c.forget(ctx) })
	defer beside.Wait()
	defer stop()
	return c.Connector.Supervise(ctx, c.Service+"-consumer", c.consume)
}

// consume reads the queue on one session.
func (c *Consumer) consume(ctx context.Context, session *rabbitmq.Session) error {
	if err := session.Declare(c.Topology); err != nil {
		return err
	}
	deliveries, err := session.Consume(ctx, c.Queue, c.Config.Prefetch)
	if err != nil {
		return err
	}

	var workers errgroup.Group
	lanes := make([]chan amqp.Delivery, c.Config.Workers)
	for i := range lanes {
		// A lane has room for all messages that the broker sends before one is acknowledged, so a slow lane stops no other.
		lanes[i] = make(chan amqp.Delivery, c.Config.Prefetch)
		workers.Go(func() error { return c.work(ctx, lanes[i]) })
	}
	for d := range deliveries {
		lanes[worker(d, len(lanes))] <- d
	}
	for _, lane := range lanes {
		close(lane)
	}
	return workers.Wait()
}

// work processes the messages of one lane. After ctx has ended it begins no other message: the broker delivers the rest
// again. An error means that the session has ended.
func (c *Consumer) work(ctx context.Context, lane <-chan amqp.Delivery) error {
	for d := range lane {
		if stopped := ctx.Err() != nil; stopped {
			return nil //nolint:nilerr // a consumer that stops has not failed
		}
		if err := c.settle(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// settle processes a message and acknowledges it, or puts it aside and acknowledges it then. It returns an error if the
// broker could not be told.
func (c *Consumer) settle(ctx context.Context, d amqp.Delivery) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Config.Timeout)
	defer cancel()
	start := time.Now()
	e, err := decode(d)
	ctx = correlation.WithAttrs(correlation.With(ctx, e.Metadata.CorrelationID),
		slog.String("event_id", e.EventID.String()),
		slog.String("event_type", e.EventType),
		slog.String("aggregate_id", e.AggregateID.String()))
	ctx, span := c.trace(ctx, d, e)
	defer span.End()

	status := processed
	if err == nil {
		status, err = c.process(ctx, e, d.Redelivered || attempts(d) > 0)
	}
	if err != nil {
		span.SetStatus(codes.Error, "the event was not processed")
		status = c.putAside(ctx, d, e, err)
	}
	level := slog.LevelInfo
	if status == ignored {
		level = slog.LevelDebug
	}
	took := float64(time.Since(start).Microseconds()) / 1000
	c.Log.LogAttrs(ctx, level, "event consumed", slog.String("outcome", status), slog.Float64("duration_ms", took))
	c.metrics.settled(e, status, time.Since(start))
	if status == returned {
		return d.Reject(true) // counts towards the delivery limit
	}
	return d.Ack(false)
}

// process applies an event unless it was applied before. again says that the broker or this consumer has delivered the
// message before: then the inbox is asked first, which saves the handler's work. A message that a relay has published
// twice is found when it is added to the inbox.
func (c *Consumer) process(ctx context.Context, e events.Envelope, again bool) (string, error) {
	if again {
		done, err := c.Inbox.Has(ctx, e.EventID)
		if err != nil || done {
			return skipped, err
		}
	}
	effect, err := c.Handler(ctx, e)
	if errors.Is(err, ErrNothingToDo) {
		return ignored, nil
	}
	if err != nil {
		return "", err
	}
	added, err := c.Inbox.Add(ctx, e.EventID, effect)
	if err == nil && !added {
		return skipped, nil
	}
	return processed, err
}

// asideTimeout limits how long a failed message waits for the broker to take it back.
const asideTimeout = 5 * time.Second

// putAside publishes a message that was not processed for the next attempt, or as a dead letter. The message is
// acknowledged afterwards: if the process dies in between, it is there twice, which the inbox makes harmless.
func (c *Consumer) putAside(ctx context.Context, d amqp.Delivery, e events.Envelope, cause error) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), asideTimeout)
	defer cancel()
	tried := attempts(d) + 1
	status, why := retried, ""
	switch {
	case isPoison(cause):
		status, why = died, CausePoison
	case tried >= c.Config.MaxAttempts:
		status, why = died, CauseExhausted
	}

	message := later(d, c.Queue, tried)
	if status == died {
		message = dead(d, c.Queue, tried, max(tried, c.Config.MaxAttempts), why, cause)
	}
	if err := c.aside.publish(ctx, message); err != nil {
		c.Log.WarnContext(ctx, "a message could not be put aside and comes again at once", "cause", cause, "error", err)
		return returned
	}
	if status == died {
		c.metrics.dead.WithLabelValues(typeLabel(e.EventType, c.Types), why).Inc()
		c.Log.ErrorContext(ctx, "a message is dead", "cause", why, "attempts", tried, "error", cause)
		return died
	}
	c.Log.WarnContext(ctx, "a message failed and comes again", "attempts", tried, "error", cause)
	return retried
}

const (
	// forgetInterval is how often old events are deleted from the inbox, forgetBatch how many one statement deletes.
	forgetInterval = time.Minute
	forgetBatch    = 1000
	forgetTimeout  = 5 * time.Second
)

// forget deletes old events from the inbox until ctx ends.
func (c *Consumer) forget(ctx context.Context) {
	tick := time.NewTicker(forgetInterval)
	defer tick.Stop()
	for {
		for n := forgetBatch; n == forgetBatch && ctx.Err() == nil; {
			limited, cancel := context.WithTimeout(ctx, forgetTimeout)
			var err error
			n, err = c.Inbox.Forget(limited, time.Now().Add(-c.Config.InboxRetention), forgetBatch)
			cancel()
			if err != nil && ctx.Err() == nil {
				c.Log.WarnContext(ctx, "cannot delete old events from the inbox", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
