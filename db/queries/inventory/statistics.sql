-- Figures over all stock. Each of these is a scan, so none of them runs on a request path: the
-- service computes a snapshot aside and answers from it.

-- name: BoundStatistics :exec
-- For this transaction: the scan itself, which requests are kept from, time enough for it, and one core.
SELECT set_config('statement_timeout', @milliseconds::text, true), set_config('enable_seqscan', 'on', true),
    set_config('max_parallel_workers_per_gather', '0', true);

-- name: StockTotals :one
-- Grouped by product first: counting distinct products would sort them all. What is low is what LowStockPage lists.
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
