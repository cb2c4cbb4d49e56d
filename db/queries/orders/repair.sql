-- The record of what operators did to repair orders and reservations without an order.

-- name: BeginRepair :one
-- Inserts a repair, or returns the one that the same operator has made under the same key.
INSERT INTO repairs AS r (repair_id, order_id, reservation_id, action, step, reference, reason, issuer, actor, key,
                          amount_minor, attempt)
VALUES (@repair_id, sqlc.narg('order_id'), sqlc.narg('reservation_id'), @action, @step, @reference, @reason, @issuer, @actor, @key,
        @amount_minor, @attempt)
ON CONFLICT ON CONSTRAINT repairs_key DO UPDATE SET key = r.key
RETURNING *;

-- name: EndRepair :one
UPDATE repairs
SET outcome = @outcome, code = @code, detail = @detail,
    ended_at = CASE WHEN @outcome IN ('begun', 'under_way') THEN NULL ELSE clock_timestamp() END
WHERE repair_id = @repair_id AND ended_at IS NULL
RETURNING *;

-- name: ListRepairs :many
SELECT * FROM repairs
WHERE (created_at, repair_id) < (@before_created_at::timestamptz, @before_id::uuid)
ORDER BY created_at DESC, repair_id DESC
LIMIT @page_size;

-- name: ListRepairsOfOrder :many
SELECT * FROM repairs
WHERE order_id = @order_id::uuid AND (created_at, repair_id) < (@before_created_at::timestamptz, @before_id::uuid)
ORDER BY created_at DESC, repair_id DESC
LIMIT @page_size;

-- name: ListRepairsOfReservation :many
SELECT * FROM repairs
WHERE reservation_id = @reservation_id::uuid AND (created_at, repair_id) < (@before_created_at::timestamptz, @before_id::uuid)
ORDER BY created_at DESC, repair_id DESC
LIMIT @page_size;
