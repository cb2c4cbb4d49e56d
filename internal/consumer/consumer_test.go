package consumer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"holdfast/internal/consumer"
	"holdfast/internal/database"
	"holdfast/internal/events"
	"holdfast/internal/rabbitmq"
	"holdfast/tests/broker"
	"holdfast/tests/fault"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const patience = 30 * time.Second

// world is a consumer with a database and queues of its own.
type world struct {
	t        *testing.T
	pool     *pgxpool.Pool
	topology broker.Topology
	queue    string
	address  string // of RabbitMQ, for the consumer
	session  *rabbitmq.Session
	registry *prometheus.Registry
	config   consumer.Config
}

func newWorld(t *testing.T) *world {
	t.Helper()
	own := testenv.Database(t)
	_, err := database.Migrate(t.Context(), own, database.Orders)
	require.NoError(t, err)
	pool, err := pgxpool.New(context.WithoutCancel(t.Context()), own)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	_, err = pool.Exec(t.Context(), `CREATE TABLE applied (event_id uuid NOT NULL, aggregate_id uuid, version bigint,
		position bigint GENERATED ALWAYS AS IDENTITY)`)
	require.NoError(t, err)

	w := &world{
		t:    t,
		pool: pool,
		topology: broker.New(t, func(q *rabbitmq.Queue) {
			if q.TTL > 0 {
				q.TTL = 50 * time.Millisecond // a delay of minutes is too long for a test
			}
		}),
		address: testenv.RabbitMQ(t),
		config: consumer.Config{
			Prefetch: 32, Workers: 4, MaxAttempts: 3, Timeout: 10 * time.Second, InboxRetention: 30 * 24 * time.Hour,
		},
	}
	w.queue = w.topology.Name(rabbitmq.OrdersInventoryEvents)
	w.session, err = w.connector(w.address, prometheus.NewRegistry()).Open(t.Context(), "test")
	require.NoError(t, err)
	t.Cleanup(w.session.Close)
	require.NoError(t, w.session.Declare(w.topology.Topology))
	return w
}

func (w *world) connector(address string, reg prometheus.Registerer) *rabbitmq.Connector {
	return rabbitmq.NewConnector(rabbitmq.Config{
		URL:            address,
		ConnectTimeout: 5 * time.Second,
		Heartbeat:      10 * time.Second,
		ConfirmTimeout: 10 * time.Second,
		ReconnectMax:   100 * time.Millisecond,
	}, slog.New(slog.DiscardHandler), reg)
}

// start runs a consumer until stop is called or the test ends.
func (w *world) start(handler consumer.Handler) (stop func()) {
	w.t.Helper()
	w.registry = prometheus.NewRegistry()
	c := consumer.New(consumer.Options{
		Config:    w.config,
		Service:   "orders",
		Queue:     w.queue,
		Types:     []string{"inventory.reserved"},
		Handler:   handler,
		Inbox:     consumer.NewInbox(w.pool, "orders"),
		Connector: w.connector(w.address, w.registry),
		Topology:  w.topology.Topology,
		Log:       slog.New(slog.DiscardHandler),
		Registry:  w.registry,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(w.t, <-ended)
	})
	w.t.Cleanup(stop)
	return stop
}

func newEvent(aggregate uuid.UUID, version int64) events.Envelope {
	return events.Envelope{
		EventType:        "inventory.reserved",
		EventID:          uuid.Must(uuid.NewV7()),
		Timestamp:        time.Now().UTC(),
		Version:          events.SchemaVersion,
		AggregateID:      aggregate,
		AggregateVersion: version,
		Data:             json.RawMessage(`{}`),
		Metadata:         events.Metadata{Service: "inventory", CorrelationID: "corr-1"},
	}
}

// send publishes events to the queue's exchange.
func (w *world) send(list ...events.Envelope) {
	w.t.Helper()
	for _, e := range list {
		body, err := json.Marshal(e)
		require.NoError(w.t, err)
		w.sendRaw(e.EventID.String(), body)
	}
}

func (w *world) sendRaw(id string, body []byte) {
	w.t.Helper()
	publisher, err := w.session.Publisher(1)
	require.NoError(w.t, err)
	err = publisher.Publish(w.t.Context(), []rabbitmq.Message{{
		Exchange:   w.topology.Name(rabbitmq.InventoryEvents),
		Key:        "inventory.reserved",
		Publishing: amqp.Publishing{MessageId: id, Type: "inventory.reserved", Body: body},
	}})[0]
	require.NoError(w.t, err)
}

// apply is a handler whose effect is a row.
func apply(_ context.Context, e events.Envelope) (consumer.Effect, error) {
	return func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO applied (event_id, aggregate_id, version) VALUES ($1, $2, $3)",
			e.EventID, e.AggregateID, e.AggregateVersion)
		return err
	}, nil
}

func (w *world) count(query string, args ...any) (n int) {
	w.t.Helper()
	require.NoError(w.t, w.pool.QueryRow(context.WithoutCancel(w.t.Context()), query, args...).Scan(&n))
	return n
}

func (w *world) awaitApplied(n int) {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return w.count("SELECT count(*) FROM applied") >= n },
		patience, 5*time.Millisecond)
}

// metric sums up the samples of a counter.
func (w *world) metric(name string) int {
	w.t.Helper()
	families, err := w.registry.Gather()
	require.NoError(w.t, err)
	sum := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return int(sum)
}

func (w *world) awaitMetric(name string, want int) {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return w.metric(name) >= want }, patience, 5*time.Millisecond, name)
}

// requireMetric waits for want, because the consumer counts after the message has left it, and refuses more.
func (w *world) requireMetric(name string, want int) {
	w.t.Helper()
	w.awaitMetric(name, want)
	require.Equal(w.t, want, w.metric(name), name)
}

// requireEmpty waits until the consumer has acknowledged every message.
func (w *world) requireEmpty(queue string) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		d, err := w.session.Depth(queue)
		return err == nil && d.Ready == 0
	}, patience, 5*time.Millisecond)
}

// deadLetters takes messages from the dead-letter queue.
func (w *world) deadLetters(n int) []amqp.Delivery {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	deliveries, err := w.session.Consume(ctx, rabbitmq.DeadLetterQueue(w.queue), n)
	require.NoError(w.t, err)
	var out []amqp.Delivery
	for d := range deliveries {
		require.NoError(w.t, d.Ack(false))
		if out = append(out, d); len(out) == n {
			return out
		}
	}
	require.Fail(w.t, "dead letters are missing", "%d of %d", len(out), n)
	return nil
}

// TestSameEventTenTimes: an event that comes ten times takes effect once.
func TestSameEventTenTimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := newEvent(uuid.New(), 1)
	for range 10 {
		w.send(e)
	}

	stop := w.start(apply)
	w.awaitMetric("orders_events_consumed_total", 10)
	stop()

	require.Equal(t, 1, w.count("SELECT count(*) FROM applied"))
	require.Equal(t, 1, w.count("SELECT count(*) FROM processed_events"))
	w.requireMetric("orders_events_idempotent_skips_total", 9)
	w.requireEmpty(w.queue)
}

// TestCutBetweenCommitAndAck: the consumer commits and its connection is gone before it acknowledges. The message comes
// again and takes no second effect.
func TestCutBetweenCommitAndAck(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address, err := url.Parse(w.address)
	require.NoError(t, err)
	proxy := fault.NewTCP(t, address.Host)
	address.Host = proxy.Address()
	w.address = address.String()
	var calls atomic.Int32
	stop := w.start(func(ctx context.Context, e events.Envelope) (consumer.Effect, error) {
		effect, err := apply(ctx, e)
		return func(ctx context.Context, tx pgx.Tx) error {
			if calls.Add(1) == 1 {
				proxy.Down() // the transaction commits after this
			}
			return effect(ctx, tx)
		}, err
	})

	w.send(newEvent(uuid.New(), 1))
	w.awaitApplied(1)
	proxy.Up()
	w.awaitMetric("orders_events_idempotent_skips_total", 1)
	stop()

	require.Equal(t, 1, w.count("SELECT count(*) FROM applied"))
	require.EqualValues(t, 1, calls.Load())
	w.requireEmpty(w.queue)
}

// TestOrderWithinAnAggregate: the events of an aggregate take effect in their order, although several workers work.
func TestOrderWithinAnAggregate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const aggregates, versions = 10, 20
	ids := make([]uuid.UUID, aggregates)
	for i := range ids {
		ids[i] = uuid.New()
	}
	for v := range versions {
		for _, id := range ids {
			w.send(newEvent(id, int64(v+1)))
		}
	}

	w.start(apply)
	w.awaitApplied(aggregates * versions)
	require.Zero(t, w.count(`
		SELECT count(*) FROM (
			SELECT version, row_number() OVER (PARTITION BY aggregate_id ORDER BY position) AS place FROM applied
		) x WHERE version <> place`))
}

// TestTwoEventsOutOfOrder: an older event that comes after a newer one takes effect as well, once.
func TestTwoEventsOutOfOrder(t *testing.T) {
	t.Parallel()
	w, id := newWorld(t), uuid.New()
	older, newer := newEvent(id, 1), newEvent(id, 2)
	w.start(apply)
	w.send(newer, older, newer)
	w.awaitMetric("orders_events_consumed_total", 3)
	require.Equal(t, 2, w.count("SELECT count(*) FROM applied"))
}

// TestPoison: a message that can never succeed is dead after one attempt, with the reason, and delays no other.
func TestPoison(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bad, foreign := newEvent(uuid.New(), 1), newEvent(uuid.New(), 1)
	foreign.Version = 7
	w.start(func(ctx context.Context, e events.Envelope) (consumer.Effect, error) {
		if e.EventID == bad.EventID {
			return nil, consumer.Poison(errors.New("the product is a teapot"))
		}
		return apply(ctx, e)
	})

	w.sendRaw("not-json", []byte("{nonsense"))
	w.sendRaw("no-id", []byte(`{"eventType":"inventory.reserved","version":1}`))
	w.send(bad, foreign, newEvent(uuid.New(), 1))
	w.awaitApplied(1)

	reasons := map[string]string{}
	for _, d := range w.deadLetters(4) {
		require.Equal(t, consumer.CausePoison, d.Headers[consumer.HeaderCause])
		require.EqualValues(t, 1, d.Headers[consumer.HeaderAttempts])
		reasons[d.MessageId] = fmt.Sprint(d.Headers[consumer.HeaderError])
	}
	require.Contains(t, reasons["not-json"], "decode the envelope")
	require.Contains(t, reasons["no-id"], "no eventId")
	require.Contains(t, reasons[bad.EventID.String()], "teapot")
	require.Contains(t, reasons[foreign.EventID.String()], "version 7")
	require.Zero(t, w.count("SELECT count(*) FROM processed_events WHERE event_id = $1", bad.EventID))
	w.requireEmpty(w.queue)
}

// TestRetry: a message that fails for a temporary reason comes again. Its attempts are counted, and its effect outside
// the database has the same event id each time.
func TestRetry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := newEvent(uuid.New(), 1)
	var calls atomic.Int32
	stop := w.start(func(ctx context.Context, got events.Envelope) (consumer.Effect, error) {
		if got.EventID != e.EventID {
			return nil, errors.New("another event")
		}
		if calls.Add(1) < 3 {
			return nil, errors.New("the service does not answer")
		}
		return apply(ctx, got)
	})

	w.send(e)
	w.awaitApplied(1)
	stop()

	require.EqualValues(t, 3, calls.Load())
	w.requireMetric("orders_events_consumed_total", 3)
	w.requireEmpty(w.queue)
}

// TestExhausted: a message that fails too often is dead, with its attempts and the last error.
func TestExhausted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(func(context.Context, events.Envelope) (consumer.Effect, error) {
		return nil, errors.New("the service does not answer")
	})

	w.send(newEvent(uuid.New(), 1))
	d := w.deadLetters(1)[0]
	require.Equal(t, consumer.CauseExhausted, d.Headers[consumer.HeaderCause])
	require.EqualValues(t, 3, d.Headers[consumer.HeaderAttempts])
	require.EqualValues(t, 3, d.Headers[consumer.HeaderMaxAttempts])
	w.requireMetric("orders_events_dlq_total", 1)
}

// TestNothingToDo: an event without an effect is acknowledged and not remembered.
func TestNothingToDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(func(context.Context, events.Envelope) (consumer.Effect, error) { return nil, consumer.ErrNothingToDo })

	w.send(newEvent(uuid.New(), 1), newEvent(uuid.New(), 1))
	w.requireMetric("orders_events_consumed_total", 2)
	w.requireEmpty(w.queue)
	require.Zero(t, w.count("SELECT count(*) FROM processed_events"))
	w.requireEmpty(rabbitmq.DeadLetterQueue(w.queue))
}

// TestFailedEffectIsNotRemembered: if the effect fails, its transaction takes the inbox row with it.
func TestFailedEffectIsNotRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var calls atomic.Int32
	w.start(func(ctx context.Context, e events.Envelope) (consumer.Effect, error) {
		effect, err := apply(ctx, e)
		return func(ctx context.Context, tx pgx.Tx) error {
			if err := effect(ctx, tx); err != nil || calls.Add(1) > 1 {
				return err
			}
			return errors.New("a lost connection")
		}, err
	})

	w.send(newEvent(uuid.New(), 1))
	w.awaitApplied(1)
	require.Equal(t, 1, w.count("SELECT count(*) FROM applied"))
}

// TestStopFinishesWhatItHasBegun: a consumer that stops finishes its message, and leaves the others in the queue.
func TestStopFinishesWhatItHasBegun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Workers, w.config.Prefetch = 1, 10
	begun, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	stop := w.start(func(ctx context.Context, e events.Envelope) (consumer.Effect, error) {
		once.Do(func() {
			close(begun)
			<-goOn
		})
		return apply(ctx, e)
	})
	for range 5 {
		w.send(newEvent(uuid.New(), 1))
	}

	<-begun
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	close(goOn)
	<-stopped
	applied := w.count("SELECT count(*) FROM applied")
	require.Positive(t, applied)

	w.start(apply)
	w.awaitApplied(5)
	require.Equal(t, 5, w.count("SELECT count(*) FROM applied"), "each once")
}

// TestInboxForgets: old events are deleted, younger events and those of other consumers stay.
func TestInboxForgets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.pool.Exec(t.Context(), `
		INSERT INTO processed_events (consumer, event_id) VALUES
			('orders', '00000000-0001-7000-8000-000000000001'), ('orders', '00000000-0002-7000-8000-000000000001'),
			('another', '00000000-0001-7000-8000-000000000001'), ('orders', $1)`, uuid.Must(uuid.NewV7()))
	require.NoError(t, err)
	inbox := consumer.NewInbox(w.pool, "orders")
	for _, want := range []int{1, 1, 0} {
		n, err := inbox.Forget(t.Context(), time.Now().Add(-time.Hour), 1)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	require.Equal(t, 2, w.count("SELECT count(*) FROM processed_events"))
}
