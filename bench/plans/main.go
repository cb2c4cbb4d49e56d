// Command plans fills a database of its own with a large inventory, by default a million items and ten million
// reservations, and reports how PostgreSQL carries out every query of a request on it: the plan in one line, its
// time and the pages that it reads, for one, a hundred and 512 requests at once, planned for these arguments and
// for any arguments. Then it archives while callers make reservations, and reports how much space that frees.
// It fails if a plan reads a whole table.
//
//	make plans-inventory
//	go run ./bench/plans -reservations 10000 -products 200
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/internal/database"
	"holdfast/tests/localservice"
)

type options struct {
	out                    string
	reservations, products int64
	archive                time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "plans:", err)
		os.Exit(1)
	}
}

// The settings that an operator would choose for a database of this size. Only the fill is not durable.
var (
	serverSettings = []string{
		"shared_buffers=2GB",
		"effective_cache_size=6GB",
		"random_page_cost=1.1",
		"max_wal_size=4GB",
		"checkpoint_timeout=15min",
	}
	fillSettings = []string{
		"shared_buffers=2GB",
		"maintenance_work_mem=1GB",
		"work_mem=512MB",
		"max_wal_size=4GB",
		"checkpoint_timeout=1h",
		"autovacuum=off",
		"fsync=off",
		"synchronous_commit=off",
		"full_page_writes=off",
		"wal_level=minimal",
		"max_wal_senders=0",
	}
)

func run(ctx context.Context) (err error) {
	var o options
	flag.StringVar(&o.out, "out", "", "write the report to this file as well")
	flag.Int64Var(&o.reservations, "reservations", 10_000_000, "how many reservations there are")
	flag.Int64Var(&o.products, "products", 200_000,
		"how many products there are, each at five locations, beside the hot one")
	flag.DurationVar(&o.archive, "archive", 3*time.Minute, "how long to archive at most")
	flag.Parse()

	dir, err := os.MkdirTemp("", "holdfast-plans-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // the server runs as another user
		return fmt.Errorf("open the directory to the server: %w", err)
	}

	report := &report{options: o}
	if err := serve(ctx, dir, fillSettings, func(url string) error { return fill(ctx, url, o, report) }); err != nil {
		return err
	}
	err = serve(ctx, dir, serverSettings, func(url string) error { return look(ctx, url, o, report) })

	text := report.text()
	fmt.Print(text)
	if o.out != "" {
		err = errors.Join(err, os.WriteFile(o.out, []byte(text), 0o644))
	}
	return err
}

// serve runs work beside a server on dir.
func serve(ctx context.Context, dir string, settings []string, work func(url string) error) error {
	server, err := localservice.StartPostgres(ctx, localservice.Options{
		Dir:      filepath.Join(dir, "postgres"),
		Settings: settings,
	})
	if err != nil {
		return err
	}
	err = work(server.URL("plans"))
	stopping, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	return errors.Join(err, server.Stop(stopping))
}

// look measures sizes, plans and archiving on the filled database.
func look(ctx context.Context, url string, o options, r *report) error {
	// The pool has the limits of the inventory process.
	pool, err := database.Open(ctx, url, database.Pool{
		MaxConns:         20,
		ConnectTimeout:   5 * time.Second,
		StatementTimeout: 5 * time.Second,
		LockTimeout:      time.Second,
		IndexOnly:        true,
	}, "plans", nil)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := pool.QueryRow(ctx, "SELECT version()").Scan(&r.server); err != nil {
		return fmt.Errorf("ask for the version: %w", err)
	}
	r.server, _, _ = strings.Cut(r.server, " on ")
	if r.before, err = sizes(ctx, pool); err != nil {
		return err
	}
	if err := explainAll(ctx, pool, o, r); err != nil {
		return err
	}
	if err := archiveBeside(ctx, url, pool, o, r); err != nil {
		return err
	}
	if whole := r.whole(); len(whole) > 0 {
		return fmt.Errorf("these queries read whole tables: %s", strings.Join(whole, ", "))
	}
	return nil
}

// size is the size of a table or an index.
type size struct {
	name  string
	index bool
	bytes int64
	rows  int64
}

// sizes measures the tables that grow, and their indexes, the largest first.
func sizes(ctx context.Context, pool *pgxpool.Pool) ([]size, error) {
	rows, err := pool.Query(ctx, `
		SELECT n.nspname || '.' || t.relname || CASE WHEN i.oid IS NULL THEN '' ELSE ' · ' || i.relname END,
			i.oid IS NOT NULL,
			pg_relation_size(coalesce(i.oid, t.oid)), greatest(t.reltuples, 0)::bigint
		FROM pg_class t
		JOIN pg_namespace n ON n.oid = t.relnamespace
		CROSS JOIN LATERAL (SELECT NULL::oid AS oid, NULL::name AS relname UNION ALL
			SELECT c.oid, c.relname FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid WHERE x.indrelid = t.oid) i
		WHERE t.relkind = 'r' AND n.nspname IN ('public', 'archive') AND pg_relation_size(t.oid) > 100000
		ORDER BY pg_total_relation_size(t.oid) DESC, i.oid IS NOT NULL, 3 DESC`)
	if err != nil {
		return nil, fmt.Errorf("measure the tables: %w", err)
	}
	defer rows.Close()
	var out []size
	for rows.Next() {
		var s size
		if err := rows.Scan(&s.name, &s.index, &s.bytes, &s.rows); err != nil {
			return nil, fmt.Errorf("measure the tables: %w", err)
		}
		out = append(out, s)
	}
	return out, rows.Err()
}
