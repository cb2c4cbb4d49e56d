-- The stock ledger holds every change of an item's counters. It is append-only. An operation has one entry per item
-- and line.

-- name: EntriesOfOperations :many
-- It is one statement, so that it returns an entry once that is being moved to the archive. A caller may repeat an
-- operation without a reservation at any time; its first entries may be in the archive by then.
SELECT e.operation_id, e.item_id, e.line, e.kind, e.quantity_delta, e.reserved_delta, e.quantity_after, e.reserved_after,
       e.version_after, e.reservation_id, e.actor, e.reason
FROM (
    SELECT * FROM stock_ledger l WHERE l.operation_id = ANY (@operation_ids::uuid[])
    UNION ALL
    SELECT * FROM archive.stock_ledger a WHERE a.operation_id = ANY (@operation_ids::uuid[])
) e
ORDER BY e.operation_id, e.line, e.item_id;

-- name: InsertEntries :execrows
INSERT INTO stock_ledger (operation_id, item_id, line, kind, quantity_delta, reserved_delta, quantity_after,
    reserved_after, version_after, reservation_id, actor, reason, created_at)
SELECT u.operation_id, u.item_id, u.line, u.kind, u.quantity_delta, u.reserved_delta, u.quantity_after,
    u.reserved_after, u.version_after, nullif(u.reservation_id, '00000000-0000-0000-0000-000000000000'::uuid), u.actor, u.reason,
    @created_at::timestamptz
FROM (
    SELECT unnest(@operation_ids::uuid[]) AS operation_id, unnest(@item_ids::bigint[]) AS item_id,
           unnest(@lines::integer[]) AS line, unnest(@kinds::text[]) AS kind,
           unnest(@quantity_deltas::bigint[]) AS quantity_delta, unnest(@reserved_deltas::bigint[]) AS reserved_delta,
           unnest(@quantity_afters::bigint[]) AS quantity_after, unnest(@reserved_afters::bigint[]) AS reserved_after,
           unnest(@version_afters::bigint[]) AS version_after, unnest(@reservation_ids::uuid[]) AS reservation_id,
           unnest(@actors::text[]) AS actor, unnest(@reasons::text[]) AS reason
) u;

-- name: Clock :one
-- The database's clock decides every deadline. The transaction reads it after it has its locks: a time that it reads
-- before would be stale by as long as it waits for them, and now() is the transaction's start. For the same reason this
-- query returns the items that the products, and the products of the backorders, have now: the statement that locked them saw only the items that existed
-- when it began to wait.
SELECT clock_timestamp()::timestamptz AS at,
       ARRAY(
           SELECT i.item_id FROM items i WHERE i.product_id = ANY (@product_ids::uuid[])
           UNION ALL
           SELECT i.item_id
           FROM backorder_lines bl
           CROSS JOIN LATERAL (SELECT v.item_id FROM items v WHERE v.product_id = bl.product_id) i
           WHERE bl.backorder_id = ANY (@backorder_ids::uuid[])
       )::bigint[] AS item_ids;
