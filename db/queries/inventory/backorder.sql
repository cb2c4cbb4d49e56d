-- A backorder waits for stock of the products on its lines. The waiting list of a product has the backorders that wait
-- for it, by position. Transactions read and write backorders while they hold the locks of the products' items, and
-- those that place, cancel or expire one hold the lock of each product, too (LockProducts): a product may have no item.

-- name: Backorders :many
-- Returns backorders by id, and backorders that already have one of the given owner keys under another id.
SELECT b.* FROM backorders b
WHERE b.backorder_id = ANY (@backorder_ids::uuid[] || ARRAY(
    SELECT o.backorder_id
    FROM backorders o
    JOIN (
        SELECT unnest(@owner_kinds::text[]) AS owner_kind, unnest(@owner_ids::uuid[]) AS owner_id,
               unnest(@numbers::integer[]) AS number
    ) k ON o.owner_kind = k.owner_kind AND o.owner_id = k.owner_id AND o.number = k.number
))
ORDER BY b.backorder_id;

-- name: LinesOfBackorders :many
SELECT l.backorder_id, l.line_no, l.product_id, l.quantity
FROM backorder_lines l
WHERE l.backorder_id = ANY (@backorder_ids::uuid[])
ORDER BY l.backorder_id, l.line_no;

-- name: WaitingOfProducts :many
-- The quantity that backorders wait for, of each product that has any.
SELECT l.product_id, sum(l.quantity)::bigint AS waiting
FROM backorder_lines l
WHERE l.product_id = ANY (@product_ids::uuid[]) AND l.waiting
GROUP BY l.product_id;

-- name: ProductsWaitedForWith :many
-- Returns the products that some backorder waits for together with one of the given products.
SELECT DISTINCT o.product_id
FROM backorder_lines l
JOIN backorder_lines o ON o.backorder_id = l.backorder_id AND o.product_id <> l.product_id
WHERE l.product_id = ANY (@product_ids::uuid[]) AND l.waiting
ORDER BY o.product_id;

-- name: WaitingPage :many
-- Returns a part of the waiting lists of some products, in order of position. It leaves out lines for more than is
-- available of their product. taken says that a reservation has the id or the owner's number of the backorder, so that
-- it cannot be granted.
SELECT b.*, (
    EXISTS (SELECT 1 FROM reservations r WHERE r.reservation_id = b.backorder_id)
    OR EXISTS (
        SELECT 1 FROM reservations r
        WHERE r.owner_kind = b.owner_kind AND r.owner_id = b.owner_id AND r.number = b.number
    ))::boolean AS taken
FROM (
    SELECT l.backorder_id, min(l.position) AS position
    FROM (SELECT unnest(@product_ids::uuid[]) AS product_id, unnest(@available::bigint[]) AS available) p
    CROSS JOIN LATERAL (
        SELECT v.backorder_id, v.position
        FROM backorder_lines v
        WHERE v.product_id = p.product_id AND v.waiting AND v.position > @after_position::bigint AND v.quantity <= p.available
        GROUP BY v.position, v.backorder_id
        ORDER BY v.position
        LIMIT @page_size::integer
    ) l
    GROUP BY l.backorder_id
    ORDER BY 2
    LIMIT @page_size::integer
) c
CROSS JOIN LATERAL (SELECT v.* FROM backorders v WHERE v.backorder_id = c.backorder_id LIMIT 1) b
ORDER BY c.position;

-- name: OverdueBackorders :many
-- Returns backorders past their deadline that wait for one of the given products, oldest deadline first.
SELECT l.backorder_id
FROM backorder_lines l
WHERE l.product_id = ANY (@product_ids::uuid[]) AND l.waiting AND l.deadline <= @now::timestamptz
ORDER BY l.deadline, l.backorder_id
LIMIT @most::integer;

-- name: InsertBackorders :execrows
-- The rows get their positions in the order of the arrays.
INSERT INTO backorders (backorder_id, owner_kind, owner_id, number, request_hash, status, deadline, ttl_seconds, strategy,
    workflow_id, version, actor, reason, place_operation, resolve_operation, correlation_id, created_at, resolved_at)
SELECT u.backorder_id, u.owner_kind, u.owner_id, u.number, nullif(u.request_hash, ''::bytea), u.status, u.deadline,
    u.ttl_seconds, u.strategy, u.workflow_id, u.version, u.actor, u.reason, u.place_operation,
    CASE WHEN u.status <> 'waiting' THEN u.resolve_operation END, u.correlation_id, u.created_at,
    CASE WHEN u.status <> 'waiting' THEN u.resolved_at END
FROM (
    SELECT unnest(@backorder_ids::uuid[]) AS backorder_id, unnest(@owner_kinds::text[]) AS owner_kind,
           unnest(@owner_ids::uuid[]) AS owner_id, unnest(@numbers::integer[]) AS number,
           unnest(@request_hashes::bytea[]) AS request_hash, unnest(@statuses::text[]) AS status,
           unnest(@deadlines::timestamptz[]) AS deadline, unnest(@ttls::bigint[]) AS ttl_seconds,
           unnest(@strategies::text[]) AS strategy, unnest(@workflow_ids::text[]) AS workflow_id,
           unnest(@versions::bigint[]) AS version, unnest(@actors::text[]) AS actor, unnest(@reasons::text[]) AS reason,
           unnest(@place_operations::uuid[]) AS place_operation, unnest(@resolve_operations::uuid[]) AS resolve_operation,
           unnest(@correlation_ids::text[]) AS correlation_id, unnest(@created_ats::timestamptz[]) AS created_at,
           unnest(@resolved_ats::timestamptz[]) AS resolved_at, unnest(@orders::integer[]) AS place
) u
ORDER BY u.place;

-- name: InsertBackorderLines :execrows
INSERT INTO backorder_lines (backorder_id, line_no, product_id, quantity, position, deadline, waiting)
SELECT u.backorder_id, u.line_no, u.product_id, u.quantity, b.position, b.deadline, b.status = 'waiting'
FROM (
    SELECT unnest(@backorder_ids::uuid[]) AS backorder_id, unnest(@line_nos::integer[]) AS line_no,
           unnest(@product_ids::uuid[]) AS product_id, unnest(@quantities::bigint[]) AS quantity
) u
CROSS JOIN LATERAL (SELECT v.position, v.deadline, v.status FROM backorders v WHERE v.backorder_id = u.backorder_id LIMIT 1) b;

-- name: UpdateBackorders :execrows
UPDATE backorders b
SET status = u.status, deadline = u.deadline, version = u.version_after, actor = u.actor, reason = u.reason,
    resolve_operation = CASE WHEN u.status <> 'waiting' THEN u.resolve_operation END,
    resolved_at = CASE WHEN u.status <> 'waiting' THEN u.resolved_at END
FROM (
    SELECT unnest(@backorder_ids::uuid[]) AS backorder_id, unnest(@versions::bigint[]) AS version,
           unnest(@versions_after::bigint[]) AS version_after, unnest(@statuses::text[]) AS status,
           unnest(@deadlines::timestamptz[]) AS deadline, unnest(@actors::text[]) AS actor,
           unnest(@reasons::text[]) AS reason, unnest(@resolve_operations::uuid[]) AS resolve_operation,
           unnest(@resolved_ats::timestamptz[]) AS resolved_at
) u
WHERE b.backorder_id = u.backorder_id AND b.version = u.version;

-- name: UpdateBackorderLines :execrows
-- Moves the deadline of lines, and ends their wait. The backorder's version guards them. The condition is written so
-- that PostgreSQL cannot use the partial indexes, which begin with the product.
UPDATE backorder_lines l
SET deadline = u.deadline, waiting = u.waiting
FROM (
    SELECT unnest(@backorder_ids::uuid[]) AS backorder_id, unnest(@deadlines::timestamptz[]) AS deadline,
           unnest(@waitings::boolean[]) AS waiting
) u
WHERE l.backorder_id = u.backorder_id AND coalesce(l.waiting, false);

-- name: GetBackorder :one
SELECT * FROM backorders WHERE backorder_id = @backorder_id;

-- name: BackorderQueue :many
-- For each product of a waiting backorder: how many backorders are ahead of it and for how many units, how many units it
-- wants itself, and the stock that no reservation holds.
SELECT p.product_id, p.wanted, a.ahead, a.ahead_quantity, (
        SELECT coalesce(sum(i.quantity - i.reserved), 0) FROM items i WHERE i.product_id = p.product_id
    )::bigint AS available
FROM (
    SELECT l.product_id, sum(l.quantity)::bigint AS wanted, min(l.position)::bigint AS position
    FROM backorder_lines l
    WHERE l.backorder_id = @backorder_id::uuid
    GROUP BY l.product_id
) p
CROSS JOIN LATERAL (
    SELECT count(*) AS ahead, coalesce(sum(w.quantity), 0)::bigint AS ahead_quantity
    FROM (
        SELECT sum(v.quantity) AS quantity
        FROM backorder_lines v
        WHERE v.product_id = p.product_id AND v.waiting AND v.position < p.position
        GROUP BY v.position
    ) w
) a
ORDER BY p.product_id;

-- name: ExpectedStock :many
-- The deliveries that products expect from now on, in the order in which they come. A late delivery is left out.
SELECT s.product_id, s.expected_at, (s.quantity - s.received)::bigint AS quantity
FROM incoming_stock s
WHERE s.product_id = ANY (@product_ids::uuid[]) AND s.status = 'expected' AND s.expected_at > statement_timestamp()
ORDER BY s.product_id, s.expected_at, s.incoming_id;

-- name: BackorderPage :many
-- A part of the waiting list of a product.
SELECT l.backorder_id, l.position, l.quantity, b.owner_kind, b.owner_id, b.number, b.workflow_id, b.deadline, b.created_at,
       (b.deadline <= statement_timestamp())::boolean AS overdue
FROM (
    SELECT v.backorder_id, v.position, sum(v.quantity)::bigint AS quantity
    FROM backorder_lines v
    WHERE v.product_id = @product_id::uuid AND v.waiting AND v.position > @after_position::bigint
    GROUP BY v.position, v.backorder_id
    ORDER BY v.position
    LIMIT @page_size::integer
) l
CROSS JOIN LATERAL (
    SELECT v.owner_kind, v.owner_id, v.number, v.workflow_id, v.deadline, v.created_at
    FROM backorders v WHERE v.backorder_id = l.backorder_id LIMIT 1
) b
ORDER BY l.position;

-- name: BackordersUpTo :one
-- Counts the backorders of a product up to a position, and the units that they want; and the stock that no reservation
-- holds.
SELECT count(*) AS ahead, coalesce(sum(w.quantity), 0)::bigint AS ahead_quantity, (
        SELECT coalesce(sum(i.quantity - i.reserved), 0) FROM items i WHERE i.product_id = @product_id::uuid
    )::bigint AS available
FROM (
    SELECT sum(l.quantity) AS quantity
    FROM backorder_lines l
    WHERE l.product_id = @product_id::uuid AND l.waiting AND l.position <= @position::bigint
    GROUP BY l.position
) w;

-- name: ProductsToGrant :many
-- Returns products that backorders wait for and that have stock which no reservation holds. Of most of them no
-- backorder can be served whole; an interrupted grant leaves others.
SELECT i.item_id, i.product_id
FROM items i
WHERE i.waiting > 0 AND i.item_id > @after_item::bigint AND i.quantity > i.reserved
ORDER BY i.item_id
LIMIT @most::integer;
