package deadletter_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
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
	"holdfast/internal/deadletter"
	"holdfast/internal/events"
	"holdfast/internal/outbox"
	"holdfast/internal/rabbitmq"
	"holdfast/tests/broker"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const patience = 30 * time.Second

// world has a database and queues of its own.
type world struct {
	t        *testing.T
	pool     *pgxpool.Pool
	store    *deadletter.Store
	topology broker.Topology
	queue    string
	session  *rabbitmq.Session
}

func newWorld(t *testing.T) *world {
	t.Helper()
	url := testenv.Database(t)
	_, err := database.Migrate(t.Context(), url, database.Orders)
	require.NoError(t, err)
	pool, err := database.Open(context.WithoutCancel(t.Context()), url, database.Pool{
		MaxConns: 30, IndexOnly: true, Holds: database.Orders,
	}, "test", nil)
	require.NoError(t, err)
	t.Cleanup(pool.Close)

	w := &world{t: t, pool: pool, store: deadletter.NewStore(pool), topology: broker.New(t, nil)}
	w.queue = w.topology.Name(rabbitmq.OrdersInventoryEvents)
	w.session, err = w.connector().Open(t.Context(), "test")
	require.NoError(t, err)
	t.Cleanup(w.session.Close)
	require.NoError(t, w.session.Declare(w.topology.Topology))
	return w
}

func (w *world) connector() *rabbitmq.Connector {
	return rabbitmq.NewConnector(rabbitmq.Config{
		URL:            testenv.RabbitMQ(w.t),
		ConnectTimeout: 5 * time.Second,
		Heartbeat:      10 * time.Second,
		ConfirmTimeout: 10 * time.Second,
		ReconnectMax:   100 * time.Millisecond,
	}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
}

// run runs a process until stop is called or the test ends.
func (w *world) run(process func(context.Context) error) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- process(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(w.t, <-ended)
	})
	w.t.Cleanup(stop)
	return stop
}

// startMover runs the mover.
func (w *world) startMover() (m *deadletter.Mover, stop func()) {
	w.t.Helper()
	m = deadletter.NewMover(deadletter.MoverOptions{
		Store:     w.store,
		Queues:    []string{w.queue},
		Connector: w.connector(),
		Topology:  w.topology.Topology,
		Log:       slog.New(slog.DiscardHandler),
		Registry:  prometheus.NewRegistry(),
	})
	return m, w.run(m.Run)
}

// startRelay runs the relay of the orders outbox.
func (w *world) startRelay() {
	w.t.Helper()
	relay := outbox.New(outbox.Options{
		Config: outbox.Config{
			Batch: 100, Lease: 5 * time.Second, PollMin: 5 * time.Millisecond, PollMax: 20 * time.Millisecond,
			Retention: outbox.MinRetention,
		},
		Source: outbox.Source{
			Service: "orders", Exchange: w.topology.Name(rabbitmq.OrderEvents), Store: outbox.NewStore(w.pool),
		},
		Connector: w.connector(),
		Topology:  w.topology.Topology,
		Log:       slog.New(slog.DiscardHandler),
		Registry:  prometheus.NewRegistry(),
	})
	w.run(relay.Run)
}

// startConsumer runs a consumer of the queue.
func (w *world) startConsumer(handler consumer.Handler) {
	w.t.Helper()
	c := consumer.New(consumer.Options{
		Config: consumer.Config{
			Prefetch: 10, Workers: 2, MaxAttempts: 1, Timeout: 5 * time.Second, InboxRetention: 720 * time.Hour,
		},
		Service:   "orders",
		Queue:     w.queue,
		Handler:   handler,
		Inbox:     consumer.NewInbox(w.pool, "orders"),
		Connector: w.connector(),
		Topology:  w.topology.Topology,
		Log:       slog.New(slog.DiscardHandler),
		Registry:  prometheus.NewRegistry(),
	})
	w.run(c.Run)
}

// event returns a message with an event.
func event(t *testing.T) (uuid.UUID, amqp.Publishing) {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	body, err := json.Marshal(events.Envelope{
		EventType:   "inventory.released",
		EventID:     id,
		Timestamp:   time.Now().UTC(),
		Version:     events.SchemaVersion,
		AggregateID: uuid.New(),
		Data:        json.RawMessage(`{}`),
	})
	require.NoError(t, err)
	return id, amqp.Publishing{
		MessageId: id.String(), Type: "inventory.released", ContentType: "application/json", CorrelationId: "corr-1",
		Headers: amqp.Table{"traceparent": "00-trace"}, Body: body,
	}
}

// publish publishes a message: to an exchange, or with the empty exchange to the queue of that key.
func (w *world) publish(exchange, key string, p amqp.Publishing) {
	w.t.Helper()
	publisher, err := w.session.Publisher(1)
	require.NoError(w.t, err)
	err = publisher.Publish(w.t.Context(), []rabbitmq.Message{{Exchange: exchange, Key: key, Publishing: p}})[0]
	require.NoError(w.t, err)
}

// kill publishes a message to the dead-letter queue, as a consumer does.
func (w *world) kill(p amqp.Publishing) {
	w.t.Helper()
	headers := amqp.Table{
		consumer.HeaderCause: consumer.CauseExhausted, consumer.HeaderError: "no answer",
		consumer.HeaderAttempts: int64(7), consumer.HeaderMaxAttempts: int64(10),
	}
	for name, value := range p.Headers {
		headers[name] = value
	}
	p.Headers = headers
	w.publish(rabbitmq.DeadLetterExchange(w.queue), "", p)
}

// awaitStatus waits until n messages have the status, and returns them.
func (w *world) awaitStatus(status string, n int) []deadletter.Message {
	w.t.Helper()
	var list []deadletter.Message
	require.Eventually(w.t, func() bool {
		var err error
		list, err = w.store.List(w.t.Context(), status, deadletter.Filter{}, deadletter.First, 500)
		return err == nil && len(list) == n
	}, patience, 5*time.Millisecond, "%d messages are %s", n, status)
	return list
}

func (w *world) awaitEmpty(queue string) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		d, err := w.session.Depth(queue)
		return err == nil && d.Ready == 0
	}, patience, 5*time.Millisecond)
}

func (w *world) count(query string) (n int) {
	w.t.Helper()
	require.NoError(w.t, w.pool.QueryRow(w.t.Context(), query).Scan(&n))
	return n
}

// noEffect is a handler that accepts every event.
func noEffect(context.Context, events.Envelope) (consumer.Effect, error) {
	return func(context.Context, pgx.Tx) error { return nil }, nil
}
