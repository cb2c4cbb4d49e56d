-- +goose Up
-- For the search of orders by product, by amount and by the id of a request. An operator who looks for one order knows one
-- of them. On a large database an operator creates these indexes CONCURRENTLY after 00029 (docs/guides/migrations.md).
CREATE INDEX IF NOT EXISTS order_lines_sku_idx ON order_lines (sku, order_id);
CREATE INDEX IF NOT EXISTS orders_amount_idx ON orders (currency, total_minor);
CREATE INDEX IF NOT EXISTS orders_correlation ON orders (correlation_id) WHERE correlation_id <> '';
CREATE INDEX IF NOT EXISTS order_timeline_correlation ON order_timeline (correlation_id) WHERE correlation_id <> '';

-- +goose Down
DROP INDEX order_timeline_correlation;
DROP INDEX orders_correlation;
DROP INDEX orders_amount_idx;
DROP INDEX order_lines_sku_idx;
