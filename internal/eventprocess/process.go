// Package eventprocess is the process that publishes the events of both databases to RabbitMQ, applies each side's
// events to the other side, sends the webhooks of merchants, tells customers what happened to their orders, exports the
// metrics that need a query, and serves the administration of dead messages, webhooks and notifications.
package eventprocess

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"holdfast/internal/auth"
	"holdfast/internal/consumer"
	"holdfast/internal/database"
	"holdfast/internal/deadletter"
	"holdfast/internal/deadletter/server"
	"holdfast/internal/httpx"
	"holdfast/internal/merchantwebhook"
	webhookserver "holdfast/internal/merchantwebhook/server"
	"holdfast/internal/notification"
	notifications "holdfast/internal/notification/server"
	"holdfast/internal/outbox"
	"holdfast/internal/rabbitmq"
	"holdfast/internal/service"
	"holdfast/internal/servicetoken"
	"holdfast/internal/temporalclient"
	"holdfast/inventory/inventoryclient"
	"holdfast/inventory/stockwatch"
)

// Config is the configuration of the events process, from the environment.
type Config struct {
	OrdersURL    string `env:"ORDERS_DATABASE_URL,required,notEmpty"`
	InventoryURL string `env:"INVENTORY_DATABASE_URL,required,notEmpty"`
	Listen       string `env:"EVENTS_LISTEN" envDefault:":9091"`
	// The consumers call inventory and Temporal.
	InventoryAPI inventoryclient.Config
	ServiceKeys  []string `env:"SERVICE_API_KEYS,required,notEmpty"`
	Internal     servicetoken.Config
	Temporal     temporalclient.Config

	Pool     database.Pool
	RabbitMQ rabbitmq.Config
	Relay    outbox.Config
	Consumer consumer.Config
	Webhooks merchantwebhook.Config
	Notify   notification.Config
}

// maxConns is how many connections to each database the process needs: one for the batch in flight, and a few for the
// consumers' workers, for webhooks, for notifications, for operators, for upkeep and for /ready.
const maxConns = 18

// outboxes says whose events go to which exchange.
var outboxes = []struct {
	database database.Name
	exchange string
}{
	{database.Inventory, rabbitmq.InventoryEvents},
	{database.Orders, rabbitmq.OrderEvents},
}

// Run publishes and consumes events until ctx ends. It then fails readiness and finishes what is in flight.
func Run(ctx context.Context, cfg Config, env service.Env) error {
	topology := rabbitmq.Platform()
	connector := rabbitmq.NewConnector(cfg.RabbitMQ, env.Log, env.Registry)
	monitor := rabbitmq.NewMonitor(connector, topology, env.Registry)
	checks := []httpx.Check{{Name: "rabbitmq", Required: true, Probe: monitor.Ping}}
	parts := []service.Part{{Name: "monitor", Run: monitor.Run}}
	pools := map[database.Name]*pgxpool.Pool{}
	for _, o := range outboxes {
		pool, err := open(ctx, cfg, o.database, env)
		if err != nil {
			return err
		}
		defer pool.Close()
		pools[o.database] = pool
		relay := outbox.New(outbox.Options{
			Config:    cfg.Relay,
			Source:    outbox.Source{Service: string(o.database), Exchange: o.exchange, Store: outbox.NewStore(pool)},
			Connector: connector,
			Topology:  topology,
			Log:       env.Log,
			Registry:  env.Registry,
			Tracer:    env.Tracing.Tracer(),
		})
		checks = append(checks, httpx.Check{
			Name: string(o.database) + "_database", Required: true, Probe: database.Migrated(pool, o.database),
		})
		parts = append(parts, service.Part{Name: string(o.database) + " relay", Run: relay.Run})
	}

	c, err := newConsumers(cfg, env, pools, connector, topology)
	if err != nil {
		return err
	}
	defer c.close()
	checks, parts = append(checks, c.checks...), append(parts, c.parts...)
	stock := stockwatch.New(pools[database.Inventory], env.Log, env.Registry)
	parts = append(parts, service.Part{Name: "metrics of the stock", Run: stock.Run})

	health := httpx.NewHealth(checks...)
	router := httpx.NewRouter(httpx.Options{
		Log: env.Log, Registry: env.Registry, Health: health, Tracing: env.Tracing,
	})
	guard, err := auth.NewGuard(cfg.Internal, cfg.ServiceKeys, servicetoken.Events,
		deadletter.OpenAPI, merchantwebhook.OpenAPI, notification.OpenAPI)
	if err != nil {
		return fmt.Errorf("events: %w", err)
	}
	if err := server.Register(router, c.dead, c.mover, guard); err != nil {
		return err
	}
	err = webhookserver.Register(router, c.webhooks, merchantwebhook.NewAddresses(cfg.Webhooks), guard)
	if err != nil {
		return err
	}
	if err := notifications.Register(router, c.told, guard); err != nil {
		return err
	}
	web := httpx.Server{
		Addr:     cfg.Listen,
		Handler:  router,
		Health:   health,
		Log:      env.Log,
		OnListen: env.OnListen,
	}
	return service.Run(ctx, append(parts, service.Part{Name: "administration", Run: web.Serve})...)
}

// open opens the pool of one database.
func open(ctx context.Context, cfg Config, name database.Name, env service.Env) (*pgxpool.Pool, error) {
	urls := map[database.Name]string{database.Orders: cfg.OrdersURL, database.Inventory: cfg.InventoryURL}
	limits := cfg.Pool
	limits.MaxConns = min(limits.MaxConns, maxConns)
	limits.IndexOnly = true
	limits.Holds, limits.Log = name, env.Log
	limits.Tracer = env.Tracing.QueryTracer()
	return database.Open(ctx, urls[name], limits, "events-"+string(name), env.Registry)
}

// Declare declares exchanges and queues and ends. It writes what it has declared to out. It is idempotent.
func Declare(ctx context.Context, cfg rabbitmq.Config, out io.Writer, log *slog.Logger) error {
	session, err := rabbitmq.NewConnector(cfg, log, prometheus.NewRegistry()).Open(ctx, "declare")
	if err != nil {
		return err
	}
	defer session.Close()
	topology := rabbitmq.Platform()
	if err := session.Declare(topology); err != nil {
		return err
	}

	for _, e := range topology.Exchanges {
		fmt.Fprintf(out, "exchange  %s\n", e.Name)
	}
	for _, q := range topology.Queues {
		fmt.Fprintf(out, "queue     %s\n", q.Name)
	}
	return nil
}
