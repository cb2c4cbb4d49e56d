package outbox_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"holdfast/internal/database"
	"holdfast/internal/events"
	"holdfast/internal/outbox"
	"holdfast/internal/rabbitmq"
	"holdfast/tests/broker"
	"holdfast/tests/fault"
	"holdfast/tests/testenv"
)

func brokerConfig(address string) rabbitmq.Config {
	return rabbitmq.Config{
		URL:            address,
		ConnectTimeout: 5 * time.Second,
		Heartbeat:      10 * time.Second,
		ConfirmTimeout: 10 * time.Second,
		ReconnectMax:   100 * time.Millisecond,
	}
}

// runner runs relays of a test.
type runner struct {
	topology broker.Topology
	address  string // of RabbitMQ
	service  string
	log      io.Writer // of the relay; nil discards it
	exchange string
	batch    int
	lease    time.Duration
	registry *prometheus.Registry
}

func newRunner(t *testing.T, change func(*rabbitmq.Queue)) *runner {
	t.Helper()
	own := broker.New(t, change)
	return &runner{
		topology: own,
		address:  testenv.RabbitMQ(t),
		service:  "orders",
		exchange: own.Name(rabbitmq.OrderEvents),
		batch:    100,
		lease:    2 * time.Second,
		registry: prometheus.NewRegistry(),
	}
}

// start runs a relay until stop is called or the test ends.
func (r *runner) start(t *testing.T, pool *pgxpool.Pool) (stop func()) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if r.log != nil {
		log = slog.New(slog.NewTextHandler(r.log, nil))
	}
	r.registry = prometheus.NewRegistry()
	relay := outbox.New(outbox.Options{
		Config: outbox.Config{
			Batch:     r.batch,
			Lease:     r.lease,
			PollMin:   5 * time.Millisecond,
			PollMax:   20 * time.Millisecond,
			Retention: 48 * time.Hour,
		},
		Source:    outbox.Source{Service: r.service, Exchange: r.exchange, Store: outbox.NewStore(pool)},
		Connector: rabbitmq.NewConnector(brokerConfig(r.address), log, r.registry),
		Topology:  r.topology.Topology,
		Log:       log,
		Registry:  r.registry,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- relay.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	t.Cleanup(stop)
	return stop
}

// declare declares the topology, so that a test can consume before a relay has started.
func (r *runner) declare(t *testing.T) *rabbitmq.Session {
	t.Helper()
	connector := rabbitmq.NewConnector(brokerConfig(testenv.RabbitMQ(t)), slog.New(slog.DiscardHandler),
		prometheus.NewRegistry())
	s, err := connector.Open(t.Context(), "test")
	require.NoError(t, err)
	t.Cleanup(s.Close)
	require.NoError(t, s.Declare(r.topology.Topology))
	return s
}

// metric sums up the samples of a counter of the relay that was started last.
func (r *runner) metric(t *testing.T, name string) (sum float64) {
	t.Helper()
	families, err := r.registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue()
		}
	}
	return sum
}

// book notes which events a queue has delivered.
type book struct {
	first map[uuid.UUID][]int64 // versions of each aggregate in the order in which they first came
	seen  map[string]int        // deliveries by event id
}

// collect consumes a queue until it has delivered the given number of different events.
func collect(t *testing.T, s *rabbitmq.Session, queue string, want int) book {
	t.Helper()
	b := book{first: map[uuid.UUID][]int64{}, seen: map[string]int{}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	deliveries, err := s.Consume(ctx, queue, 100)
	require.NoError(t, err)
	for d := range deliveries {
		var e events.Envelope
		require.NoError(t, json.Unmarshal(d.Body, &e))
		require.Equal(t, d.MessageId, e.EventID.String())
		if b.seen[d.MessageId]++; b.seen[d.MessageId] == 1 {
			b.first[e.AggregateID] = append(b.first[e.AggregateID], e.AggregateVersion)
		}
		require.NoError(t, d.Ack(false))
		if len(b.seen) == want {
			return b
		}
	}
	require.Fail(t, "events are missing", "%d of %d came", len(b.seen), want)
	return b
}

// requireOrder fails unless each aggregate's events came in the order 1, 2, 3 …
func (b book) requireOrder(t *testing.T) {
	t.Helper()
	for aggregate, versions := range b.first {
		for i, v := range versions {
			require.EqualValues(t, i+1, v, "aggregate %s: %v", aggregate, versions)
		}
	}
}

// fill commits events of several aggregates, version by version.
func fill(t *testing.T, pool *pgxpool.Pool, aggregates, versions int) {
	t.Helper()
	ids := make([]uuid.UUID, aggregates)
	for i := range ids {
		ids[i] = uuid.New()
	}
	for v := range versions {
		rows := make([]event, 0, aggregates)
		for _, id := range ids {
			rows = append(rows, newEvent(id, int64(v+1)))
		}
		insert(t, pool, rows...)
	}
}

// requirePublished waits until nothing waits in the outbox.
func requirePublished(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	require.Eventually(t, func() bool { return unpublished(t, pool) == 0 }, 30*time.Second, 20*time.Millisecond)
}

// TestEnvelope: the message is the envelope, with the row's columns and headers in their places.
func TestEnvelope(t *testing.T) {
	t.Parallel()
	for _, name := range databases {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			pool, r := newPool(t, name), newRunner(t, nil)
			r.service = string(name)
			s := r.declare(t)
			e := newEvent(uuid.New(), 4)
			e.headers = `{"correlationId":"c-1","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}`
			insert(t, pool, e)
			r.start(t, pool)

			deliveries, err := s.Consume(t.Context(), r.topology.Name(rabbitmq.WebhooksEvents), 1)
			require.NoError(t, err)
			d := <-deliveries
			require.NoError(t, d.Ack(false))
			require.Equal(t, "order.created", d.RoutingKey)
			require.Equal(t, "order.created", d.Type)
			require.Equal(t, "application/json", d.ContentType)
			require.Equal(t, "c-1", d.CorrelationId)
			require.Equal(t, string(name), d.AppId)
			require.Equal(t, amqp.Persistent, d.DeliveryMode)
			require.Equal(t, amqp.Table{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, d.Headers)

			var got events.Envelope
			require.NoError(t, json.Unmarshal(d.Body, &got))
			require.WithinDuration(t, time.Now(), got.Timestamp, time.Minute)
			got.Timestamp = time.Time{}
			require.Equal(t, events.Envelope{
				EventType:        "order.created",
				EventID:          e.id,
				Version:          1,
				AggregateID:      e.aggregate,
				AggregateVersion: 4,
				Data:             json.RawMessage(`{"n":4}`),
				Metadata:         events.Metadata{Service: string(name), CorrelationID: "c-1"},
			}, got)
			requirePublished(t, pool)
		})
	}
}

// TestTwoRelaysUnderFaults: two relays of one outbox lose their connections again and again while events are committed.
// Every event arrives, and the events of each aggregate in their order.
func TestTwoRelaysUnderFaults(t *testing.T) {
	t.Parallel()
	const aggregates, versions = 30, 40
	pool, r := newPool(t, database.Orders), newRunner(t, nil)
	s := r.declare(t)
	at, err := url.Parse(testenv.RabbitMQ(t))
	require.NoError(t, err)
	var proxies []*fault.TCP
	for range 2 {
		proxy := fault.NewTCP(t, at.Host)
		own := *at
		own.Host = proxy.Address()
		r.address = own.String()
		r.start(t, pool)
		proxies = append(proxies, proxy)
	}

	var beside sync.WaitGroup
	stop := make(chan struct{})
	beside.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(150 * time.Millisecond):
				proxies[i%2].Down()
				proxies[i%2].Up()
			}
		}
	})
	beside.Go(func() { fill(t, pool, aggregates, versions) })
	b := collect(t, s, r.topology.Name(rabbitmq.WebhooksEvents), aggregates*versions)
	close(stop)
	beside.Wait()
	b.requireOrder(t)
	requirePublished(t, pool)
}

// TestFullQueueKeepsOrder: a queue that refuses messages now and then changes no aggregate's order, and loses nothing.
func TestFullQueueKeepsOrder(t *testing.T) {
	t.Parallel()
	const aggregates, versions = 20, 20
	pool, r := newPool(t, database.Inventory), newRunner(t, nil)
	s := r.declare(t)
	// A second queue for the same events, which is soon full.
	full := r.topology.Name("full")
	conn, err := amqp.Dial(testenv.RabbitMQ(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	require.NoError(t, err)
	_, err = ch.QueueDeclare(full, true, false, false, false, amqp.Table{
		"x-queue-type": "quorum",
		"x-max-length": int32(20),
		"x-overflow":   "reject-publish",
	})
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = ch.QueueDelete(full, false, false, false) })
	require.NoError(t, ch.QueueBind(full, "order.*", r.exchange, false, nil))

	fill(t, pool, aggregates, versions)
	r.start(t, pool)
	require.Eventually(t, func() bool { return r.metric(t, "orders_events_publish_errors_total") > 0 },
		30*time.Second, 10*time.Millisecond, "the queue refuses some")
	b := collect(t, s, full, aggregates*versions)
	b.requireOrder(t)
	requirePublished(t, pool)
}

// TestUnroutableWaits: an event for which there is no queue at all stays in the outbox, and leaves when there is one.
func TestUnroutableWaits(t *testing.T) {
	t.Parallel()
	pool, r := newPool(t, database.Orders), newRunner(t, nil)
	s := r.declare(t)
	// This exchange has no alternate exchange.
	r.exchange = r.topology.Name(rabbitmq.DeadLetterExchange(rabbitmq.InventoryOrderEvents))
	dead := r.topology.Name(rabbitmq.DeadLetterQueue(rabbitmq.InventoryOrderEvents))
	conn, err := amqp.Dial(testenv.RabbitMQ(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	require.NoError(t, err)

	r.start(t, pool)
	warm := newEvent(uuid.New(), 1)
	insert(t, pool, warm)
	requirePublished(t, pool) // the relay has declared its topology
	require.NoError(t, ch.QueueUnbind(dead, "", r.exchange, nil))
	insert(t, pool, newEvent(uuid.New(), 1))
	var reason string
	require.Eventually(t, func() bool {
		return pool.QueryRow(t.Context(), `SELECT last_error FROM outbox WHERE published_at IS NULL AND attempts > 1`).
			Scan(&reason) == nil
	}, 10*time.Second, 20*time.Millisecond)
	require.Contains(t, reason, "no queue is bound")

	require.NoError(t, ch.QueueBind(dead, "", r.exchange, false, nil))
	requirePublished(t, pool)
	collect(t, s, dead, 2)
}

// lines keeps what is logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

// TestRelayOutlivesTheDatabase: while the database is away the relay waits, and goes on afterwards.
func TestRelayOutlivesTheDatabase(t *testing.T) {
	t.Parallel()
	direct := newDatabase(t, database.Orders)
	proxy := fault.NewPostgres(t, direct)
	pool, r := openPool(t, direct, database.Orders), newRunner(t, nil)
	logged := &lines{}
	r.log = logged
	s := r.declare(t)
	r.start(t, openPool(t, proxy.URL(), database.Orders))
	insert(t, pool, newEvent(uuid.New(), 1))
	requirePublished(t, pool)

	proxy.Down()
	insert(t, pool, newEvent(uuid.New(), 1))
	require.Eventually(t, func() bool { return logged.has("cannot use the outbox") }, 20*time.Second, 10*time.Millisecond,
		"the relay has met the outage")
	require.Equal(t, 1, unpublished(t, pool))
	proxy.Up()
	requirePublished(t, pool)
	collect(t, s, r.topology.Name(rabbitmq.WebhooksEvents), 2)
}

// TestStopFinishesTheBatch: a relay that is told to stop leaves no event leased; it has marked those that it has
// published.
func TestStopFinishesTheBatch(t *testing.T) {
	t.Parallel()
	pool, r := newPool(t, database.Orders), newRunner(t, nil)
	r.declare(t)
	r.batch = 50
	for range 5 {
		fill(t, pool, 40, 5)
		stop := r.start(t, pool)
		require.Eventually(t, func() bool { return unpublished(t, pool) < 190 }, 10*time.Second, time.Millisecond)
		stop()

		var leased int
		require.NoError(t, pool.QueryRow(t.Context(),
			`SELECT count(*) FROM outbox WHERE published_at IS NULL AND lease_until IS NOT NULL`).Scan(&leased))
		require.Zero(t, leased)
	}
}
