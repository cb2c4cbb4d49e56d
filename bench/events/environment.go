package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/config"
	"holdfast/internal/database"
	"holdfast/internal/outbox"
	"holdfast/internal/rabbitmq"
	"holdfast/tests/localservice"
)

// environment is the servers of a run, and the relay while it runs.
type environment struct {
	options
	dir      string
	postgres *localservice.Postgres
	rabbitmq *localservice.RabbitMQ
	pools    map[database.Name]*pgxpool.Pool
	conn     *amqp.Connection

	metrics   *prometheus.Registry
	relays    errgroup.Group
	endRelays context.CancelFunc // nil while no relay runs
}

// relayConfig is the part of the events process's configuration that a relay needs.
type relayConfig struct {
	RabbitMQ rabbitmq.Config
	Relay    outbox.Config
}

// maxConns is how many events may be in commit at once: the rate must not depend on the time that one takes.
const maxConns = 50

func start(ctx context.Context, o options) (_ *environment, err error) {
	e := &environment{options: o, pools: map[database.Name]*pgxpool.Pool{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.stop())
		}
	}()
	if e.dir, err = localservice.TempDir(); err != nil {
		return nil, err
	}
	e.postgres, err = localservice.StartPostgres(ctx, localservice.Options{Dir: filepath.Join(e.dir, "postgres")})
	if err != nil {
		return nil, err
	}
	e.rabbitmq, err = localservice.StartRabbitMQ(ctx, localservice.Options{Dir: filepath.Join(e.dir, "rabbitmq")})
	if err != nil {
		return nil, err
	}
	for _, name := range []database.Name{database.Orders, database.Inventory} {
		url := e.postgres.URL(string(name))
		if _, err := database.EnsureDatabase(ctx, url); err != nil {
			return nil, err
		}
		if _, err := database.Migrate(ctx, url, name); err != nil {
			return nil, err
		}
		limits := database.Pool{MaxConns: maxConns, ConnectTimeout: 5 * time.Second}
		if e.pools[name], err = database.Open(ctx, url, limits, "bench", nil); err != nil {
			return nil, err
		}
	}
	if e.conn, err = amqp.Dial(e.rabbitmq.URL()); err != nil {
		return nil, fmt.Errorf("connect to RabbitMQ: %w", err)
	}
	return e, nil
}

// versions notes which servers were measured.
func (e *environment) versions(ctx context.Context, r *report) error {
	r.RabbitMQ, _ = e.conn.Properties["version"].(string)
	err := e.pools[database.Orders].QueryRow(ctx, "SHOW server_version").Scan(&r.PostgreSQL)
	if err != nil {
		return fmt.Errorf("ask for PostgreSQL's version: %w", err)
	}
	return nil
}

// startRelay publishes the events of both databases, as the events process does, until stopRelay is called.
func (e *environment) startRelay(ctx context.Context) error {
	cfg, err := config.LoadFrom[relayConfig](map[string]string{"AMQP_URL": e.rabbitmq.URL()})
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	e.metrics = prometheus.NewRegistry()
	connector := rabbitmq.NewConnector(cfg.RabbitMQ, log, e.metrics)
	topology := rabbitmq.Platform()
	session, err := connector.Open(ctx, "bench")
	if err != nil {
		return err
	}
	err = session.Declare(topology)
	session.Close()
	if err != nil {
		return err
	}
	ctx, e.endRelays = context.WithCancel(ctx)
	for name, exchange := range map[database.Name]string{
		database.Inventory: rabbitmq.InventoryEvents, database.Orders: rabbitmq.OrderEvents,
	} {
		relay := outbox.New(outbox.Options{
			Config:    cfg.Relay,
			Source:    outbox.Source{Service: string(name), Exchange: exchange, Store: outbox.NewStore(e.pools[name])},
			Connector: connector,
			Topology:  topology,
			Log:       log,
			Registry:  e.metrics,
		})
		e.relays.Go(func() error { return relay.Run(ctx) })
	}
	return nil
}

// stopRelay stops both relays in order.
func (e *environment) stopRelay() error {
	if e.endRelays == nil {
		return nil
	}
	e.endRelays()
	e.endRelays = nil
	if err := e.relays.Wait(); err != nil {
		return fmt.Errorf("a relay did not stop cleanly: %w", err)
	}
	return nil
}

// published is how many events of the inventory the relay has published.
func (e *environment) published() (int, error) {
	families, err := e.metrics.Gather()
	if err != nil {
		return 0, fmt.Errorf("read the metrics: %w", err)
	}
	n := 0.0
	for _, f := range families {
		if f.GetName() != "inventory_events_published_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "status" && l.GetValue() == "published" {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return int(n), nil
}

// stop ends everything, the last first.
func (e *environment) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	faults := []error{e.stopRelay()}
	if e.conn != nil {
		_ = e.conn.Close()
	}
	for _, pool := range e.pools {
		pool.Close()
	}
	if e.rabbitmq != nil {
		faults = append(faults, e.rabbitmq.Stop(ctx))
	}
	if e.postgres != nil {
		faults = append(faults, e.postgres.Stop(ctx))
	}
	return errors.Join(append(faults, os.RemoveAll(e.dir))...)
}
