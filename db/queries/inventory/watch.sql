-- For the metrics of the events process, on a slow tick.

-- name: LowestStock :many
-- Returns the items with the least available stock among those at or below their threshold. It reads the index that has
-- only the low items, and leaves out the products that LowStockPage leaves out.
SELECT i.product_id, l.code AS location, (i.quantity - i.reserved)::bigint AS available
FROM items i
JOIN locations l USING (location_id)
WHERE i.low_stock
  AND coalesce((SELECT p.sellable FROM products p WHERE p.product_id = i.product_id), true)
  AND (i.quantity > 0 OR coalesce((SELECT sum(o.quantity) FROM items o WHERE o.product_id = i.product_id), 0) = 0)
ORDER BY i.quantity - i.reserved, i.item_id
LIMIT @how_many::integer;
