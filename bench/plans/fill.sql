-- The rows that the service would write, made in a fraction of the time: every table is truncated and filled in one
-- transaction (which then needs no write-ahead log), and its indexes are made afterwards. Reservations are
-- spread over 500 days; of each 500 one is pending, 300 are confirmed, 150 released and the rest expired. A fifth
-- of them are of the hot product.

-- name: locations
INSERT INTO locations (code, name, priority) SELECT 'l' || n, 'Location ' || n, n FROM generate_series(1, 5) n;

-- name: items
-- The hot product first: items 1 to 5.
INSERT INTO items (product_id, location_id, quantity, reserved, version, low_stock_threshold)
SELECT md5('product ' || n / 5)::uuid, 1 + n % 5, CASE WHEN n < 5 THEN 1000000000 WHEN n / 5 % 20 = 0 THEN 20 ELSE 10000 END, 0, 1, 16
FROM generate_series(0, 5 * ($products::bigint + 1) - 1) n;

-- name: made
CREATE UNLOGGED TABLE made AS
SELECT n, md5('reservation ' || n)::uuid AS id, md5('owner ' || n)::uuid AS owner, md5('reserve ' || n)::uuid AS reserved, md5('resolve ' || n)::uuid AS resolved,
    CASE WHEN n % 5 = 0 THEN 1 + n / 5 % 5 ELSE 6 + (hashint8(n)::bigint & 2147483647) % (5 * $products::bigint) END AS item_id,
    CASE WHEN n % 500 = 7 AND n > $reservations::bigint * 9 / 10 THEN 'pending' WHEN n % 10 < 6 THEN 'confirmed' WHEN n % 10 < 9 THEN 'released' ELSE 'expired' END AS status,
    now() - interval '500 days' * (1 - n / $reservations::double precision) AS at
FROM generate_series(1, $reservations::bigint) n;

-- name: reservations
INSERT INTO reservations (reservation_id, owner_kind, owner_id, number, request_hash, status, expires_at, workflow_id, version, actor, reason,
    reserve_operation, resolve_operation, created_at, resolved_at)
SELECT id, 'order', owner, 1, sha256(uuid_send(id)), status, CASE WHEN status = 'pending' THEN now() + interval '15 minutes' * (n % 100) / 100 ELSE at + interval '15 minutes' END,
    'order-' || owner, CASE WHEN status = 'pending' THEN 1 ELSE 2 END, 'workflow', '',
    reserved, CASE WHEN status <> 'pending' THEN resolved END, at, CASE WHEN status <> 'pending' THEN at + interval '5 minutes' END
FROM made;

-- name: reservation_lines
INSERT INTO reservation_lines (reservation_id, line_no, item_id, quantity, returned, open)
SELECT id, 1, item_id, 1, 0, status = 'pending' FROM made;

-- name: stock_ledger
-- Receipts, then the reservations and their ends, each in the order of time.
INSERT INTO stock_ledger (operation_id, item_id, line, kind, quantity_delta, reserved_delta, quantity_after, reserved_after, version_after, reservation_id, actor, created_at)
SELECT operation_id, item_id, 1, kind, q, r,
    sum(q) OVER w, sum(r) OVER w, row_number() OVER w, reservation_id, 'workflow', at
FROM (
    SELECT md5('receipt ' || item_id)::uuid AS operation_id, item_id, 'received' AS kind, quantity AS q, 0 AS r, NULL::uuid AS reservation_id, now() - interval '501 days' AS at, 0 AS n FROM items
    UNION ALL
    SELECT reserved, item_id, 'reserved', 0, 1, id, at, n FROM made
    UNION ALL
    SELECT resolved, item_id, status, CASE WHEN status = 'confirmed' THEN -1 ELSE 0 END, -1, id, at + interval '5 minutes', n FROM made WHERE status <> 'pending'
) e
WINDOW w AS (PARTITION BY item_id ORDER BY at, n, r DESC)
ORDER BY at, n;

-- name: outbox
-- Published events are deleted after 30 days; the last hundred events are not published yet.
INSERT INTO outbox (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, schema_version, payload, headers, created_at, available_at, published_at)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(version || ' ' || n), 1, 3) || '8' || substr(md5(n || ' ' || version), 1, 15))::uuid,
    'reservation', id, version, 'inventory.' || kind, 1,
    json_build_object('reservationId', id, 'ownerKind', 'order', 'ownerId', owner, 'number', 1, 'workflowId', 'order-' || owner, 'operationId', reserved,
        'status', status, 'expiresAt', at, 'lines', json_build_array(json_build_object('lineNo', 1, 'productId', id, 'location', 'l1', 'quantity', 1,
            'stock', json_build_object('quantity', 10000, 'reserved', 10, 'available', 9990, 'version', 1234)))),
    json_build_object('correlationId', id), at, at, CASE WHEN n <= $reservations::bigint - 100 THEN at + interval '1 second' END
FROM (
    SELECT m.*, 1 AS version, 'reserved' AS kind FROM made m
    UNION ALL
    SELECT m.*, 2, status FROM made m WHERE status <> 'pending'
) e
WHERE at > now() - interval '30 days'
ORDER BY at;

-- name: counters
UPDATE items i
SET quantity = l.quantity, reserved = l.reserved, version = l.version
FROM (SELECT item_id, sum(quantity_delta) AS quantity, sum(reserved_delta) AS reserved, max(version_after) AS version FROM stock_ledger GROUP BY 1) l
WHERE l.item_id = i.item_id;

-- name: done
DROP TABLE made;
