-- The timelines of orders that clients follow.

-- name: ChangedTimelines :many
-- Returns the whole timeline of each given order whose row is not, or no longer, at the given seq and time. The planner
-- expects few changes of few orders, so it looks each order up by its key.
SELECT o.seq AS order_seq, o.updated_at, o.state AS order_state, sqlc.embed(t)
FROM (
    SELECT unnest(@order_ids::uuid[]) AS order_id, unnest(@seqs::bigint[]) AS seq, unnest(@times::timestamptz[]) AS updated_at
) known
JOIN orders o ON o.order_id = known.order_id AND (o.seq <> known.seq OR o.updated_at <> known.updated_at)
JOIN order_timeline t ON t.order_id = o.order_id
ORDER BY t.order_id, t.seq;
