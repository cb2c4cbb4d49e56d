package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/db/inventorydb"
)

// capture stands in for a connection and keeps what a generated query sends.
type capture struct {
	sql  string
	args []any
}

var errCaptured = errors.New("captured")

func (c *capture) Exec(_ context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	c.sql, c.args = sql, args
	return pgconn.CommandTag{}, errCaptured
}

func (c *capture) Query(_ context.Context, sql string, args ...any) (pgx.Rows, error) {
	c.sql, c.args = sql, args
	return nil, errCaptured
}

func (c *capture) QueryRow(_ context.Context, sql string, args ...any) pgx.Row {
	c.sql, c.args = sql, args
	return capturedRow{}
}

type capturedRow struct{}

func (capturedRow) Scan(...any) error { return errCaptured }

// finding is the plan and the times of one query with one set of arguments.
type finding struct {
	name, on     string
	batch        int
	mode         string // custom or generic
	plan         string
	planned      time.Duration
	first, again time.Duration // of a run with the tables as they lie on disk or in memory, and of one in memory
	pages        int64         // that the query read
	whole        []string      // tables that the query read whole
}

var batches = []int{1, 100, 512}

func explainAll(ctx context.Context, pool *pgxpool.Pool, o options, r *report) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("take a connection: %w", err)
	}
	defer conn.Release()
	for _, n := range batches {
		s, err := take(ctx, pool, o, n)
		if err != nil {
			return err
		}
		list := calls(s)
		if n == 1 {
			list = append(list, reads(s)...)
		}
		for _, c := range list {
			if c.one && n > 1 {
				continue
			}
			for _, mode := range []string{"custom", "generic"} {
				f, err := explain(ctx, conn.Conn(), c, mode)
				if err != nil {
					return fmt.Errorf("explain %s (%s, %d): %w", c.name, c.on, n, err)
				}
				f.batch = n
				r.findings = append(r.findings, f)
			}
			fmt.Fprintf(os.Stderr, "%-26s %-30s %d\n", c.name, c.on, n)
		}
	}
	return nil
}

// explain runs a query twice, in transactions that are rolled back.
func explain(ctx context.Context, conn *pgx.Conn, c call, mode string) (finding, error) {
	f := finding{name: c.name, on: c.on, mode: mode}
	sent := &capture{}
	if err := c.run(ctx, inventorydb.New(), sent); err != nil && !errors.Is(err, errCaptured) {
		return f, err
	}
	values, err := literals(ctx, conn, sent)
	if err != nil {
		return f, err
	}

	setup := []string{
		"SET plan_cache_mode = force_" + mode + "_plan",
		"DEALLOCATE ALL",
		"PREPARE looked_at AS " + sent.sql,
	}
	for _, sql := range setup {
		if _, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			return f, fmt.Errorf("%.60s: %w", sql, err)
		}
	}
	execute := "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE looked_at"
	if len(values) > 0 {
		execute += " (" + strings.Join(values, ", ") + ")"
	}

	for turn := range 2 {
		plan, err := rolledBack(ctx, conn, execute)
		if err != nil {
			return f, err
		}
		took := time.Duration(plan.ExecutionTime * float64(time.Millisecond))
		if turn == 0 {
			f.first, f.planned = took, time.Duration(plan.PlanningTime*float64(time.Millisecond))
			continue
		}
		f.again = took
		f.pages = int64(number(plan.Plan, "Shared Hit Blocks") + number(plan.Plan, "Shared Read Blocks"))
		f.plan, f.whole = outline(plan.Plan), whole(plan.Plan)
	}
	return f, nil
}

// explained is the output of EXPLAIN.
type explained struct {
	Plan          map[string]any
	PlanningTime  float64 `json:"Planning Time"`
	ExecutionTime float64 `json:"Execution Time"`
}

func rolledBack(ctx context.Context, conn *pgx.Conn, sql string) (explained, error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return explained{}, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	var raw []byte
	if err := tx.QueryRow(ctx, sql, pgx.QueryExecModeSimpleProtocol).Scan(&raw); err != nil {
		return explained{}, err
	}
	var plans []explained
	if err := json.Unmarshal(raw, &plans); err != nil {
		return explained{}, fmt.Errorf("read the plan: %w", err)
	}
	return plans[0], nil
}

// literals writes the arguments as SQL, because EXECUTE takes no parameters of its own.
func literals(ctx context.Context, conn *pgx.Conn, c *capture) ([]string, error) {
	described, err := conn.Prepare(ctx, "", c.sql)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(c.args))
	for i, arg := range c.args {
		text, err := conn.TypeMap().Encode(described.ParamOIDs[i], pgtype.TextFormatCode, arg, nil)
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		if out[i] = "NULL"; text != nil {
			out[i] = "'" + strings.ReplaceAll(string(text), "'", "''") + "'"
		}
	}
	return out, nil
}

func number(node map[string]any, key string) float64 {
	n, _ := node[key].(float64)
	return n
}

func children(node map[string]any) (out []map[string]any) {
	list, _ := node["Plans"].([]any)
	for _, c := range list {
		out = append(out, c.(map[string]any))
	}
	return out
}

// outline writes a plan in one line: its nodes from the top, with the table or index that each reads.
func outline(node map[string]any) string {
	name, _ := node["Node Type"].(string)
	if on, ok := node["Index Name"].(string); ok {
		name += " " + on
	} else if on, ok := node["Relation Name"].(string); ok {
		name += " " + on
	}
	var below []string
	for _, c := range children(node) {
		below = append(below, outline(c))
	}
	switch len(below) {
	case 0:
		return name
	case 1:
		return name + " ← " + below[0]
	default:
		return name + " ← (" + strings.Join(below, ", ") + ")"
	}
}

// whole names the tables that a plan reads from one end to the other. It leaves out tables that do not grow.
func whole(node map[string]any) (out []string) {
	table, _ := node["Relation Name"].(string)
	kind, _ := node["Node Type"].(string)
	// An index scan without a condition reads the whole table too, unless a node above stops it after a page.
	all := kind == "Seq Scan" || (kind == "Index Scan" || kind == "Index Only Scan") && node["Index Cond"] == nil
	if all && !slices.Contains([]string{"locations", "stock_imports"}, table) {
		out = append(out, table)
	}
	for _, c := range children(node) {
		out = append(out, whole(c)...)
	}
	return out
}
