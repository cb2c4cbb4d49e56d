-- For the metrics of the events process, twice a minute.

-- name: CountOpenOrders :many
-- Counts the orders in each of the given states, and says how long ago the oldest was placed. It reads the index by state
-- only: at most @most entries of each state, and the last one.
SELECT s.state::text AS state, c.orders::bigint AS orders,
       coalesce(extract(epoch FROM statement_timestamp() - o.created_at), 0)::float8 AS oldest_seconds
FROM unnest(@states::text[]) AS s(state)
CROSS JOIN LATERAL (
    SELECT count(*) AS orders
    FROM (SELECT 1 FROM orders i WHERE i.state = s.state ORDER BY i.created_at, i.order_id LIMIT @most::integer) counted
) c
LEFT JOIN LATERAL (
    SELECT f.created_at FROM orders f WHERE f.state = s.state ORDER BY f.created_at, f.order_id LIMIT 1
) o ON true;
