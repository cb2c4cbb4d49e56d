-- The reset of example data: the one way to empty an append-only ledger, and only as a whole.

-- name: AllowReset :exec
-- Until the end of this transaction.
SELECT set_config('holdfast.reset', 'on', true);

-- name: WipeInventory :exec
-- CASCADE takes along whatever else refers to an item or a reservation.
TRUNCATE locations, items, reservations, reservation_lines, stock_ledger, stock_imports, outbox, processed_events,
    ledger_balances, archive.reservations, archive.reservation_lines, archive.stock_ledger, archive.horizons CASCADE;

-- name: CountPending :one
-- Reservations that hold stock, beside the given ones. It reads them all; nobody but the reset asks.
SELECT count(*) FROM reservations WHERE status = 'pending' AND NOT (reservation_id = ANY (@known::uuid[]));

-- name: LocationExists :one
SELECT EXISTS (SELECT 1 FROM locations WHERE code = @code);
