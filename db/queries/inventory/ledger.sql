-- The stock ledger holds every change of an item's counters, append-only; one operation has one
-- entry per item and line.

-- name: EntriesOfOperations :many
SELECT * FROM stock_ledger
WHERE operation_id = ANY (@operation_ids::uuid[])
ORDER BY operation_id, line, item_id;

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
-- The database's clock decides every deadline. Asked after the locks are held: a time read before
-- would be stale by as long as the lock was waited for, and now() is the transaction's start.
SELECT clock_timestamp()::timestamptz AS at;
