package inventory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/internal/database"
	"holdfast/internal/httpx"
	"holdfast/internal/service"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/server"
)

// Config is the configuration of the inventory process, from the environment.
type Config struct {
	DatabaseURL string        `env:"INVENTORY_DATABASE_URL,required,notEmpty"`
	Listen      string        `env:"INVENTORY_LISTEN" envDefault:":8080"`
	ServiceKeys []string      `env:"SERVICE_API_KEYS,required,notEmpty"`
	TTL         time.Duration `env:"RESERVATION_TTL" envDefault:"15m"`         // where a request names none
	QueueLimit  int           `env:"INVENTORY_QUEUE_LIMIT" envDefault:"10000"` // operations that may wait for their commit
	Pool        database.Pool
}

// Validate reports every rule that the tags cannot say.
func (c *Config) Validate() error {
	faults := []error{c.Pool.Validate()}
	if limit := inventoryapi.MaxTTLSeconds * time.Second; c.TTL < time.Second || c.TTL > limit {
		faults = append(faults, fmt.Errorf("RESERVATION_TTL is %s; it lies between 1s and %s", c.TTL, limit))
	}
	if c.QueueLimit < 1 {
		faults = append(faults, fmt.Errorf("INVENTORY_QUEUE_LIMIT is %d; at least 1 operation must be able to wait", c.QueueLimit))
	}
	return errors.Join(faults...)
}

// Run serves the inventory until ctx ends, then fails readiness and lets requests under way finish.
func Run(ctx context.Context, cfg Config, env service.Env) error {
	cfg.Pool.IndexOnly = true // no request scans a table
	pool, err := database.Open(ctx, cfg.DatabaseURL, cfg.Pool, "inventory", env.Registry)
	if err != nil {
		return err
	}
	defer pool.Close()
	svc := New(Options{Pool: pool, Log: env.Log, Registry: env.Registry, TTL: cfg.TTL, QueueLimit: cfg.QueueLimit})
	defer svc.Close() // after the server: every request that was accepted has its answer then
	health := httpx.NewHealth(httpx.Check{Name: "database", Required: true, Probe: svc.Ping})
	router := httpx.NewRouter(httpx.Options{Log: env.Log, Registry: env.Registry, Health: health})
	server.Register(router, svc, cfg.ServiceKeys)
	return httpx.Server{Addr: cfg.Listen, Handler: router, Health: health, Log: env.Log, OnListen: env.OnListen}.Serve(ctx)
}
