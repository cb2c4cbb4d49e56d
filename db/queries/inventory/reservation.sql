-- A reservation claims stock for its owner until its deadline. Its lines name the items and the quantities.

-- name: LockReservations :many
-- Locks reservations by id, and reservations that already have one of the given owner keys under another id. Every
-- transaction locks its reservations after its items, so that all transactions have the same order.
SELECT r.* FROM reservations r
WHERE r.reservation_id = ANY (@reservation_ids::uuid[] || ARRAY(
    SELECT o.reservation_id
    FROM reservations o
    JOIN (
        SELECT unnest(@owner_kinds::text[]) AS owner_kind, unnest(@owner_ids::uuid[]) AS owner_id,
               unnest(@numbers::integer[]) AS number
    ) k ON o.owner_kind = k.owner_kind AND o.owner_id = k.owner_id AND o.number = k.number
))
ORDER BY r.reservation_id
FOR NO KEY UPDATE OF r;

-- name: LinesOfReservations :many
SELECT rl.*, i.product_id, l.code AS location
FROM reservation_lines rl
JOIN items i USING (item_id)
JOIN locations l USING (location_id)
WHERE rl.reservation_id = ANY (@reservation_ids::uuid[])
ORDER BY rl.reservation_id, rl.line_no, l.priority, rl.item_id;

-- name: GetReservation :one
SELECT * FROM reservations WHERE reservation_id = @reservation_id;

-- name: ReservationLineStock :many
-- The lines of one reservation with their items' present stock.
SELECT rl.line_no, rl.quantity, rl.returned, i.product_id, l.code AS location,
       i.quantity AS item_quantity, i.reserved AS item_reserved
FROM reservation_lines rl
JOIN items i USING (item_id)
JOIN locations l USING (location_id)
WHERE rl.reservation_id = @reservation_id
ORDER BY rl.line_no, l.priority, rl.item_id;

-- name: InsertReservations :execrows
INSERT INTO reservations (reservation_id, owner_kind, owner_id, number, request_hash, status, expires_at,
    workflow_id, version, actor, reason, reserve_operation, resolve_operation, created_at, resolved_at)
SELECT u.reservation_id, u.owner_kind, u.owner_id, u.number, nullif(u.request_hash, ''::bytea), u.status, u.expires_at,
    u.workflow_id, u.version, u.actor, u.reason, u.reserve_operation,
    CASE WHEN u.status <> 'pending' THEN u.resolve_operation END, u.created_at,
    CASE WHEN u.status <> 'pending' THEN u.resolved_at END
FROM (
    SELECT unnest(@reservation_ids::uuid[]) AS reservation_id, unnest(@owner_kinds::text[]) AS owner_kind,
           unnest(@owner_ids::uuid[]) AS owner_id, unnest(@numbers::integer[]) AS number,
           unnest(@request_hashes::bytea[]) AS request_hash, unnest(@statuses::text[]) AS status,
           unnest(@expires_ats::timestamptz[]) AS expires_at, unnest(@workflow_ids::text[]) AS workflow_id,
           unnest(@versions::bigint[]) AS version, unnest(@actors::text[]) AS actor,
           unnest(@reasons::text[]) AS reason, unnest(@reserve_operations::uuid[]) AS reserve_operation,
           unnest(@resolve_operations::uuid[]) AS resolve_operation,
           unnest(@created_ats::timestamptz[]) AS created_at, unnest(@resolved_ats::timestamptz[]) AS resolved_at
) u
ORDER BY u.reservation_id;

-- name: UpdateReservations :execrows
UPDATE reservations r
SET status = u.status, expires_at = u.expires_at, version = u.version_after, actor = u.actor, reason = u.reason,
    resolve_operation = CASE WHEN u.status <> 'pending' THEN u.resolve_operation END,
    resolved_at = CASE WHEN u.status <> 'pending' THEN u.resolved_at END
FROM (
    SELECT unnest(@reservation_ids::uuid[]) AS reservation_id, unnest(@versions::bigint[]) AS version,
           unnest(@versions_after::bigint[]) AS version_after, unnest(@statuses::text[]) AS status,
           unnest(@expires_ats::timestamptz[]) AS expires_at, unnest(@actors::text[]) AS actor,
           unnest(@reasons::text[]) AS reason, unnest(@resolve_operations::uuid[]) AS resolve_operation,
           unnest(@resolved_ats::timestamptz[]) AS resolved_at
) u
WHERE r.reservation_id = u.reservation_id AND r.version = u.version;

-- name: OverdueReservations :many
-- Returns reservations past their deadline that hold stock of the given items, oldest deadline first: of each item as
-- many as asked for. It reads only their entries in the index of the open lines, which begins with item and deadline.
-- It locks nothing: the transaction that ends such a reservation first locks it and its items.
SELECT l.reservation_id
FROM (SELECT unnest(@item_ids::bigint[]) AS item_id, unnest(@limits::integer[]) AS most) i
CROSS JOIN LATERAL (
    SELECT rl.reservation_id, rl.expires_at
    FROM reservation_lines rl
    WHERE rl.item_id = i.item_id AND rl.open AND rl.expires_at <= @now::timestamptz
    ORDER BY rl.expires_at
    LIMIT i.most
) l
GROUP BY l.reservation_id
ORDER BY min(l.expires_at), l.reservation_id;

-- name: InsertReservationLines :execrows
INSERT INTO reservation_lines (reservation_id, line_no, item_id, quantity, returned, open, expires_at)
SELECT unnest(@reservation_ids::uuid[]), unnest(@line_nos::integer[]), unnest(@item_ids::bigint[]),
       unnest(@quantities::bigint[]), unnest(@returneds::bigint[]), unnest(@opens::boolean[]),
       unnest(@expires_ats::timestamptz[]);

-- name: CloseReservationLines :execrows
-- Closes every line of reservations that have just ended. The count of rows shows whether all lines were open. The
-- condition is written so that PostgreSQL cannot use the partial index of the open lines: that index begins with the
-- item, and a plan made while few lines were open would read the whole index for each reservation when many are open.
UPDATE reservation_lines rl
SET open = false
WHERE rl.reservation_id = ANY (@reservation_ids::uuid[]) AND coalesce(rl.open, false);

-- name: UpdateReservationLines :execrows
-- Only the returned quantity of a line ever changes. The reservation's lock and version guard it.
UPDATE reservation_lines rl
SET returned = u.returned
FROM (
    SELECT unnest(@reservation_ids::uuid[]) AS reservation_id, unnest(@line_nos::integer[]) AS line_no,
           unnest(@item_ids::bigint[]) AS item_id, unnest(@returneds::bigint[]) AS returned
) u
WHERE rl.reservation_id = u.reservation_id AND rl.line_no = u.line_no AND rl.item_id = u.item_id;
