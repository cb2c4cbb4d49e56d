package inventory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/database"
	"holdfast/internal/httpx"
	"holdfast/internal/linequantity"
	"holdfast/internal/ratelimit"
	"holdfast/internal/redisclient"
	"holdfast/internal/service"
	"holdfast/internal/servicetoken"
	"holdfast/inventory/cache"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/server"
)

// Config is the configuration of the inventory process, from the environment.
type Config struct {
	DatabaseURL string   `env:"INVENTORY_DATABASE_URL,required,notEmpty"`
	Listen      string   `env:"INVENTORY_LISTEN" envDefault:":8080"`
	ServiceKeys []string `env:"SERVICE_API_KEYS,required,notEmpty"`

	// TTL and Strategy apply to a reservation whose request names none. QueueLimit is the number of operations that may
	// wait for their commit.
	TTL        time.Duration `env:"RESERVATION_TTL" envDefault:"15m"`
	QueueLimit int           `env:"INVENTORY_QUEUE_LIMIT" envDefault:"10000"`
	Strategy   string        `env:"ALLOCATION_STRATEGY" envDefault:"priority"`

	Internal servicetoken.Config
	Lines    linequantity.Config
	Pool     database.Pool
	Redis    redisclient.Config // of the cache and the limits; without it there is no cache, and each process counts alone
	Limits   ratelimit.Config   // of callers that are not our services
}

// Validate checks the rules that the tags cannot express, and reports all faults together.
func (c *Config) Validate() error {
	faults := []error{c.Pool.Validate()}
	if limit := inventoryapi.MaxTTLSeconds * time.Second; c.TTL < time.Second || c.TTL > limit {
		faults = append(faults, fmt.Errorf("RESERVATION_TTL is %s; it lies between 1s and %s", c.TTL, limit))
	}
	if c.QueueLimit < 1 {
		faults = append(faults,
			fmt.Errorf("INVENTORY_QUEUE_LIMIT is %d; at least 1 operation must be able to wait", c.QueueLimit))
	}
	if !inventoryapi.Strategy(c.Strategy).Valid() {
		faults = append(faults,
			fmt.Errorf("ALLOCATION_STRATEGY is %q; it is one of priority, most_stock and fewest_locations", c.Strategy))
	}
	return errors.Join(append(faults, c.Redis.Validate())...)
}

// Run serves the inventory until ctx ends, then fails readiness and lets requests under way finish.
func Run(ctx context.Context, cfg Config, env service.Env) error {
	cfg.Pool.IndexOnly = true // no request scans a table
	cfg.Pool.Holds, cfg.Pool.Log = database.Inventory, env.Log
	cfg.Pool.Tracer = env.Tracing.QueryTracer()
	pool, err := database.Open(ctx, cfg.DatabaseURL, cfg.Pool, "inventory", env.Registry)
	if err != nil {
		return err
	}
	defer pool.Close()

	options := Options{
		Pool:       pool,
		Log:        env.Log,
		Registry:   env.Registry,
		TTL:        cfg.TTL,
		QueueLimit: cfg.QueueLimit,
		Strategy:   inventoryapi.Strategy(cfg.Strategy),
		MostUnits:  cfg.Lines.Most,

		AnnounceRefusals: true,
		ContinueGrants:   true,
	}
	checks := []httpx.Check{{Name: "database", Required: true, Probe: database.Migrated(pool, database.Inventory)}}
	limits := ratelimit.Options{
		Service:  "inventory",
		Timeout:  cfg.Limits.RedisTimeout,
		Log:      env.Log,
		Registry: env.Registry,
	}
	if cfg.Redis.Given() {
		client, err := redisclient.Open(cfg.Redis, "inventory", env.Log, env.Registry)
		if err != nil {
			return err
		}
		defer func() { _ = client.Close() }()
		if err := env.Tracing.Redis(client); err != nil {
			return err
		}
		c := cache.New(cache.Options{Client: client, Log: env.Log, Registry: env.Registry})
		defer c.Close()
		options.Cache, limits.Redis = c, client
		checks = append(checks, httpx.Check{Name: "cache", Probe: c.Ping})
	} else {
		env.Log.Info("availability is not cached: REDIS_URL is not set")
	}

	svc := New(options)
	defer svc.Close() // after the server has stopped: every accepted request has its answer then

	health := httpx.NewHealth(checks...)
	contract, err := httpx.ReadContract(OpenAPI)
	if err != nil {
		return fmt.Errorf("inventory: %w", err)
	}
	router := httpx.NewRouter(httpx.Options{
		Tracing:     env.Tracing,
		Log:         env.Log,
		Registry:    env.Registry,
		Health:      health,
		LargeBodies: contract.LargeBodies(),
	})
	guard, err := auth.NewGuard(cfg.Internal, cfg.ServiceKeys, servicetoken.Inventory, OpenAPI)
	if err != nil {
		return fmt.Errorf("inventory: %w", err)
	}
	guard.LimitRefusals(limitStrangers(ratelimit.New(limits), cfg.Limits))
	if err := server.Register(router, svc, guard, OpenAPI); err != nil {
		return err
	}

	web := httpx.Server{
		Addr:     cfg.Listen,
		Handler:  router,
		Health:   health,
		Log:      env.Log,
		OnListen: env.OnListen,
	}
	return web.Serve(ctx)
}
