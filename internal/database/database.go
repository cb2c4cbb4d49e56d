// Package database opens bounded connection pools and applies the embedded migrations.
package database

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// Pool bounds a service's connections. The defaults are those of SPEC.md 2.1.
type Pool struct {
	MaxConns        int32         `env:"DATABASE_MAX_CONNS" envDefault:"20"`
	ConnectTimeout  time.Duration `env:"DATABASE_CONNECT_TIMEOUT" envDefault:"5s"`
	MaxConnLifetime time.Duration `env:"DATABASE_MAX_CONN_LIFETIME" envDefault:"1h"`
	MaxConnIdleTime time.Duration `env:"DATABASE_MAX_CONN_IDLE_TIME" envDefault:"10m"`
}

// Open returns a pool for url and exports its saturation under the given service name. It does not
// wait for the database: a service starts, reports itself not ready, and recovers by itself.
func Open(ctx context.Context, url string, p Pool, service string, reg prometheus.Registerer) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("parse the database URL of %s: %w", service, err)
	}
	cfg.MaxConns = p.MaxConns
	cfg.MaxConnLifetime = p.MaxConnLifetime
	cfg.MaxConnIdleTime = p.MaxConnIdleTime
	cfg.ConnConfig.ConnectTimeout = p.ConnectTimeout
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "holdfast-" + service
	}
	cfg.ConnConfig.RuntimeParams["timezone"] = "UTC"
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open the database pool of %s: %w", service, err)
	}
	if reg != nil {
		if err := reg.Register(poolCollector{pool}); err != nil {
			pool.Close()
			return nil, fmt.Errorf("register the pool metrics of %s: %w", service, err)
		}
	}
	return pool, nil
}

// IsUniqueViolation reports whether err is a violation of the named unique constraint.
func IsUniqueViolation(err error, constraint string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "23505" && pg.ConstraintName == constraint
}

// hasCode reports whether err carries the given SQLSTATE.
func hasCode(err error, sqlstate string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == sqlstate
}

// poolCollector exports a pool's counters at scrape time.
type poolCollector struct{ pool *pgxpool.Pool }

var (
	descMax      = prometheus.NewDesc("db_pool_max_connections", "Connections that the pool may open.", nil, nil)
	descAcquired = prometheus.NewDesc("db_pool_acquired_connections", "Connections in use.", nil, nil)
	descIdle     = prometheus.NewDesc("db_pool_idle_connections", "Connections open and unused.", nil, nil)
	descWaits    = prometheus.NewDesc("db_pool_acquire_waits_total", "Acquisitions that had to wait because the pool was empty.", nil, nil)
	descWaited   = prometheus.NewDesc("db_pool_acquire_wait_seconds_total", "Time spent waiting for a connection.", nil, nil)
)

func (c poolCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- descMax
	ch <- descAcquired
	ch <- descIdle
	ch <- descWaits
	ch <- descWaited
}

func (c poolCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.pool.Stat()
	ch <- prometheus.MustNewConstMetric(descMax, prometheus.GaugeValue, float64(s.MaxConns()))
	ch <- prometheus.MustNewConstMetric(descAcquired, prometheus.GaugeValue, float64(s.AcquiredConns()))
	ch <- prometheus.MustNewConstMetric(descIdle, prometheus.GaugeValue, float64(s.IdleConns()))
	ch <- prometheus.MustNewConstMetric(descWaits, prometheus.CounterValue, float64(s.EmptyAcquireCount()))
	ch <- prometheus.MustNewConstMetric(descWaited, prometheus.CounterValue, s.EmptyAcquireWaitTime().Seconds())
}
