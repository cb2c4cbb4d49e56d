package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/bench/load"
)

// The rows of one reservation, one statement each. The service writes the same rows, but also reads whether
// the reservation exists, so that it is compared with a program that does less.
const (
	lockItem = `SELECT version AS version, quantity AS quantity, reserved AS reserved FROM items ` +
		`WHERE item_id = $1 FOR NO KEY UPDATE`

	readItem = `SELECT version, quantity, reserved FROM items WHERE item_id = $1`

	updateItem = `UPDATE items SET reserved = $2, version = version + 1, updated_at = now() ` +
		`WHERE item_id = $1 AND version = $3`

	insertHead = `INSERT INTO reservations (reservation_id, owner_kind, owner_id, number, request_hash, status, ` +
		`expires_at, workflow_id, version, actor, reason, reserve_operation, created_at) ` +
		`VALUES ($1, 'order', $2, 1, decode(repeat('ab', 32), 'hex'), 'pending', ` +
		`now() + interval '15 minutes', 'order-' || $2::uuid, 1, 'bench', '', $3, now())`

	insertLine = `INSERT INTO reservation_lines (reservation_id, line_no, item_id, quantity, returned) ` +
		`VALUES ($1, 1, $2, 1, 0)`

	insertEntry = `INSERT INTO stock_ledger (operation_id, item_id, line, kind, quantity_delta, reserved_delta, ` +
		`quantity_after, reserved_after, version_after, reservation_id, actor, reason, created_at) ` +
		`VALUES ($1, $2, 1, 'reserved', 0, 1, $3, $4, $5, $6, 'bench', '', now())`

	insertEvent = `INSERT INTO outbox (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, ` +
		`schema_version, payload, headers, created_at, available_at) ` +
		`VALUES ($1, 'reservation', $2, 1, 'inventory.reserved', 1, ` +
		`json_build_object('reservationId', $2::uuid, 'ownerKind', 'order', 'ownerId', $3::uuid, 'number', 1, ` +
		`'workflowId', 'order-' || $3::uuid, 'operationId', $4::uuid, 'status', 'pending', ` +
		`'expiresAt', now() + interval '15 minutes', ` +
		`'lines', json_build_array(json_build_object('lineNo', 1, 'productId', $4::uuid, 'location', 'main', ` +
		`'quantity', 1, 'stock', json_build_object('quantity', $5::bigint, 'reserved', $6::bigint, ` +
		`'available', $5::bigint - $6::bigint, 'version', $7::bigint)))), '{}', now(), now())`
)

// gsetColumns are the columns that pgbench reads together with the item and keeps as variables.
const gsetColumns = "gen_random_uuid() AS id, gen_random_uuid() AS owner, gen_random_uuid() AS op, " +
	"gen_random_uuid() AS event, reserved + 1 AS after, version + 1 AS next, "

// pgbench runs the statements above with PostgreSQL's own load generator, on as many connections as a service has.
func pgbench(name string, products int) func(context.Context, *environment) ([]result, error) {
	return func(ctx context.Context, e *environment) ([]result, error) {
		s, err := e.open(ctx, name, products)
		if err != nil {
			return nil, err
		}
		defer s.pool.Close()
		script := filepath.Join(e.dir, name+".sql")
		if err := os.WriteFile(script, []byte(pgbenchScript(s.items)), 0o600); err != nil {
			return nil, fmt.Errorf("write the script: %w", err)
		}
		program, err := findPgbench()
		if err != nil {
			return nil, err
		}

		before := treeCPU(e.server)
		const clients = 20
		seconds := int(max(e.duration, time.Second).Seconds())
		cmd := exec.CommandContext(ctx, program,
			"-n",
			"-M", "prepared",
			"-c", strconv.Itoa(clients),
			"-j", "2",
			"-T", strconv.Itoa(seconds),
			"-f", script,
			s.url)
		raw, err := cmd.CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("pgbench: %w\n%s", err, raw)
		}
		rate := number(raw, `tps = ([\d.]+)`)
		if rate == 0 {
			return nil, fmt.Errorf("pgbench printed no rate:\n%s", raw)
		}

		done, err := s.reservations(ctx)
		if err != nil {
			return nil, err
		}
		r := result{Name: name, What: fmt.Sprintf("pgbench -M prepared -c %d -j 2, %d products", clients, products)}
		r.Callers, r.Done, r.Rate, r.P50 = clients, done, rate, number(raw, `latency average = ([\d.]+)`)
		r.PostgresCPU = perRequest(treeCPU(e.server)-before, done)
		return []result{r}, s.verify(ctx, done)
	}
}

func number(raw []byte, pattern string) float64 {
	m := regexp.MustCompile(pattern).FindSubmatch(raw)
	if m == nil {
		return 0
	}
	f, _ := strconv.ParseFloat(string(m[1]), 64)
	return f
}

// pgbenchScript writes the statements with pgbench's variables.
func pgbenchScript(items []int64) string {
	fill := func(sql string, variables ...string) string {
		for i := len(variables); i > 0; i-- {
			sql = strings.ReplaceAll(sql, "$"+strconv.Itoa(i), ":"+variables[i-1])
		}
		return sql + ";\n"
	}
	lock := strings.Replace(lockItem, "SELECT ", "SELECT "+gsetColumns, 1)
	return fmt.Sprintf("\\set item random(%d, %d)\n", items[0], items[len(items)-1]) +
		"BEGIN;\n" +
		strings.TrimSuffix(fill(lock, "item"), ";\n") + " \\gset\n" +
		fill(updateItem, "item", "after", "version") +
		fill(insertHead, "id", "owner", "op") +
		fill(insertLine, "id", "item") +
		fill(insertEntry, "op", "item", "quantity", "after", "next", "id") +
		fill(insertEvent, "event", "id", "owner", "op", "quantity", "after", "next") +
		"COMMIT;\n"
}

func findPgbench() (string, error) {
	if path, err := exec.LookPath("pgbench"); err == nil {
		return path, nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pgbench")
	if len(found) == 0 {
		return "", errors.New("pgbench is not installed; it comes with PostgreSQL's server packages " +
			"(Debian: apt-get install postgresql)")
	}
	return found[len(found)-1], nil
}

// retryLoop does what most services do: read, decide, update if the version is still the same, and else
// begin again.
func retryLoop(ctx context.Context, e *environment) ([]result, error) {
	s, err := e.open(ctx, "retry-loop", 1)
	if err != nil {
		return nil, err
	}
	defer s.pool.Close()
	cpu := e.measureCPU()
	sum := load.Closed(ctx, e.callers, warm, e.duration, func(ctx context.Context, _ int) error {
		for {
			ok, err := optimistic(ctx, s.pool, s.items[0])
			if ok || err != nil {
				return err
			}
		}
	})
	own, server := cpu()
	all, err := s.reservations(ctx)
	if err != nil {
		return nil, err
	}
	r := result{
		Name:        "retry-loop",
		What:        "one product",
		Sample:      sum,
		ServiceCPU:  perRequest(own, all),
		PostgresCPU: perRequest(server, all),
	}
	return []result{r}, s.verify(ctx, sum.Done)
}

// optimistic tries one reservation and reports whether it won its race.
func optimistic(ctx context.Context, pool *pgxpool.Pool, item int64) (bool, error) {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	var version, quantity, reserved int64
	if err := tx.QueryRow(ctx, readItem, item).Scan(&version, &quantity, &reserved); err != nil {
		return false, err
	}
	tag, err := tx.Exec(ctx, updateItem, item, reserved+1, version)
	if err != nil || tag.RowsAffected() == 0 {
		return false, err
	}
	b := rows(item, version, quantity, reserved)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return false, err
	}
	return true, tx.Commit(ctx)
}

func rows(item, version, quantity, reserved int64) *pgx.Batch {
	id, owner, op, event := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	b := &pgx.Batch{}
	b.Queue(insertHead, id, owner, op)
	b.Queue(insertLine, id, item)
	b.Queue(insertEntry, op, item, quantity, reserved+1, version+1, id)
	b.Queue(insertEvent, event, id, owner, op, quantity, reserved+1, version+1)
	return b
}

// bareTransaction measures a lone caller who runs pgbench's statements in the smallest number of round trips:
// one for the lock and its read, one for everything else with the commit.
func bareTransaction(ctx context.Context, e *environment) ([]result, error) {
	s, err := e.open(ctx, "bare-transaction", 1)
	if err != nil {
		return nil, err
	}
	defer s.pool.Close()
	sum := load.Closed(ctx, 1, warm, e.duration, func(ctx context.Context, _ int) error {
		conn, err := s.pool.Acquire(ctx)
		if err != nil {
			return err
		}
		defer conn.Release()

		first := &pgx.Batch{}
		first.Queue("BEGIN")
		first.Queue(lockItem, s.items[0])
		answers := conn.SendBatch(ctx, first)
		var version, quantity, reserved int64
		if _, err := answers.Exec(); err != nil {
			return errors.Join(err, answers.Close())
		}
		if err := errors.Join(answers.QueryRow().Scan(&version, &quantity, &reserved), answers.Close()); err != nil {
			return err
		}

		b := rows(s.items[0], version, quantity, reserved)
		b.Queue(updateItem, s.items[0], reserved+1, version)
		b.Queue("COMMIT")
		return conn.SendBatch(ctx, b).Close()
	})
	r := result{Name: "bare-transaction", What: "one product, a lone caller", Sample: sum}
	return []result{r}, s.verify(ctx, sum.Done)
}
