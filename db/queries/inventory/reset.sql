-- The reset of example data. It is the only way to empty the append-only ledger, and it empties the ledger as a whole.

-- name: AllowReset :exec
-- Allows the reset until this transaction ends.
SELECT set_config('holdfast.reset', 'on', true);

-- name: WipeInventory :exec
-- CASCADE also truncates every other table that refers to an item or a reservation.
TRUNCATE locations, items, reservations, reservation_lines, stock_ledger, stock_imports, stock_operations, products, outbox, processed_events,
    backorders, backorder_lines, incoming_stock, ledger_balances, archive.reservations, archive.reservation_lines, archive.stock_ledger, archive.horizons CASCADE;

-- name: CountBeside :one
-- Counts the reservations that hold stock and the items that have stock, except those of the given reservations and
-- products. It reads both tables whole; only the reset calls it.
SELECT (SELECT count(*) FROM reservations WHERE status = 'pending' AND NOT (reservation_id = ANY (@reservations::uuid[]))) AS holds,
       (SELECT count(*) FROM items WHERE quantity > 0 AND NOT (product_id = ANY (@products::uuid[]))) AS items;

-- name: LocationExists :one
SELECT EXISTS (SELECT 1 FROM locations WHERE code = @code);
