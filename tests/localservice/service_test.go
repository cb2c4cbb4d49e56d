package localservice_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"holdfast/tests/localservice"
)

// running is what every service offers once it is started.
type running interface {
	address() string
	Dir() string
	Port() int
	PID() int
	Stop(context.Context) error
}

// service lets every test run once per kind of server: how to start it, how to put data into it, and how to
// check that the data is there.
type service struct {
	name     string
	start    func(context.Context, localservice.Options) (running, error)
	put, has func(ctx context.Context, address string) error
}

var services = []service{
	{name: "postgres", start: startPostgres, put: putRow, has: hasRow},
	{name: "redis", start: startRedis, put: putKey, has: hasKey},
	{name: "rabbitmq", start: startRabbitMQ, put: putMessage, has: hasMessage},
}

func forEach(t *testing.T, test func(t *testing.T, s service)) {
	t.Helper()
	for _, s := range services {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

func (s service) mustStart(t *testing.T, o localservice.Options) running {
	t.Helper()
	began := time.Now()
	r, err := s.start(t.Context(), o)
	require.NoError(t, err)
	t.Logf("%s started in %v", s.name, time.Since(began).Round(time.Millisecond))
	t.Cleanup(func() { require.NoError(t, r.Stop(context.Background())) })
	return r
}

type postgres struct{ *localservice.Postgres }

func (p postgres) address() string { return p.URL("kept") }

func startPostgres(ctx context.Context, o localservice.Options) (running, error) {
	p, err := localservice.StartPostgres(ctx, o)
	if err != nil {
		return nil, err
	}
	for range 2 { // the second call finds the database there
		if err := p.CreateDatabase(ctx, "kept"); err != nil {
			return nil, err
		}
	}
	return postgres{p}, nil
}

func putRow(ctx context.Context, url string) error {
	return onPostgres(ctx, url, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "CREATE TABLE word AS SELECT 'kept' AS value")
		return err
	})
}

func hasRow(ctx context.Context, url string) error {
	return onPostgres(ctx, url, func(conn *pgx.Conn) error {
		var value string
		return conn.QueryRow(ctx, "SELECT value FROM word").Scan(&value)
	})
}

func onPostgres(ctx context.Context, url string, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	return do(conn)
}

// prometheus keeps nothing that a test reads.
var prometheus = service{
	name:  "prometheus",
	start: startPrometheus,
	put:   func(context.Context, string) error { return nil },
}

type prometheusServer struct{ *localservice.Prometheus }

func (p prometheusServer) address() string { return p.URL() }

func startPrometheus(ctx context.Context, o localservice.Options) (running, error) {
	p, err := localservice.StartPrometheus(ctx, o, localservice.Scraping{Rules: []byte("groups: []\n")})
	if err != nil {
		return nil, err
	}
	return prometheusServer{p}, nil
}

type redisServer struct{ *localservice.Redis }

func (r redisServer) address() string { return r.URL() }

func startRedis(ctx context.Context, o localservice.Options) (running, error) {
	r, err := localservice.StartRedis(ctx, o)
	if err != nil {
		return nil, err
	}
	return redisServer{r}, nil
}

func putKey(ctx context.Context, url string) error {
	return onRedis(url, func(c *redis.Client) error { return c.Set(ctx, "word", "kept", 0).Err() })
}

func hasKey(ctx context.Context, url string) error {
	return onRedis(url, func(c *redis.Client) error { return c.Get(ctx, "word").Err() })
}

func onRedis(url string, do func(*redis.Client) error) error {
	options, err := redis.ParseURL(url)
	if err != nil {
		return err
	}
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	return do(client)
}

type rabbit struct{ *localservice.RabbitMQ }

func (r rabbit) address() string { return r.URL() }

func startRabbitMQ(ctx context.Context, o localservice.Options) (running, error) {
	r, err := localservice.StartRabbitMQ(ctx, o)
	if err != nil {
		return nil, err
	}
	return rabbit{r}, nil
}

// putMessage uses a quorum queue, the kind that the platform uses.
func putMessage(ctx context.Context, url string) error {
	return onRabbit(url, func(ch *amqp.Channel) error {
		quorum := amqp.Table{"x-queue-type": "quorum"}
		if _, err := ch.QueueDeclare("word", true, false, false, false, quorum); err != nil {
			return err
		}
		if err := ch.Confirm(false); err != nil {
			return err
		}
		confirmation, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", "word", true, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte("kept")})
		if err != nil {
			return err
		}
		if acked, err := confirmation.WaitContext(ctx); err != nil || !acked {
			return fmt.Errorf("not confirmed: %w", err)
		}
		return nil
	})
}

func hasMessage(ctx context.Context, url string) error {
	return onRabbit(url, func(ch *amqp.Channel) error {
		deliveries, err := ch.ConsumeWithContext(ctx, "word", "", true, false, false, false, nil)
		if err != nil {
			return err
		}
		// A quorum queue elects its leader shortly after the server is up, so a single get could be too early.
		select {
		case d := <-deliveries:
			if string(d.Body) != "kept" {
				return fmt.Errorf("unexpected message %q", d.Body)
			}
			return nil
		case <-time.After(20 * time.Second):
			return fmt.Errorf("no message")
		}
	})
}

func onRabbit(url string, do func(*amqp.Channel) error) error {
	conn, err := amqp.Dial(url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	return do(ch)
}
