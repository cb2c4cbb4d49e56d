package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/internal/database"
	"holdfast/inventory"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
	"holdfast/tests/localservice"
)

// plenty is more stock than any run can reserve.
const plenty = 1_000_000_000

// environment holds the durable servers of this run, which all scenarios share.
type environment struct {
	options
	dir      string
	postgres *localservice.Postgres
	redis    *localservice.Redis // nil if Redis is not installed
	server   int                 // PostgreSQL's process
	settings map[string]string
}

// serverSettings are the settings that an operator would choose for a database of this size. They do not give
// up durability: fsync, synchronous_commit and full_page_writes stay on.
func serverSettings() []string {
	return []string{"shared_buffers=1GB", "max_wal_size=8GB", "min_wal_size=4GB", "checkpoint_timeout=15min"}
}

// settle brings a fresh server to the state of a server that has run for a while: its log reuses files that it
// has written before. A fresh server makes and zeroes a new file for every 16 MB, here three times a second,
// which happens only in a benchmark.
func settle(ctx context.Context, pool *pgxpool.Pool) error {
	const megabytes = 3500
	const sql = "SELECT pg_logical_emit_message(false, 'bench', repeat('x', 1000000)) FROM generate_series(1, $1)"
	if _, err := pool.Exec(ctx, sql, megabytes); err != nil {
		return fmt.Errorf("fill the log: %w", err)
	}
	for range 2 { // the server keeps the files for reuse after the checkpoint that follows them
		if _, err := pool.Exec(ctx, "CHECKPOINT"); err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
	}
	return nil
}

func start(ctx context.Context, o options) (*environment, error) {
	dir, err := os.MkdirTemp("", "holdfast-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the server runs as another user
		return nil, fmt.Errorf("open the directory to the server: %w", err)
	}
	e := &environment{options: o, dir: dir}
	e.postgres, err = localservice.StartPostgres(ctx, localservice.Options{
		Dir:      filepath.Join(dir, "postgres"),
		Settings: serverSettings(),
	})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if len(localservice.Missing(localservice.RedisPackage)) == 0 {
		redis := localservice.Options{Dir: filepath.Join(dir, "redis"), Volatile: true}
		if e.redis, err = localservice.StartRedis(ctx, redis); err != nil {
			return nil, errors.Join(err, e.stop())
		}
	}
	if err := e.describe(ctx); err != nil {
		return nil, errors.Join(err, e.stop())
	}
	return e, nil
}

func (e *environment) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var faults []error
	if e.redis != nil {
		faults = append(faults, e.redis.Stop(ctx))
	}
	faults = append(faults, e.postgres.Stop(ctx))
	return errors.Join(append(faults, os.RemoveAll(e.dir))...)
}

// describe reads the server's process and the settings that influence the results.
func (e *environment) describe(ctx context.Context) error {
	pool, err := pgxpool.New(ctx, e.postgres.URL("postgres"))
	if err != nil {
		return fmt.Errorf("open the server: %w", err)
	}
	defer pool.Close()
	e.settings = map[string]string{}
	for _, name := range []string{
		"server_version",
		"fsync",
		"synchronous_commit",
		"full_page_writes",
		"shared_buffers",
		"max_wal_size",
		"wal_sync_method",
	} {
		var value string
		if err := pool.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		e.settings[name] = value
	}
	if e.settings["fsync"] != "on" || e.settings["synchronous_commit"] != "on" {
		return errors.New("commits are not durable, so the results would be wrong: turn fsync and synchronous_commit on")
	}

	var backend int
	if err := pool.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		return fmt.Errorf("ask for the backend: %w", err)
	}
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", backend))
	if err != nil {
		return fmt.Errorf("find the server's process: %w", err)
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	if e.server, err = strconv.Atoi(strings.Fields(rest)[1]); err != nil {
		return fmt.Errorf("find the server's process: %w", err)
	}
	return settle(ctx, pool)
}

// shop is a database of one scenario with its products in stock.
type shop struct {
	url      string
	pool     *pgxpool.Pool
	products []uuid.UUID
	items    []int64
}

// open makes a new database for a scenario, so that it does not contain another scenario's rows.
func (e *environment) open(ctx context.Context, name string, products int) (*shop, error) {
	s := &shop{url: e.postgres.URL("bench_" + strings.ReplaceAll(name, "-", "_"))}
	if _, err := database.EnsureDatabase(ctx, s.url); err != nil {
		return nil, err
	}
	if _, err := database.Migrate(ctx, s.url, database.Inventory); err != nil {
		return nil, err
	}
	var err error
	if s.pool, err = s.connect(ctx); err != nil {
		return nil, err
	}
	svc := inventory.New(inventory.Options{Pool: s.pool})
	defer svc.Close()
	if err := svc.PutLocations(ctx, store.Location{Code: "main", Name: "Main", Priority: 1}); err != nil {
		return nil, err
	}

	var batch []stock.Receive
	for len(s.products) < products {
		s.products = append(s.products, uuid.New())
		batch = append(batch, stock.Receive{
			OperationID: uuid.New(),
			ProductID:   s.products[len(s.products)-1],
			Location:    "main",
			Quantity:    plenty,
			Actor:       "bench",
		})
		if len(batch) == 500 || len(s.products) == products {
			if _, err := svc.Receive(ctx, batch...); err != nil {
				return nil, err
			}
			batch = nil
		}
	}
	if _, err := s.pool.Exec(ctx, "VACUUM ANALYZE"); err != nil {
		return nil, fmt.Errorf("analyse: %w", err)
	}
	rows, err := s.pool.Query(ctx, "SELECT item_id FROM items ORDER BY item_id")
	if err != nil {
		return nil, fmt.Errorf("read the items: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("read the items: %w", err)
		}
		s.items = append(s.items, id)
	}
	return s, rows.Err()
}

// connect opens a pool as the service does.
func (s *shop) connect(ctx context.Context) (*pgxpool.Pool, error) {
	return database.Open(ctx, s.url, database.Pool{
		MaxConns:         20,
		ConnectTimeout:   5 * time.Second,
		StatementTimeout: 30 * time.Second,
		LockTimeout:      time.Second,
		IndexOnly:        true,
	}, "bench", nil)
}

// verify fails unless every answered reservation is there with all its rows, and the stock agrees with them: a
// fast wrong answer does not count.
func (s *shop) verify(ctx context.Context, atLeast int64) error {
	var reservations, lines, entries, events, reserved int64
	if err := s.pool.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM reservations),
			(SELECT count(*) FROM reservation_lines),
			(SELECT count(*) FROM stock_ledger WHERE kind = 'reserved'),
			(SELECT count(*) FROM outbox WHERE event_type = 'inventory.reserved'),
			(SELECT sum(reserved) FROM items)`).
		Scan(&reservations, &lines, &entries, &events, &reserved); err != nil {
		return fmt.Errorf("count the rows: %w", err)
	}
	agree := lines == reservations && entries == reservations && events == reservations && reserved == reservations
	if reservations < atLeast || !agree {
		return fmt.Errorf("%d answers, but %d reservations, %d lines, %d entries, %d events, %d reserved",
			atLeast, reservations, lines, entries, events, reserved)
	}
	return nil
}
