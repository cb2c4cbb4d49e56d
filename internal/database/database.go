// Package database opens bounded connection pools and applies the embedded migrations.
package database

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"
)

// Pool bounds a service's connections.
type Pool struct {
	MaxConns int32 `env:"DATABASE_MAX_CONNS" envDefault:"20"`
	// MinConns stay open also while nothing needs them, so that the first requests after a quiet time do not wait for
	// new connections. A pool with a smaller MaxConns keeps so many.
	MinConns        int32         `env:"DATABASE_MIN_CONNS" envDefault:"5"`
	ConnectTimeout  time.Duration `env:"DATABASE_CONNECT_TIMEOUT" envDefault:"5s"`
	MaxConnLifetime time.Duration `env:"DATABASE_MAX_CONN_LIFETIME" envDefault:"1h"`
	MaxConnIdleTime time.Duration `env:"DATABASE_MAX_CONN_IDLE_TIME" envDefault:"10m"`
	// The server ends a statement, a wait for a lock of another transaction, or an idle transaction that takes longer.
	// 0 means no limit.
	StatementTimeout time.Duration `env:"DATABASE_STATEMENT_TIMEOUT" envDefault:"5s"`
	LockTimeout      time.Duration `env:"DATABASE_LOCK_TIMEOUT" envDefault:"1s"`
	IdleTxTimeout    time.Duration `env:"DATABASE_IDLE_TRANSACTION_TIMEOUT" envDefault:"3s"`

	// IndexOnly keeps the planner from scanning whole tables, and makes it plan a prepared statement only once. Without
	// the first, a connection would keep a plan that is right for small tables after they have grown. Without the
	// second, planning a look-up by key each time would take longer than the look-up.
	IndexOnly bool

	// Log gets each statement at debug level, without the values of its parameters, which may be personal data. nil means
	// that no statement is logged.
	Log *slog.Logger

	// Tracer makes a span of each statement; nil means none.
	Tracer pgx.QueryTracer

	// Holds is the database that the URL must lead to: Open's pool refuses a connection to another database of the
	// project. If it is empty, the pool does not check.
	Holds Name
}

// Validate reports every rule that the tags cannot say.
func (p *Pool) Validate() error {
	var faults []error
	if p.MaxConns < 1 {
		faults = append(faults, fmt.Errorf("DATABASE_MAX_CONNS is %d; a pool needs at least 1", p.MaxConns))
	}
	if p.MinConns < 0 {
		faults = append(faults, fmt.Errorf("DATABASE_MIN_CONNS is %d; it is at least 0", p.MinConns))
	}
	for name, d := range map[string]time.Duration{
		"DATABASE_STATEMENT_TIMEOUT":        p.StatementTimeout,
		"DATABASE_LOCK_TIMEOUT":             p.LockTimeout,
		"DATABASE_IDLE_TRANSACTION_TIMEOUT": p.IdleTxTimeout,
	} {
		if d < 0 || d > 0 && d < time.Millisecond {
			faults = append(faults, fmt.Errorf("%s is %s; it is 0 for none, or at least 1ms", name, d))
		}
	}
	return errors.Join(faults...)
}

// parameters are the settings of a session.
func (p *Pool) parameters() map[string]string {
	m := map[string]string{
		"timezone": "UTC",
		"jit":      "off", // compiling takes longer than any statement may
	}
	for name, d := range map[string]time.Duration{
		"statement_timeout":                   p.StatementTimeout,
		"lock_timeout":                        p.LockTimeout,
		"idle_in_transaction_session_timeout": p.IdleTxTimeout,
	} {
		m[name] = strconv.FormatInt(d.Milliseconds(), 10)
	}
	if p.IndexOnly {
		m["enable_seqscan"], m["plan_cache_mode"] = "off", "force_generic_plan"
	}
	return m
}

// Open returns a pool for url and exports its saturation, with the database that it holds as a label. It does not wait
// for the database, so that a service can start without it, report itself not ready, and recover later.
func Open(ctx context.Context, url string, p Pool, service string, reg prometheus.Registerer) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("parse the database URL of %s: %w", service, err)
	}
	cfg.MaxConns = p.MaxConns
	cfg.MinConns = min(p.MinConns, p.MaxConns)
	cfg.MaxConnLifetime = p.MaxConnLifetime
	cfg.MaxConnIdleTime = p.MaxConnIdleTime
	cfg.ConnConfig.ConnectTimeout = p.ConnectTimeout
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "holdfast-" + service
	}
	maps.Copy(cfg.ConnConfig.RuntimeParams, p.parameters())
	cfg.ConnConfig.Tracer = p.tracer()
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		pgxuuid.Register(conn.TypeMap()) // without it, pgx sends every UUID as text, by database/sql's interface
		if p.Holds == "" {
			return nil
		}
		return refuseOther(ctx, conn, p.Holds)
	}

	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open the database pool of %s: %w", service, err)
	}
	if reg != nil {
		reg = prometheus.WrapRegistererWith(prometheus.Labels{"database": string(p.Holds)}, reg)
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
	return errors.As(err, &pg) && pg.Code == pgerrcode.UniqueViolation && pg.ConstraintName == constraint
}

// Refuses reports whether err says that the database refuses a value, so that the same statement with the same values
// can never succeed: a data exception, an integrity violation or a limit of the server (SQLSTATE classes 22, 23 and 54,
// PostgreSQL's appendix A).
func Refuses(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) &&
		(pgerrcode.IsDataException(pg.Code) ||
			pgerrcode.IsIntegrityConstraintViolation(pg.Code) ||
			pgerrcode.IsProgramLimitExceeded(pg.Code))
}

// ErrBusy is in the chain of an error if a write was given up because other transactions changed the same rows.
var ErrBusy = errors.New("others change the same rows")

// IsBusy reports whether err says that other transactions lock or change the same rows: ErrBusy, a lock timeout, a
// deadlock or a serialization failure. The same request may succeed in a moment.
func IsBusy(err error) bool {
	return errors.Is(err, ErrBusy) || hasCode(err, pgerrcode.LockNotAvailable) ||
		hasCode(err, pgerrcode.DeadlockDetected) || hasCode(err, pgerrcode.SerializationFailure)
}

// hasCode reports whether err carries the given SQLSTATE.
func hasCode(err error, sqlstate string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == sqlstate
}

// poolCollector exports a pool's counters at scrape time.
type poolCollector struct{ pool *pgxpool.Pool }

var (
	descMax = prometheus.NewDesc("db_pool_max_connections",
		"Connections that the pool may open.", nil, nil)
	descAcquired = prometheus.NewDesc("db_pool_acquired_connections",
		"Connections in use.", nil, nil)
	descIdle = prometheus.NewDesc("db_pool_idle_connections",
		"Connections open and unused.", nil, nil)
	descWaits = prometheus.NewDesc("db_pool_acquire_waits_total",
		"Acquisitions that had to wait because the pool was empty.", nil, nil)
	descWaited = prometheus.NewDesc("db_pool_acquire_wait_seconds_total",
		"Time spent waiting for a connection.", nil, nil)
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
