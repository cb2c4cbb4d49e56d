-- The archive keeps finished reservations and old entries of the ledger apart from the tables that requests use. The
-- archive command reads those tables in their physical order, some pages at a time. They have no index by age: each
-- request would pay for an index that only a command needs which runs once a day.

-- name: BeginArchiving :exec
-- Until this transaction ends, it may delete entries that are archived. The lock lets one batch at a time run, also
-- when several archive commands run. No other lock uses its key.
SELECT set_config('holdfast.archive', 'on', true), pg_advisory_xact_lock(7207416502318821187);

-- name: Pages :one
-- Returns the number of pages of each table that is read page by page, and the id of the last item.
SELECT pg_relation_size('reservations') / b.size AS reservations, pg_relation_size('outbox') / b.size AS outbox,
       pg_relation_size('processed_events') / b.size AS processed_events,
       coalesce((SELECT max(item_id) FROM items), 0)::bigint AS last_item
FROM (SELECT current_setting('block_size')::bigint AS size) b;

-- name: PickReservations :many
-- Returns finished reservations that lie on some pages. It skips a reservation that a request has locked; the next run
-- finds it. It also skips a reservation with a recent event, which was extended or partly returned long after it was
-- made: a caller may ask for it again. (The look-up in outbox is a scalar subquery: for a join the planner would read
-- that table whole.)
SELECT r.reservation_id
FROM reservations r
WHERE r.ctid >= format('(%s,0)', @from_page::bigint)::tid AND r.ctid < format('(%s,0)', @to_page::bigint)::tid
  AND r.status <> 'pending'
  AND r.resolved_at < CASE WHEN r.status = 'confirmed' THEN @confirmed_before::timestamptz ELSE @finished_before::timestamptz END
  AND coalesce((SELECT max(o.created_at) FROM outbox o WHERE o.aggregate_id = r.reservation_id), '-infinity') < @finished_before::timestamptz
LIMIT @most::integer
FOR UPDATE OF r SKIP LOCKED;

-- name: CopyReservations :many
INSERT INTO archive.reservations SELECT * FROM public.reservations r WHERE r.reservation_id = ANY (@reservation_ids::uuid[])
RETURNING status, (request_hash IS NULL)::boolean AS tombstone;

-- name: CopyReservationLines :execrows
INSERT INTO archive.reservation_lines SELECT * FROM public.reservation_lines l WHERE l.reservation_id = ANY (@reservation_ids::uuid[]);

-- name: DeleteReservationLines :execrows
DELETE FROM reservation_lines WHERE reservation_id = ANY (@reservation_ids::uuid[]);

-- name: DeleteReservations :execrows
DELETE FROM reservations WHERE reservation_id = ANY (@reservation_ids::uuid[]);

-- name: CopyEntries :many
-- Copies the oldest entries of each item in a range, up to the first entry that is young or that belongs to a
-- reservation which is not archived. An item whose first entry stays costs two look-ups. The query sorts in the order
-- in which it reads the items, so that it reads no more rows than it takes.
INSERT INTO archive.stock_ledger
SELECT e.*
FROM (
    SELECT v.item_id, coalesce((SELECT b.through_ledger_id FROM ledger_balances b WHERE b.item_id = v.item_id), 0)::bigint AS through
    FROM items v
    WHERE v.item_id > @after_item::bigint AND v.item_id <= @last_item::bigint
    ORDER BY v.item_id
) i
CROSS JOIN LATERAL (
    SELECT coalesce((
        SELECT c.ledger_id
        FROM (
            SELECT s.ledger_id, s.created_at, s.reservation_id
            FROM public.stock_ledger s
            WHERE s.item_id = i.item_id AND s.ledger_id > i.through
            ORDER BY s.ledger_id
            LIMIT @most::integer
        ) c
        WHERE c.created_at >= @finished_before::timestamptz OR (SELECT true FROM public.reservations r WHERE r.reservation_id = c.reservation_id)
        ORDER BY c.ledger_id
        LIMIT 1
    ), 9223372036854775807) AS ledger_id
) stop
CROSS JOIN LATERAL (
    SELECT s.*
    FROM public.stock_ledger s
    WHERE s.item_id = i.item_id AND s.ledger_id > i.through AND s.ledger_id < stop.ledger_id
    ORDER BY s.ledger_id
    LIMIT @most::integer
) e
ORDER BY i.item_id, e.ledger_id
LIMIT @most::integer
RETURNING item_id, ledger_id;

-- name: DeleteEntries :execrows
DELETE FROM stock_ledger s
USING (SELECT unnest(@item_ids::bigint[]) AS item_id, unnest(@ledger_ids::bigint[]) AS ledger_id) u
WHERE s.item_id = u.item_id AND s.ledger_id = u.ledger_id;

-- name: DeletePublishedEvents :execrows
DELETE FROM outbox o
WHERE o.ctid = ANY (ARRAY(
    SELECT v.ctid FROM outbox v
    WHERE v.ctid >= format('(%s,0)', @from_page::bigint)::tid AND v.ctid < format('(%s,0)', @to_page::bigint)::tid
      AND v.published_at < @before::timestamptz
    LIMIT @most::integer
    FOR UPDATE SKIP LOCKED));

-- name: DeleteProcessedEvents :execrows
DELETE FROM processed_events p
WHERE p.ctid = ANY (ARRAY(
    SELECT v.ctid FROM processed_events v
    WHERE v.ctid >= format('(%s,0)', @from_page::bigint)::tid AND v.ctid < format('(%s,0)', @to_page::bigint)::tid
      AND v.processed_at < @before::timestamptz
    LIMIT @most::integer
    FOR UPDATE SKIP LOCKED));

-- name: DeleteImports :execrows
-- The table has one row per imported file, so it is small.
DELETE FROM stock_imports s
WHERE s.import_id IN (
    SELECT v.import_id FROM stock_imports v WHERE v.updated_at < @before::timestamptz LIMIT @most::integer FOR UPDATE SKIP LOCKED);

-- name: MoveHorizon :exec
INSERT INTO archive.horizons AS h (name, deleted_before) VALUES (@name, @deleted_before)
ON CONFLICT (name) DO UPDATE SET deleted_before = greatest(h.deleted_before, excluded.deleted_before);

-- name: CountFinished :one
-- Counts the reservations that PickReservations would find, and their lines.
SELECT count(*) FILTER (WHERE r.status = 'confirmed') AS confirmed,
       count(*) FILTER (WHERE r.status = 'released' AND r.request_hash IS NOT NULL) AS released,
       count(*) FILTER (WHERE r.status = 'expired') AS expired,
       count(*) FILTER (WHERE r.request_hash IS NULL) AS tombstones,
       coalesce(sum((SELECT count(*) FROM reservation_lines l WHERE l.reservation_id = r.reservation_id)), 0)::bigint AS lines
FROM reservations r
WHERE r.ctid >= format('(%s,0)', @from_page::bigint)::tid AND r.ctid < format('(%s,0)', @to_page::bigint)::tid
  AND r.status <> 'pending'
  AND r.resolved_at < CASE WHEN r.status = 'confirmed' THEN @confirmed_before::timestamptz ELSE @finished_before::timestamptz END
  AND coalesce((SELECT max(o.created_at) FROM outbox o WHERE o.aggregate_id = r.reservation_id), '-infinity') < @finished_before::timestamptz;

-- name: CountEntries :one
-- Counts the entries that CopyEntries would find once the finished reservations are archived.
SELECT count(*)
FROM (
    SELECT bool_or(s.created_at >= @finished_before::timestamptz OR (
        SELECT true FROM reservations r
        WHERE r.reservation_id = s.reservation_id
          AND (r.status = 'pending'
            OR r.resolved_at >= CASE WHEN r.status = 'confirmed' THEN @confirmed_before::timestamptz ELSE @finished_before::timestamptz END
            OR coalesce((SELECT max(o.created_at) FROM outbox o WHERE o.aggregate_id = r.reservation_id), '-infinity') >= @finished_before::timestamptz)
    ) IS TRUE) OVER (PARTITION BY s.item_id ORDER BY s.ledger_id) AS stays
    FROM stock_ledger s
    WHERE s.item_id > @after_item::bigint AND s.item_id <= @last_item::bigint
) e
WHERE NOT e.stays;

-- name: CountPublishedEvents :one
SELECT count(*) FROM outbox v
WHERE v.ctid >= format('(%s,0)', @from_page::bigint)::tid AND v.ctid < format('(%s,0)', @to_page::bigint)::tid
  AND v.published_at < @before::timestamptz;

-- name: CountProcessedEvents :one
SELECT count(*) FROM processed_events v
WHERE v.ctid >= format('(%s,0)', @from_page::bigint)::tid AND v.ctid < format('(%s,0)', @to_page::bigint)::tid
  AND v.processed_at < @before::timestamptz;

-- name: CountImports :one
SELECT count(*) FROM stock_imports WHERE updated_at < @before::timestamptz;

-- name: ArchivedReservations :many
-- Returns those of the given reservations that are archived, with their status. It is asked for reservations that the
-- live table does not have, and for reserves that are looked up because one of them was sent again.
SELECT reservation_id, status, resolved_at FROM archive.reservations WHERE reservation_id = ANY (@reservation_ids::uuid[]);

-- name: ArchivedEntriesOfProduct :one
-- Counts the archived entries of a product at some locations.
SELECT coalesce(sum((SELECT b.entries FROM ledger_balances b WHERE b.item_id = i.item_id)), 0)::bigint
FROM items i
WHERE i.product_id = @product_id::uuid
  AND i.location_id BETWEEN @first_location::integer AND @last_location::integer;
