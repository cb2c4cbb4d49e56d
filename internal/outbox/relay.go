package outbox

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"holdfast/internal/rabbitmq"
)

// Source is an outbox and where its events go.
type Source struct {
	Service  string // that writes the outbox: "inventory" or "orders"
	Exchange string
	Store    *Store
}

// Relay publishes the events of one outbox. Several relays of one outbox share the work.
type Relay struct {
	cfg       Config
	source    Source
	connector *rabbitmq.Connector
	topology  rabbitmq.Topology
	log       *slog.Logger
	metrics   *metrics
	tracer    trace.Tracer
	behind    chan struct{} // tells the helper that batches are full; it has room for one message
}

// Options are what a relay needs.
type Options struct {
	Config    Config
	Source    Source
	Connector *rabbitmq.Connector
	Topology  rabbitmq.Topology // declared at the start of every session
	Log       *slog.Logger
	Registry  prometheus.Registerer
	Tracer    trace.Tracer // nil means that nothing is traced
}

// New returns a relay. It publishes while Run runs.
func New(o Options) *Relay {
	if o.Tracer == nil {
		o.Tracer = noop.Tracer{}
	}
	return &Relay{
		cfg:       o.Config,
		source:    o.Source,
		connector: o.Connector,
		topology:  o.Topology,
		log:       o.Log.With("outbox", o.Source.Service),
		metrics:   newMetrics(o.Source.Service, o.Registry),
		tracer:    o.Tracer,
		behind:    make(chan struct{}, 1),
	}
}

const (
	// storeTimeout limits one call to the database.
	storeTimeout = 5 * time.Second
	// finishTimeout limits what a relay still does for the batch in flight after it was told to stop.
	finishTimeout = 8 * time.Second
	// settleInterval is how often a relay tries to record the outcome of a batch.
	settleInterval = 200 * time.Millisecond
	// A batch of which no event could be published makes the relay wait, at most so long.
	failurePauseMin = 100 * time.Millisecond
	failurePauseMax = 5 * time.Second
	// A refused event is due again after a delay that doubles with each attempt.
	refusedDelayMin = 250 * time.Millisecond
	refusedDelayMax = time.Minute
)

// Run publishes events until ctx ends, and then finishes the batch in flight. It survives outages of the broker and of
// the database.
func (r *Relay) Run(ctx context.Context) error {
	var beside sync.WaitGroup
	beside.Go(func() { r.measureBacklog(ctx) })
	beside.Go(func() { r.deletePublished(ctx) })
	defer beside.Wait()
	name := r.source.Service + "-relay"
	beside.Go(func() { _ = r.connector.Supervise(ctx, name+"-helper", r.help) }) // it ends with ctx only, without error
	return r.connector.Supervise(ctx, name, r.publish)
}

// publish publishes batch after batch on one session.
func (r *Relay) publish(ctx context.Context, session *rabbitmq.Session) error {
	return r.work(ctx, session, func(o outcome) {
		if o.seen >= r.cfg.Batch {
			select {
			case r.behind <- struct{}{}:
			default: // the helper is at work
			}
		}
	})
}

// help publishes batches beside publish while those are full, so that the database works on one batch while RabbitMQ
// works on another. Otherwise it waits, so that an idle outbox is asked once.
func (r *Relay) help(ctx context.Context, session *rabbitmq.Session) error {
	return r.work(ctx, session, func(o outcome) {
		if o.seen >= r.cfg.Batch {
			return
		}
		select {
		case <-r.behind:
		case <-ctx.Done():
		}
	})
}

// work publishes batch after batch on one session, and calls after when one is done.
func (r *Relay) work(ctx context.Context, session *rabbitmq.Session, after func(outcome)) error {
	if err := session.Declare(r.topology); err != nil {
		return err
	}
	publisher, err := session.Publisher(r.cfg.Batch)
	if err != nil {
		return err
	}
	p := newPace(r.cfg)
	for ctx.Err() == nil {
		done, err := r.round(ctx, publisher)
		if ended := session.Err(); ended != nil {
			return ended
		}
		if err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "cannot use the outbox", "error", err)
		}
		after(done)
		p.wait(ctx, done, err)
	}
	return nil
}

// outcome is what a round has done: rows it has looked at, events it has leased, and events it has published.
type outcome struct{ seen, leased, published int }

// round leases one batch, publishes it and records the result of each event. When ctx ends, it finishes a batch that it
// has leased.
func (r *Relay) round(ctx context.Context, publisher *rabbitmq.Publisher) (outcome, error) {
	// If the end of ctx interrupted the statement, the database might lease events of which the relay knows nothing.
	leaseCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	leased, seen, err := r.source.Store.Lease(leaseCtx, r.cfg.Batch, r.cfg.Lease)
	cancel()
	if err != nil || len(leased) == 0 {
		return outcome{seen: seen}, err
	}

	finish, cancel := finishing(ctx, finishTimeout)
	defer cancel()
	start := time.Now()
	results := publishInOrder(leased, func(batch []Event) []error { return r.send(finish, publisher, batch) })
	r.metrics.duration.Observe(time.Since(start).Seconds())

	done, failed := make([]uuid.UUID, 0, len(leased)), []Failure(nil)
	delays := map[uuid.UUID]time.Duration{}
	for i, e := range leased {
		r.metrics.settled(e, results[i])
		if results[i] == nil {
			done = append(done, e.ID)
			continue
		}
		if !errors.Is(results[i], errBehind) {
			delays[e.AggregateID] = retryDelay(e.Attempts, results[i])
		}
	}
	for i, e := range leased {
		if results[i] != nil {
			failed = append(failed, Failure{ID: e.ID, Delay: delays[e.AggregateID], Error: results[i].Error()})
		}
	}
	r.logFailures(ctx, leased, results)
	return outcome{seen, len(leased), len(done)}, r.settle(finish, start, done, failed)
}

// errStopped is the cause of what a stopping relay could not finish.
var errStopped = errors.New("the relay was stopped")

// finishing returns a context that goes on for a while after ctx has ended.
func finishing(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	finish, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(grace, func() { cancel(errStopped) })
		context.AfterFunc(finish, func() { timer.Stop() })
	})
	return finish, func() {
		stop()
		cancel(nil)
	}
}

// send publishes one wave. An event that cannot be encoded fails alone.
func (r *Relay) send(ctx context.Context, publisher *rabbitmq.Publisher, wave []Event) []error {
	results := make([]error, len(wave))
	messages := make([]rabbitmq.Message, 0, len(wave))
	sent := make([]int, 0, len(wave))
	spans := make([]trace.Span, 0, len(wave))
	for i, e := range wave {
		m, err := r.source.message(e)
		if err != nil {
			results[i] = err
			continue
		}
		spans = append(spans, r.trace(ctx, &m))
		messages, sent = append(messages, m), append(sent, i)
	}
	for n, err := range publisher.Publish(ctx, messages) {
		results[sent[n]] = err
		endSpan(spans[n], err)
		if err == nil {
			r.logPublished(trace.ContextWithSpan(ctx, spans[n]), wave[sent[n]], messages[n])
		}
	}
	return results
}

// settle records the results of a batch. While the database does not answer, it tries again for as long as the lease
// lasts: after that, another relay publishes the events again.
func (r *Relay) settle(ctx context.Context, leased time.Time, done []uuid.UUID, failed []Failure) error {
	ctx, cancel := context.WithTimeout(ctx, max(storeTimeout, time.Until(leased.Add(r.cfg.Lease))))
	defer cancel()
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		once, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		return struct{}{}, r.source.Store.Settle(once, done, failed)
	}, backoff.WithBackOff(backoff.NewConstantBackOff(settleInterval)), backoff.WithMaxElapsedTime(0))
	return err
}

// retryDelay is how long an event waits after a failed attempt. The attempt of a lost session says nothing about the
// event, so the event is due at once.
func retryDelay(attempts int, err error) time.Duration {
	if errors.Is(err, rabbitmq.ErrUnconfirmed) {
		return 0
	}
	delay := refusedDelayMin
	for range attempts - 1 {
		if delay *= 2; delay >= refusedDelayMax {
			return refusedDelayMax
		}
	}
	return delay
}

// logPublished writes one line for an event that the broker has confirmed. ctx has the span of publishing it.
func (r *Relay) logPublished(ctx context.Context, e Event, m rabbitmq.Message) {
	r.log.LogAttrs(ctx, slog.LevelInfo, "event published",
		slog.String("event_id", m.Publishing.MessageId),
		slog.String("event_type", m.Publishing.Type),
		slog.String("aggregate_id", e.AggregateID.String()),
		slog.String("correlation_id", m.Publishing.CorrelationId))
}

// logFailures writes one line for the events of a batch that failed, with the first of them.
func (r *Relay) logFailures(ctx context.Context, leased []Event, results []error) {
	failed, first := 0, -1
	for i, err := range results {
		if err == nil || errors.Is(err, errBehind) {
			continue
		}
		if failed++; first < 0 {
			first = i
		}
	}
	if failed == 0 {
		return
	}
	r.log.WarnContext(ctx, "events were not published and will be published again", "failed", failed, "of", len(leased),
		"event_id", leased[first].ID, "event_type", leased[first].Type, "aggregate_id", leased[first].AggregateID,
		"attempts", leased[first].Attempts, "error", results[first])
}
