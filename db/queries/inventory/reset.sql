-- The reset of example data: the one way to empty an append-only ledger, and only as a whole.

-- name: AllowReset :exec
-- Until the end of this transaction.
SELECT set_config('holdfast.reset', 'on', true);

-- name: WipeInventory :exec
-- CASCADE takes along whatever else refers to an item or a reservation.
TRUNCATE locations, items, reservations, reservation_lines, stock_ledger, stock_imports, stock_operations, products, outbox, processed_events,
    ledger_balances, archive.reservations, archive.reservation_lines, archive.stock_ledger, archive.horizons CASCADE;

-- name: CountBeside :one
-- Reservations that hold stock, and items that have some, beside those of the given reservations and products. It
-- reads them all; nobody but the reset asks.
SELECT (SELECT count(*) FROM reservations WHERE status = 'pending' AND NOT (reservation_id = ANY (@reservations::uuid[]))) AS holds,
       (SELECT count(*) FROM items WHERE quantity > 0 AND NOT (product_id = ANY (@products::uuid[]))) AS items;

-- name: LocationExists :one
SELECT EXISTS (SELECT 1 FROM locations WHERE code = @code);
