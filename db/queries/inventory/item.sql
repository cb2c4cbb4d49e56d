-- An item is the stock of one product at one location; available = quantity - reserved.

-- name: LockItems :many
-- Locks the items of the given products and of the given reservations' lines in the order of their ids, so that two
-- transactions cannot deadlock, and returns the items as they are under the lock. PostgreSQL sorts below the node that
-- locks, so it locks in that order. FOR NO KEY UPDATE lets other transactions check foreign keys meanwhile. The ids are
-- an array and not a joined set, so that PostgreSQL looks up every item by its key: for a join it may read all items,
-- and a prepared plan that was right for few items stays when there are many.
SELECT i.item_id, i.product_id, i.location_id, l.code AS location, l.priority, i.quantity, i.reserved, i.version,
       i.low_stock_threshold, (i.deleted_at IS NOT NULL)::boolean AS deleted, i.waiting
FROM items i
JOIN locations l USING (location_id)
WHERE i.item_id = ANY (ARRAY(
    SELECT p.item_id FROM items p WHERE p.product_id = ANY (@product_ids::uuid[])
    UNION ALL
    SELECT rl.item_id FROM reservation_lines rl WHERE rl.reservation_id = ANY (@reservation_ids::uuid[])
    UNION ALL
    SELECT p.item_id
    FROM backorder_lines bl
    CROSS JOIN LATERAL (SELECT v.item_id FROM items v WHERE v.product_id = bl.product_id) p
    WHERE bl.backorder_id = ANY (@backorder_ids::uuid[])
))
ORDER BY i.item_id
FOR NO KEY UPDATE OF i;

-- name: UpdateItems :execrows
-- The version check: it does not update a row that has changed since it was read; the count of rows shows that.
UPDATE items i
SET quantity = u.quantity, reserved = u.reserved, version = i.version + 1, updated_at = now(),
    low_stock_threshold = u.threshold, waiting = u.waiting, deleted_at = CASE WHEN u.deleted THEN coalesce(i.deleted_at, now()) END
FROM (
    SELECT unnest(@item_ids::bigint[]) AS item_id, unnest(@versions::bigint[]) AS version,
           unnest(@quantities::bigint[]) AS quantity, unnest(@reserveds::bigint[]) AS reserved,
           unnest(@thresholds::bigint[]) AS threshold, unnest(@waitings::bigint[]) AS waiting,
           unnest(@deleteds::boolean[]) AS deleted
) u
WHERE i.item_id = u.item_id AND i.version = u.version;

-- name: LockProducts :exec
-- Only one transaction at a time adds items to a product; it holds this lock until it ends. A row lock is not enough:
-- two transactions that make the first items of a product have no row in common. The transaction takes these locks
-- before all others, in the order of the products. A transaction that changes the waiting list of a product takes the lock
-- too, because the product may have no item.
SELECT pg_advisory_xact_lock(hashtextextended(p.product_id::text, 0))
FROM (
    SELECT unnest(@product_ids::uuid[]) AS product_id
    UNION
    SELECT bl.product_id FROM backorder_lines bl WHERE bl.backorder_id = ANY (@backorder_ids::uuid[])
    ORDER BY 1
) p;

-- name: EnsureItems :exec
-- Creates the missing items of product and location pairs, empty and marked as deleted. A request that succeeds then
-- removes the mark; after a refused request the item stays invisible. The rows are sorted, so that two transactions
-- insert in the same order and cannot deadlock. An unknown location creates no item.
INSERT INTO items (product_id, location_id, deleted_at)
SELECT DISTINCT u.product_id, l.location_id, now()
FROM (SELECT unnest(@product_ids::uuid[]) AS product_id, unnest(@locations::text[]) AS location) u
JOIN locations l ON l.code = u.location
WHERE NOT EXISTS (SELECT 1 FROM items i WHERE i.product_id = u.product_id AND i.location_id = l.location_id)
ORDER BY 1, 2
ON CONFLICT ON CONSTRAINT items_product_location_key DO NOTHING;

-- name: StockOfProducts :many
-- It is one statement, so that it returns all locations of a product as of one moment. It returns deleted items too,
-- because the product's version includes their versions. overdue is the part of reserved that reservations past their
-- deadline hold. next_deadline is the time in microseconds until the next reservation is overdue; -1 if no reservation
-- holds the item's stock. An item without reserved stock costs no look-up, and an item without overdue reservations
-- costs one. (OFFSET 0 keeps PostgreSQL from doing the first look-up again wherever its result is used.)
SELECT i.product_id, l.code AS location, i.quantity, i.reserved, i.waiting, i.version, (i.deleted_at IS NOT NULL)::boolean AS deleted,
       coalesce((SELECT p.sellable FROM products p WHERE p.product_id = i.product_id), true)::boolean AS sellable,
       CASE WHEN h.first <= statement_timestamp() THEN (
           SELECT sum(rl.quantity) FROM reservation_lines rl
           WHERE rl.item_id = i.item_id AND rl.open AND rl.expires_at <= statement_timestamp()
       ) ELSE 0 END::bigint AS overdue,
       coalesce(extract(epoch FROM CASE WHEN h.first <= statement_timestamp() THEN (
           SELECT min(rl.expires_at) FROM reservation_lines rl
           WHERE rl.item_id = i.item_id AND rl.open AND rl.expires_at > statement_timestamp()
       ) ELSE h.first END - statement_timestamp()) * 1000000, -1)::bigint AS next_deadline
FROM items i
JOIN locations l USING (location_id)
CROSS JOIN LATERAL (
    SELECT CASE WHEN i.reserved > 0 THEN (
        SELECT min(rl.expires_at) FROM reservation_lines rl WHERE rl.item_id = i.item_id AND rl.open
    ) END AS first
    OFFSET 0
) h
WHERE i.product_id = ANY (@product_ids::uuid[])
ORDER BY i.product_id, l.priority, i.item_id;

-- name: UpsertLocations :exec
INSERT INTO locations (code, name, priority)
SELECT u.code, u.name, u.priority
FROM (SELECT unnest(@codes::text[]) AS code, unnest(@names::text[]) AS name, unnest(@priorities::integer[]) AS priority) u
ORDER BY u.code
ON CONFLICT ON CONSTRAINT locations_code_key DO UPDATE
SET name = excluded.name, priority = excluded.priority, updated_at = now()
WHERE (locations.name, locations.priority) IS DISTINCT FROM (excluded.name, excluded.priority);
