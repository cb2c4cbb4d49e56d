// Package inventorytest has the tests that every implementation of the inventory's contract must pass (Conformance),
// and the invariants that the inventory database must keep after any change (RequireConsistent).
package inventorytest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

// invariant is a rule of the database; its query returns one text per violation.
type invariant struct{ name, query string }

// everything makes the queries see archived and live rows together, under the names of the live tables. Old events are
// deleted: announced.since is the time from which on each change has an event.
const everything = `WITH
	stock_ledger AS (SELECT * FROM public.stock_ledger UNION ALL SELECT * FROM archive.stock_ledger),
	reservations AS (SELECT * FROM public.reservations UNION ALL SELECT * FROM archive.reservations),
	reservation_lines AS (SELECT * FROM public.reservation_lines UNION ALL SELECT * FROM archive.reservation_lines),
	announced AS (SELECT coalesce(max(deleted_before), '-infinity') AS since FROM archive.horizons WHERE name = 'outbox')`

var invariants = []invariant{
	{"counters equal their item's balance and its live entries", `
		SELECT format('item %s: quantity %s, reserved %s, balance %s, %s and live entries %s, %s',
			i.item_id, i.quantity, i.reserved, b.quantity, b.reserved, l.quantity, l.reserved)
		FROM items i
		LEFT JOIN ledger_balances b USING (item_id)
		LEFT JOIN (
			SELECT item_id, sum(quantity_delta) AS quantity, sum(reserved_delta) AS reserved
			FROM public.stock_ledger GROUP BY 1
		) l USING (item_id)
		WHERE i.quantity <> coalesce(b.quantity, 0) + coalesce(l.quantity, 0)
			OR i.reserved <> coalesce(b.reserved, 0) + coalesce(l.reserved, 0)`},
	{"balances equal the sums of the archived entries, which are the oldest of their item", `
		SELECT format('item %s: balance %s, %s of %s entries, archived %s, %s of %s',
			item_id, b.quantity, b.reserved, b.entries, a.quantity, a.reserved, a.entries)
		FROM ledger_balances b
		FULL JOIN (
			SELECT item_id, count(*) AS entries, sum(quantity_delta) AS quantity, sum(reserved_delta) AS reserved,
				max(ledger_id) AS last, max(version_after) AS version
			FROM archive.stock_ledger GROUP BY 1
		) a USING (item_id)
		WHERE (b.entries, b.quantity, b.reserved, b.through_ledger_id, b.through_version)
				IS DISTINCT FROM (a.entries, a.quantity, a.reserved, a.last, a.version)
			OR EXISTS (
				SELECT 1 FROM public.stock_ledger s
				WHERE s.item_id = b.item_id AND s.ledger_id <= b.through_ledger_id
			)`},
	{"no reservation has rows both in the archive and outside of it", `
		SELECT format('reservation %s', r.reservation_id) FROM public.reservations r
		WHERE EXISTS (SELECT 1 FROM archive.reservations a WHERE a.reservation_id = r.reservation_id)
			OR EXISTS (SELECT 1 FROM archive.reservation_lines a WHERE a.reservation_id = r.reservation_id)
			OR EXISTS (SELECT 1 FROM archive.stock_ledger a WHERE a.reservation_id = r.reservation_id)
		UNION ALL
		SELECT format('line %s of reservation %s', l.line_no, l.reservation_id) FROM public.reservation_lines l
		WHERE NOT EXISTS (SELECT 1 FROM public.reservations r WHERE r.reservation_id = l.reservation_id)`},
	{"counters equal the ledger's sums", `
		SELECT format('item %s: quantity %s, reserved %s, ledger %s, %s', i.item_id, i.quantity, i.reserved,
			coalesce(sum(l.quantity_delta), 0), coalesce(sum(l.reserved_delta), 0))
		FROM items i LEFT JOIN stock_ledger l USING (item_id)
		GROUP BY i.item_id
		HAVING i.quantity <> coalesce(sum(l.quantity_delta), 0) OR i.reserved <> coalesce(sum(l.reserved_delta), 0)`},
	{"reserved equals the lines of pending reservations", `
		SELECT format('item %s: reserved %s, lines %s', i.item_id, i.reserved, coalesce(sum(rl.quantity), 0))
		FROM items i
		LEFT JOIN (
			SELECT rl.* FROM reservation_lines rl JOIN reservations r USING (reservation_id)
			WHERE r.status = 'pending'
		) rl USING (item_id)
		GROUP BY i.item_id
		HAVING i.reserved <> coalesce(sum(rl.quantity), 0)`},
	{"a line is open exactly while its reservation is pending", `
		SELECT format('reservation %s (%s) line %s item %s: open is %s',
			r.reservation_id, r.status, rl.line_no, rl.item_id, rl.open)
		FROM reservation_lines rl JOIN reservations r USING (reservation_id)
		WHERE rl.open <> (r.status = 'pending')`},
	{"the deadline of an open line is its reservation's", `
		SELECT format('reservation %s line %s item %s: %s, not %s',
			r.reservation_id, rl.line_no, rl.item_id, rl.expires_at, r.expires_at)
		FROM reservation_lines rl JOIN reservations r USING (reservation_id)
		WHERE rl.open AND rl.expires_at IS DISTINCT FROM r.expires_at`},
	{"counters are never negative", `
		SELECT format('item %s: quantity %s, reserved %s', item_id, quantity, reserved)
		FROM items WHERE quantity < 0 OR reserved < 0 OR reserved > quantity`},
	{"each line is reserved once, ends once with its reservation's status, and has entries for its returned quantity", `
		SELECT format('reservation %s (%s) line %s item %s: quantity %s, returned %s, entries %s',
			r.reservation_id, r.status, rl.line_no, rl.item_id, rl.quantity, rl.returned,
			json_agg(json_build_array(l.kind, l.quantity_delta, l.reserved_delta)))
		FROM reservations r
		JOIN reservation_lines rl USING (reservation_id)
		LEFT JOIN stock_ledger l ON l.reservation_id = r.reservation_id AND l.line = rl.line_no AND l.item_id = rl.item_id
		GROUP BY r.reservation_id, r.status, rl.line_no, rl.item_id, rl.quantity, rl.returned
		HAVING count(*) FILTER (WHERE l.kind = 'reserved') <> 1
			OR count(*) FILTER (WHERE l.kind IN ('confirmed', 'released', 'expired')) <> (r.status <> 'pending')::int
			OR count(*) FILTER (WHERE l.kind = r.status) <> (r.status <> 'pending')::int
			OR coalesce(sum(l.reserved_delta) FILTER (WHERE l.kind = 'reserved'), 0) <> rl.quantity
			OR coalesce(sum(l.reserved_delta), 0) <> CASE WHEN r.status = 'pending' THEN rl.quantity ELSE 0 END
			OR coalesce(sum(l.quantity_delta) FILTER (WHERE l.kind = 'returned'), 0) <> rl.returned
			OR coalesce(sum(l.quantity_delta), 0)
				<> CASE WHEN r.status = 'confirmed' THEN rl.returned - rl.quantity ELSE 0 END`},
	{"entries about a reservation have its line", `
		SELECT format('entry %s', l.ledger_id)
		FROM stock_ledger l
		LEFT JOIN reservation_lines rl
			ON rl.reservation_id = l.reservation_id AND rl.line_no = l.line AND rl.item_id = l.item_id
		WHERE l.reservation_id IS NOT NULL AND rl.item_id IS NULL`},
	{"each entry continues from the entry before it, and its version is at most the item's", `
		SELECT format('entry %s of item %s: %s/%s after, version %s',
			ledger_id, item_id, quantity_after, reserved_after, version_after)
		FROM (
			SELECT l.*, i.version AS item_version,
				sum(quantity_delta) OVER w AS q, sum(reserved_delta) OVER w AS r
			FROM stock_ledger l JOIN items i USING (item_id)
			WINDOW w AS (PARTITION BY l.item_id ORDER BY l.version_after, l.ledger_id)
		) x
		WHERE q <> quantity_after OR r <> reserved_after OR version_after > item_version`},
	{"each change of a reservation is announced once", `
		SELECT format('reservation %s: %s operations with entries, %s events', r.reservation_id, l.n, coalesce(o.n, 0))
		FROM reservations r
		JOIN (
			SELECT reservation_id, count(DISTINCT operation_id) AS n
			FROM stock_ledger, announced WHERE reservation_id IS NOT NULL AND created_at >= since GROUP BY 1
		) l USING (reservation_id)
		LEFT JOIN (
			SELECT aggregate_id, count(*) AS n
			FROM outbox, announced WHERE aggregate_type = 'reservation' AND created_at >= since GROUP BY 1
		) o ON o.aggregate_id = r.reservation_id
		WHERE l.n <> coalesce(o.n, 0)`},
	{"an item's waiting quantity is that of its product's waiting list", `
		SELECT format('item %s of product %s: waiting %s, list %s',
			i.item_id, i.product_id, i.waiting, coalesce(w.quantity, 0))
		FROM items i
		LEFT JOIN (
			SELECT product_id, sum(quantity) AS quantity FROM backorder_lines WHERE waiting GROUP BY 1
		) w USING (product_id)
		WHERE i.version > 0 AND i.waiting <> coalesce(w.quantity, 0)`},
	{"a line waits exactly while its backorder does, with its position and deadline", `
		SELECT format('backorder %s (%s) line %s: waiting is %s', b.backorder_id, b.status, l.line_no, l.waiting)
		FROM backorder_lines l JOIN backorders b USING (backorder_id)
		WHERE l.waiting <> (b.status = 'waiting') OR l.position <> b.position
			OR l.waiting AND l.deadline <> b.deadline`},
	{"exactly the granted backorders have the reservation of their id, with the same owner and lines", `
		SELECT format('backorder %s is %s, its reservation is %s', b.backorder_id, b.status, coalesce(r.status, 'missing'))
		FROM backorders b
		LEFT JOIN reservations r ON r.reservation_id = b.backorder_id
		WHERE (b.status = 'granted') <> (r.reservation_id IS NOT NULL)
			OR (b.owner_kind, b.owner_id, b.number) IS DISTINCT FROM
				CASE WHEN r.reservation_id IS NULL THEN (b.owner_kind, b.owner_id, b.number)
					ELSE (r.owner_kind, r.owner_id, r.number) END
			OR b.status = 'granted' AND (
				SELECT sum(l.quantity) FROM backorder_lines l WHERE l.backorder_id = b.backorder_id
			) IS DISTINCT FROM (
				SELECT sum(l.quantity) FROM reservation_lines l WHERE l.reservation_id = b.backorder_id
			)`},
	{"each grant is announced once, for its workflow", `
		SELECT format('backorder %s: %s events', b.backorder_id, count(o.event_id))
		FROM backorders b
		CROSS JOIN announced
		LEFT JOIN outbox o ON o.aggregate_id = b.backorder_id AND o.event_type = 'inventory.backorder_granted'
			AND o.payload->>'workflowId' IS NOT DISTINCT FROM nullif(b.workflow_id, '')
		WHERE b.status = 'granted' AND b.resolved_at >= since
		GROUP BY b.backorder_id
		HAVING count(o.event_id) <> 1`},
	{"no backorder waits that can be granted whole and is the first of all its products", `
		SELECT format('backorder %s at position %s', b.backorder_id, b.position)
		FROM backorders b
		WHERE b.status = 'waiting' AND b.deadline > now()
			AND NOT EXISTS (
				SELECT 1 FROM backorder_lines l JOIN backorder_lines o USING (product_id)
				WHERE l.backorder_id = b.backorder_id AND o.waiting AND o.position < b.position
			)
			AND NOT EXISTS (
				SELECT 1 FROM backorder_lines l
				WHERE l.backorder_id = b.backorder_id
				GROUP BY l.product_id
				HAVING sum(l.quantity) > (
					SELECT coalesce(sum(i.quantity - i.reserved), 0) FROM items i WHERE i.product_id = l.product_id
				)
			)`},
	{"deleted items are empty", `
		SELECT format('item %s: quantity %s, reserved %s', item_id, quantity, reserved)
		FROM items WHERE deleted_at IS NOT NULL AND (quantity <> 0 OR reserved <> 0)`},
	{"a transfer takes the same quantity out of one item as it puts into another item of the product", `
		SELECT format('operation %s: %s', l.operation_id, json_agg(json_build_array(l.item_id, l.line, l.quantity_delta)))
		FROM stock_ledger l JOIN items i USING (item_id)
		WHERE l.kind = 'transferred'
		GROUP BY l.operation_id
		HAVING count(*) <> 2 OR sum(l.quantity_delta) <> 0
			OR count(DISTINCT l.item_id) <> 2 OR count(DISTINCT i.product_id) <> 1
			OR sum(l.quantity_delta) FILTER (WHERE l.line = 1) >= 0`},
	{"each operator's change of an item is announced once, with its quantity", `
		SELECT format('item %s, version %s: %s of %s, announced %s',
			l.item_id, l.version_after, l.kind, l.quantity, coalesce(o.quantity::text, 'not at all'))
		FROM (
			SELECT item_id, version_after, kind, sum(quantity_delta) AS quantity
			FROM stock_ledger, announced
			WHERE kind IN ('received', 'adjusted', 'transferred') AND quantity_delta <> 0 AND created_at >= since
			GROUP BY 1, 2, 3
		) l
		JOIN items i USING (item_id)
		JOIN locations p USING (location_id)
		LEFT JOIN (
			SELECT aggregate_version, event_type, payload->>'productId' AS product, payload->>'location' AS location,
				(payload->>'quantity')::bigint AS quantity
			FROM outbox WHERE event_type IN ('inventory.restocked', 'inventory.adjusted', 'inventory.transferred')
		) o ON o.aggregate_version = l.version_after AND o.product = i.product_id::text AND o.location = p.code
			AND o.event_type = 'inventory.' || CASE l.kind WHEN 'received' THEN 'restocked' ELSE l.kind END
		WHERE l.quantity IS DISTINCT FROM o.quantity`},
}

// RequireConsistent fails the test if an invariant of the inventory database does not hold: counters equal the ledger
// and the open reservations, a reservation has one terminal status, no counter is negative, and each change is
// announced once. It reads one snapshot, so it may run while the service works.
func RequireConsistent(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	faults, err := Inconsistencies(context.WithoutCancel(t.Context()), pool)
	require.NoError(t, err)
	require.Empty(t, faults, "the inventory database is not consistent")
}

// Inconsistencies returns each violation of an invariant.
func Inconsistencies(ctx context.Context, pool *pgxpool.Pool) ([]string, error) {
	tx, err := pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback(ctx) }()

	var faults []string
	for _, i := range invariants {
		rows, err := tx.Query(ctx, everything+i.query)
		if err != nil {
			return nil, fmt.Errorf("check that %s: %w", i.name, err)
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, fmt.Errorf("check that %s: %w", i.name, err)
		}
		for _, f := range found {
			faults = append(faults, i.name+": "+strings.Join(strings.Fields(f), " "))
		}
	}
	return faults, nil
}
