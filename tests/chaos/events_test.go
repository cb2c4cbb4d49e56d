package chaos

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/events"
	"holdfast/internal/order"
	"holdfast/internal/orderconsumer"
	"holdfast/internal/rabbitmq"
	"holdfast/inventory/backstop"
	"holdfast/tests/broker"
	"holdfast/tests/fault"
	"holdfast/tests/platform"
)

// TestEventsKilled kills the events process, as kill -9 does, at each point of the way of an event. Every event
// arrives, those of an order or item in their order; events arrive twice exactly if the process died after they had
// left.
func TestEventsKilled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		// reach makes the process stand still at the point, and returns once it does.
		reach   func(t *testing.T, p *platform.Platform, proxy *fault.AMQP)
		doubled bool
	}{
		{"between commit and publish", func(_ *testing.T, p *platform.Platform, proxy *fault.AMQP) {
			held := proxy.HoldPublishes(-1)
			buy(p, 3)
			<-held.Reached()
		}, false},
		{"between publish and confirm", func(_ *testing.T, p *platform.Platform, proxy *fault.AMQP) {
			held := proxy.HoldConfirms(-1)
			buy(p, 3)
			<-held.Reached()
		}, true},
		{"between confirm and mark", func(t *testing.T, p *platform.Platform, proxy *fault.AMQP) {
			held := proxy.HoldConfirms(-1)
			buy(p, 3)
			<-held.Reached()
			p.Faults.OrdersDB.Hang()
			p.Faults.StockDB.Hang()
			before := published(t, p)
			held.Release()
			require.Eventually(t, func() bool { return published(t, p) > before }, 10*time.Second, 10*time.Millisecond)
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := broker.Start(t)
			subscribe(t, server)
			p := platform.StartWithFaults(t)
			proxy := fault.NewAMQP(t, server.URL())
			p.StartEvents(proxy.URL())
			require.Eventually(t, func() bool { return waiting(t, p) == 0 }, 30*time.Second, 20*time.Millisecond)

			c.reach(t, p, proxy)
			require.Positive(t, waiting(t, p))
			p.Process("events").Kill()
			proxy.Down()
			p.Faults.OrdersDB.Up()
			p.Faults.StockDB.Up()
			proxy.Up()
			// The rules ended with the connections that they held.
			p.StartEvents(server.URL())
			buy(p, 1)

			require.Equal(t, c.doubled, requireDelivered(t, p, server) > 0, "events came twice")
			require.Equal(t, map[order.State]int{order.Confirmed: 4}, p.Audit())
		})
	}
}

// TestConfirmLost loses confirms: the process publishes those events again, and marks them once.
func TestConfirmLost(t *testing.T) {
	t.Parallel()
	server := broker.Start(t)
	subscribe(t, server)
	p := platform.Start(t)
	proxy := fault.NewAMQP(t, server.URL())
	lost := proxy.LoseConfirms(4)
	p.StartEvents(proxy.URL())

	buy(p, 10)
	require.Positive(t, requireDelivered(t, p, server), "events came twice")
	require.Equal(t, 4, lost.Count())
}

// TestEventsThroughOutages: orders are placed and paid while the events process is killed, its connection is cut and
// the broker is stopped and started again. Every event arrives, those of an order or item in their order.
func TestEventsThroughOutages(t *testing.T) {
	t.Parallel()
	const orders, rounds = 60, 8
	random := rand.New(rand.NewPCG(chaosSeed(t), 2))
	server := broker.Start(t)
	subscribe(t, server)
	p := platform.Start(t)
	proxy := fault.NewAMQP(t, server.URL())
	p.StartEvents(proxy.URL())

	var chaos sync.WaitGroup
	chaos.Go(func() {
		for i := range rounds {
			pause(t.Context(), time.Duration(100+random.IntN(900))*time.Millisecond)
			switch i % 4 {
			case 0:
				p.Process("events").Kill()
				p.Start("events")
			case 3:
				server.Stop()
				server.Up()
			default: // in the middle of whatever it publishes
				proxy.Down()
				proxy.Up()
			}
		}
	})
	buy(p, orders)
	chaos.Wait()

	doubled := requireDelivered(t, p, server)
	t.Logf("%d events came twice or more often", doubled)
	require.Equal(t, map[order.State]int{order.Confirmed: orders}, p.Audit())
	p.Process("events").Stop()
}

// buy places and pays orders, some at a time.
func buy(p *platform.Platform, orders int) {
	p.T.Helper()
	product := p.Product(int64(orders))
	deadline := time.Now().Add(3 * time.Minute)
	var clients errgroup.Group
	clients.SetLimit(5)
	for range orders {
		clients.Go(func() error {
			placed, err := place(p, deadline, platform.OneLine(product, 1))
			if err != nil {
				return err
			}
			paid, err := act(p, deadline, placed.Str("order_id"), "pay", method("pm_ok"))
			if err == nil && paid.Status != http.StatusOK {
				err = fmt.Errorf("pay: %d %s", paid.Status, paid.Raw)
			}
			return err
		})
	}
	require.NoError(p.T, clients.Wait())
}

// waiting counts the events of both databases that are not marked as published.
func waiting(t *testing.T, p *platform.Platform) (n int) {
	t.Helper()
	for _, pool := range []*pgxpool.Pool{p.Orders, p.Stock} {
		var some int
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM outbox WHERE published_at IS NULL`).Scan(&some))
		n += some
	}
	return n
}

var publishedMetric = regexp.MustCompile(`(?m)^\w+_events_published_total\{.*status="published"\} (\d+)$`)

// published is how many events the events process counts as published.
func published(t *testing.T, p *platform.Platform) (n int) {
	t.Helper()
	res, err := http.Get("http://" + p.Process("events").Address() + "/metrics")
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	for _, m := range publishedMetric.FindAllStringSubmatch(string(raw), -1) {
		var some int
		_, err := fmt.Sscan(m[1], &some)
		require.NoError(t, err)
		n += some
	}
	return n
}

// requireDelivered waits until every event of both databases is marked as published, and then compares them with what
// the queues hold: each event at least once, and the first deliveries of an aggregate in the order of its versions. It
// returns how many events are there more than once.
func requireDelivered(t *testing.T, p *platform.Platform, server *broker.Server) (doubled int) {
	t.Helper()
	require.Eventually(t, func() bool { return waiting(t, p) == 0 }, time.Minute, 50*time.Millisecond)
	conn, err := amqp.Dial(server.URL())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	require.NoError(t, err)
	unrouted, err := ch.QueueDeclarePassive(rabbitmq.Unrouted, true, false, false, false, nil)
	require.NoError(t, err)
	require.Zero(t, unrouted.Messages, "events without a queue")

	for _, c := range []struct {
		pool  *pgxpool.Pool
		queue string
	}{
		{p.Orders, subscription(rabbitmq.OrderEvents)},
		{p.Stock, subscription(rabbitmq.InventoryEvents)},
	} {
		times, versions := drain(t, ch, c.queue)
		rows, err := c.pool.Query(t.Context(), `SELECT event_id::text FROM outbox`)
		require.NoError(t, err)
		committed, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		require.NotEmpty(t, committed)
		for _, id := range committed {
			require.Positive(t, times[id], "event %s of %s is missing", id, c.queue)
			if times[id] > 1 {
				doubled++
			}
		}
		require.Len(t, times, len(committed), "no event that was not committed")
		for aggregate, order := range versions {
			require.IsNonDecreasing(t, order, "aggregate %s of %s", aggregate, c.queue)
		}
	}
	requireConsumed(t, p)
	return doubled
}

// subscribe declares a queue of the test for each exchange, as another system would have it: the platform's own
// consumers empty the platform's queues.
func subscribe(t *testing.T, server *broker.Server) {
	t.Helper()
	connector := rabbitmq.NewConnector(rabbitmq.Config{
		URL: server.URL(), ConnectTimeout: 10 * time.Second, Heartbeat: 10 * time.Second, ConfirmTimeout: 10 * time.Second,
		ReconnectMax: time.Second,
	}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	session, err := connector.Open(t.Context(), "test")
	require.NoError(t, err)
	defer session.Close()
	topology := rabbitmq.Platform()
	for _, exchange := range []string{rabbitmq.OrderEvents, rabbitmq.InventoryEvents} {
		topology.Queues = append(topology.Queues, rabbitmq.Queue{
			Name:     subscription(exchange),
			Bindings: []rabbitmq.Binding{{Exchange: exchange, Key: "#"}},
		})
	}
	require.NoError(t, session.Declare(topology))
}

func subscription(exchange string) string { return "test." + exchange }

// requireConsumed waits until the consumer of each side has processed every event that it handles, and fails if a
// message is dead or if an event did not match the other side.
func requireConsumed(t *testing.T, p *platform.Platform) {
	t.Helper()
	for _, c := range []struct {
		written, inbox *pgxpool.Pool
		types          []string
	}{{p.Orders, p.Stock, backstop.Types()}, {p.Stock, p.Orders, orderconsumer.Types()}} {
		rows, err := c.written.Query(t.Context(), `SELECT event_id FROM outbox WHERE event_type = ANY ($1)`, c.types)
		require.NoError(t, err)
		committed, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			var n int
			err := c.inbox.QueryRow(t.Context(),
				`SELECT count(*) FROM processed_events WHERE event_id = ANY ($1)`, committed).Scan(&n)
			return err == nil && n == len(committed)
		}, time.Minute, 50*time.Millisecond, "events are not processed")
	}
	var dead int
	require.NoError(t, p.Orders.QueryRow(t.Context(), `SELECT count(*) FROM dead_messages`).Scan(&dead))
	require.Zero(t, dead, "dead messages")
}

// drain takes all messages of a queue. It returns how often each event came, and the versions of each aggregate in the
// order in which its events first came.
func drain(t *testing.T, ch *amqp.Channel, queue string) (times map[string]int, versions map[string][]int64) {
	t.Helper()
	times, versions = map[string]int{}, map[string][]int64{}
	for {
		d, there, err := ch.Get(queue, false)
		require.NoError(t, err)
		if !there {
			return times, versions
		}
		var e events.Envelope
		require.NoError(t, json.Unmarshal(d.Body, &e))
		require.Equal(t, e.EventType, d.RoutingKey)
		require.True(t, strings.HasPrefix(d.ContentType, "application/json"))
		if times[d.MessageId]++; times[d.MessageId] == 1 {
			id := e.AggregateID.String()
			versions[id] = append(versions[id], e.AggregateVersion)
		}
		require.NoError(t, d.Ack(false))
	}
}
