package rabbitmq_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"holdfast/internal/rabbitmq"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// config is the configuration of a session with the broker at url.
func config(url string) rabbitmq.Config {
	return rabbitmq.Config{
		URL:            url,
		ConnectTimeout: 5 * time.Second,
		Heartbeat:      10 * time.Second,
		ConfirmTimeout: 10 * time.Second,
		ReconnectMax:   100 * time.Millisecond,
	}
}

func connector(cfg rabbitmq.Config) *rabbitmq.Connector {
	return rabbitmq.NewConnector(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
}

// session opens a session that ends with the test.
func session(t *testing.T) *rabbitmq.Session {
	t.Helper()
	s, err := connector(config(testenv.RabbitMQ(t))).Open(t.Context(), "test")
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// world is a topology whose names only this test uses.
type world struct {
	prefix string
	rabbitmq.Topology
}

// newWorld returns the platform's topology under names of its own. change may change a queue before it is declared.
func newWorld(t *testing.T, s *rabbitmq.Session, change func(*rabbitmq.Queue)) world {
	t.Helper()
	w := world{prefix: strings.ToLower(rand.Text()[:8]) + ":", Topology: rabbitmq.Platform()}
	for i := range w.Exchanges {
		e := &w.Exchanges[i]
		e.Name = w.name(e.Name)
		if e.Alternate != "" {
			e.Alternate = w.name(e.Alternate)
		}
	}
	for i := range w.Queues {
		q := &w.Queues[i]
		q.Name = w.name(q.Name)
		for j := range q.Bindings {
			q.Bindings[j].Exchange = w.name(q.Bindings[j].Exchange)
		}
		if q.DeadLetters != nil {
			dead := rabbitmq.Binding{Key: w.name(q.DeadLetters.Key)}
			if q.DeadLetters.Exchange != "" {
				dead = rabbitmq.Binding{Exchange: w.name(q.DeadLetters.Exchange)}
			}
			q.DeadLetters = &dead
		}
		if change != nil {
			change(q)
		}
	}
	require.NoError(t, s.Declare(w.Topology))
	t.Cleanup(func() { w.remove(t) })
	return w
}

func (w world) name(name string) string { return w.prefix + name }

// remove deletes everything that newWorld has declared.
func (w world) remove(t *testing.T) {
	t.Helper()
	conn, err := amqp.Dial(testenv.RabbitMQ(t))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	require.NoError(t, err)
	for _, q := range w.Queues {
		_, err := ch.QueueDelete(q.Name, false, false, false)
		require.NoError(t, err)
	}
	for _, e := range w.Exchanges {
		require.NoError(t, ch.ExchangeDelete(e.Name, false, false))
	}
}

// depth waits until a queue holds the given number of messages.
func requireDepth(t *testing.T, s *rabbitmq.Session, queue string, want int) {
	t.Helper()
	var got rabbitmq.Depth
	require.Eventually(t, func() bool {
		var err error
		got, err = s.Depth(queue)
		return err == nil && got.Ready == want
	}, 15*time.Second, 20*time.Millisecond, "queue %s", queue)
}

func message(exchange, key string) rabbitmq.Message {
	return rabbitmq.Message{
		Exchange: exchange,
		Key:      key,
		Publishing: amqp.Publishing{
			MessageId:   uuid.NewString(),
			ContentType: "application/json",
			Body:        []byte(`{}`),
		},
	}
}

func publish(t *testing.T, s *rabbitmq.Session, messages ...rabbitmq.Message) []error {
	t.Helper()
	p, err := s.Publisher(len(messages))
	require.NoError(t, err)
	return p.Publish(t.Context(), messages)
}

func receive(t *testing.T, deliveries <-chan amqp.Delivery) amqp.Delivery {
	t.Helper()
	select {
	case d, open := <-deliveries:
		require.True(t, open, "the deliveries have ended")
		return d
	case <-time.After(15 * time.Second):
		require.Fail(t, "no delivery")
	case <-t.Context().Done():
	}
	return amqp.Delivery{}
}

// supervise runs work on sessions until the test ends.
func supervise(
	t *testing.T, cfg rabbitmq.Config, work func(context.Context, *rabbitmq.Session) error,
) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- connector(cfg).Supervise(ctx, "test", work) }()
	var stopped bool
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		require.NoError(t, <-ended)
	}
	t.Cleanup(stop)
	return stop
}
