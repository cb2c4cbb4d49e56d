-- Figures over all stock. Each query scans a table, so no request runs one: the service computes a snapshot in the
-- background and answers from it.

-- name: BoundStatistics :exec
-- Sets for this transaction: a scan is allowed (requests may not scan), it has enough time, and it uses one core.
SELECT set_config('statement_timeout', @milliseconds::text, true), set_config('enable_seqscan', 'on', true),
    set_config('max_parallel_workers_per_gather', '0', true);

-- name: StockTotals :one
-- It groups by product first, because counting distinct products would sort all of them. It counts as low the items
-- that LowStockPage lists.
SELECT transaction_timestamp()::timestamptz AS as_of,
       coalesce(sum(p.items), 0)::bigint AS items, count(*) AS products,
       (SELECT count(*) FROM locations) AS locations,
       coalesce(sum(p.quantity), 0)::bigint AS quantity, coalesce(sum(p.reserved), 0)::bigint AS reserved,
       coalesce(sum(p.low_stock), 0)::bigint AS low_stock, coalesce(sum(p.out_of_stock), 0)::bigint AS out_of_stock,
       (SELECT count(DISTINCT rl.reservation_id) FROM reservation_lines rl WHERE rl.open) AS pending
FROM (
    SELECT i.product_id, count(*) AS items, sum(i.quantity) AS quantity, sum(i.reserved) AS reserved,
           CASE WHEN NOT coalesce(bool_and(f.sellable), true) THEN 0
                WHEN sum(i.quantity) > 0 THEN count(*) FILTER (WHERE i.low_stock AND i.quantity > 0)
                ELSE count(*) FILTER (WHERE i.low_stock) END AS low_stock, count(*) FILTER (WHERE i.quantity = i.reserved) AS out_of_stock
    FROM items i
    LEFT JOIN products f USING (product_id)
    WHERE i.deleted_at IS NULL
    GROUP BY i.product_id
) p;

-- name: MostReservedProducts :many
SELECT i.product_id, sum(i.quantity)::bigint AS quantity, sum(i.reserved)::bigint AS reserved
FROM items i
WHERE i.deleted_at IS NULL
GROUP BY i.product_id
HAVING sum(i.reserved) > 0
ORDER BY reserved DESC, i.product_id
LIMIT @how_many::integer;
