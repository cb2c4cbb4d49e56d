package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// capture stands in for a connection and keeps the statement and the arguments that a generated query sends.
type capture struct {
	sql  string
	args []any
}

var errRecorded = errors.New("recorded")

func (r *capture) Exec(_ context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	r.sql, r.args = sql, args
	return pgconn.CommandTag{}, nil
}

func (r *capture) Query(_ context.Context, sql string, args ...any) (pgx.Rows, error) {
	r.sql, r.args = sql, args
	return nil, errRecorded
}

func (r *capture) QueryRow(_ context.Context, sql string, args ...any) pgx.Row {
	r.sql, r.args = sql, args
	return noCapturedRow{}
}

type noCapturedRow struct{}

func (noCapturedRow) Scan(...any) error { return errRecorded }

// explain returns the plan of the captured statement with its arguments. It runs the statement only if ANALYZE is an
// option.
func explain(t *testing.T, conn *pgx.Conn, r *capture, options ...string) map[string]any {
	t.Helper()
	sql := "EXPLAIN (" + strings.Join(append(options, "FORMAT JSON"), ", ") + ") " + r.sql
	var raw []byte
	require.NoError(t, conn.QueryRow(t.Context(), sql, r.args...).Scan(&raw), r.sql)
	var plans []struct{ Plan map[string]any }
	require.NoError(t, json.Unmarshal(raw, &plans))
	return plans[0].Plan
}

// growing lists the tables that grow with the number of products or requests.
var growing = []string{
	"items",
	"reservations",
	"reservation_lines",
	"stock_ledger",
	"outbox",
	"processed_events",
	"ledger_balances",
	"backorders",
	"backorder_lines",
	"incoming_stock",
	"reorder_proposals",
}

// scans returns the growing tables that a plan reads whole.
func scans(node map[string]any) (found []string) {
	table, _ := node["Relation Name"].(string)
	kind, _ := node["Node Type"].(string)
	// An index scan without a condition reads the whole table, too.
	all := kind == "Seq Scan" || (kind == "Index Scan" || kind == "Index Only Scan") && node["Index Cond"] == nil
	if all && slices.Contains(growing, table) {
		found = append(found, table)
	}
	children, _ := node["Plans"].([]any)
	for _, c := range children {
		found = append(found, scans(c.(map[string]any))...)
	}
	return found
}

// read returns the number of rows of a table that an executed plan has read.
func read(node map[string]any, table string) (rows float64) {
	if node["Relation Name"] == table {
		rows = node["Actual Rows"].(float64) * node["Actual Loops"].(float64)
	}
	children, _ := node["Plans"].([]any)
	for _, c := range children {
		rows += read(c.(map[string]any), table)
	}
	return rows
}

// outline formats a plan for a test message: the nodes with their tables and indexes.
func outline(node map[string]any, depth string) string {
	text := depth + fmt.Sprint(node["Node Type"])
	for _, key := range []string{"Relation Name", "Index Name"} {
		if name, ok := node[key].(string); ok {
			text += " " + name
		}
	}
	text += fmt.Sprintf(" rows=%v cost=%v\n", node["Plan Rows"], node["Total Cost"])
	children, _ := node["Plans"].([]any)
	for _, c := range children {
		text += outline(c.(map[string]any), depth+"  ")
	}
	return text
}

// figures names some of the rows that fill made.
type figures struct {
	now                                time.Time
	hot                                uuid.UUID // a product that many reservations hold
	products, reservations, operations []uuid.UUID
	backorders                         []uuid.UUID
	incoming                           []uuid.UUID
	items                              []int64
}

// fill makes 20,000 items at four locations and 50,000 reservations. 500 reservations are pending, and a fifth hold one
// product. A tenth of the items has an open reorder proposal.
func fill(t *testing.T, conn *pgx.Conn) (f figures) {
	t.Helper()
	_, err := conn.Exec(t.Context(), `
		INSERT INTO locations (code, name, priority) SELECT 'l' || n, 'l' || n, n FROM generate_series(1, 4) n;
		INSERT INTO items (product_id, location_id, quantity, reserved)
		SELECT md5('product ' || n / 4)::uuid, 1 + n % 4, 10 + n % 500, n % 5 FROM generate_series(0, 19999) n;
		CREATE TEMP TABLE made AS
		SELECT n, md5('reservation ' || n)::uuid AS id,
			CASE WHEN n % 5 = 0 THEN 1 + n % 4 ELSE 1 + n % 20000 END AS item_id,
			CASE WHEN n % 100 = 0 THEN 'pending' WHEN n % 3 = 0 THEN 'confirmed' ELSE 'released' END AS status
		FROM generate_series(1, 50000) n;
		INSERT INTO reservations (reservation_id, owner_kind, owner_id, number, request_hash, status, expires_at, actor,
			reserve_operation, resolve_operation, created_at, resolved_at)
		SELECT id, 'order', id, 1, sha256('x'), status, now() + n * interval '1 second', 'test', id,
			CASE WHEN status <> 'pending' THEN id END, now(), CASE WHEN status <> 'pending' THEN now() END
		FROM made;
		INSERT INTO reservation_lines (reservation_id, line_no, item_id, quantity, open, expires_at)
		SELECT id, 1, item_id, 1, status = 'pending', now() + n * interval '1 second' FROM made;
		INSERT INTO stock_ledger (operation_id, item_id, line, kind, quantity_delta, reserved_delta,
			quantity_after, reserved_after, version_after, reservation_id, actor, created_at)
		SELECT id, item_id, 1, 'reserved', 0, 1, 10, 1, 1, id, 'test', now() FROM made;
		INSERT INTO outbox (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, schema_version,
			payload, headers, created_at, available_at, published_at)
		SELECT id, 'reservation', id, 1, 'inventory.reserved', 1,
			'{}', '{}', now(), now(), CASE WHEN n % 100 > 0 THEN now() END FROM made;
		INSERT INTO archive.reservations SELECT * FROM reservations WHERE status <> 'pending';
		INSERT INTO archive.reservation_lines SELECT * FROM reservation_lines WHERE NOT open;
		INSERT INTO archive.stock_ledger SELECT * FROM stock_ledger;
		ALTER TABLE ledger_balances DISABLE TRIGGER USER;
		INSERT INTO ledger_balances SELECT item_id, 1, 0, 0, 0, 0 FROM items;
		ALTER TABLE ledger_balances ENABLE TRIGGER USER;
		INSERT INTO backorders (backorder_id, owner_kind, owner_id, number, request_hash, status, deadline, ttl_seconds,
			actor, place_operation, resolve_operation, created_at, resolved_at)
		SELECT md5('backorder ' || n)::uuid, 'order', id, 2, sha256('x'),
			CASE WHEN n % 10 = 0 THEN 'waiting' ELSE 'granted' END, now() + n * interval '1 second',
			900, 'test', id, CASE WHEN n % 10 > 0 THEN id END, now(),
			CASE WHEN n % 10 > 0 THEN now() END
		FROM made;
		INSERT INTO backorder_lines (backorder_id, line_no, product_id, quantity, position, deadline, waiting)
		SELECT b.backorder_id, 1, md5('product ' || CASE WHEN b.position % 20 = 0 THEN 0 ELSE b.position % 5000 END)::uuid, 1,
			b.position, b.deadline, b.status = 'waiting'
		FROM backorders b;
		UPDATE items i SET waiting = w.quantity
		FROM (SELECT product_id, sum(quantity) AS quantity FROM backorder_lines WHERE waiting GROUP BY 1) w
		WHERE w.product_id = i.product_id;
		INSERT INTO incoming_stock (incoming_id, product_id, location_id, quantity, expected_at, status, actor,
			created_at, updated_at)
		SELECT id, md5('product ' || n % 5000)::uuid, 1, 5, now() + n * interval '1 second',
			CASE WHEN n % 10 = 0 THEN 'expected' ELSE 'cancelled' END, 'test', now(), now()
		FROM made;
		INSERT INTO processed_events (consumer, event_id) SELECT 'test', id FROM made;
		INSERT INTO reorder_proposals (item_id, cause) SELECT item_id, 'low_stock' FROM items WHERE item_id % 10 = 0;
		INSERT INTO reorder_proposals (item_id, cause, status, closed_at, received_quantity)
		SELECT item_id, 'low_stock', 'received', now(), 1 FROM items`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "ANALYZE")
	require.NoError(t, err)
	require.NoError(t, conn.QueryRow(t.Context(), `
		SELECT now(), (SELECT product_id FROM items WHERE item_id = 1),
			(SELECT array_agg(product_id) FROM (SELECT DISTINCT product_id FROM items ORDER BY 1 OFFSET 2000 LIMIT 20) p),
			(SELECT array_agg(reservation_id) FROM (SELECT reservation_id FROM reservations ORDER BY 1 OFFSET 2000 LIMIT 20) r),
			(SELECT array_agg(operation_id) FROM (SELECT operation_id FROM stock_ledger ORDER BY 1 OFFSET 2000 LIMIT 20) o),
			(SELECT array_agg(backorder_id) FROM (SELECT backorder_id FROM backorders ORDER BY 1 OFFSET 2000 LIMIT 20) b),
			(SELECT array_agg(incoming_id) FROM (SELECT incoming_id FROM incoming_stock ORDER BY 1 OFFSET 2000 LIMIT 20) d),
			(SELECT array_agg(item_id) FROM generate_series(1000, 1019) item_id)`).
		Scan(&f.now, &f.hot, &f.products, &f.reservations, &f.operations, &f.backorders, &f.incoming, &f.items))
	return f
}
