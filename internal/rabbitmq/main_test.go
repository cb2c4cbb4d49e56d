package rabbitmq_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"holdfast/internal/rabbitmq"
	"holdfast/tests/broker"
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

// declared declares a topology of the test's own.
func declared(t *testing.T, s *rabbitmq.Session, change func(*rabbitmq.Queue)) broker.Topology {
	t.Helper()
	o := broker.New(t, change)
	require.NoError(t, s.Declare(o.Topology))
	return o
}

// requireDepth waits until a queue holds the given number of messages.
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
