-- +goose Up
-- For the search of orders by product and by amount. An operator who looks for one order knows one of them.
CREATE INDEX order_lines_sku_idx ON order_lines (sku, order_id);
CREATE INDEX orders_amount_idx ON orders (currency, total_minor);

-- +goose Down
DROP INDEX orders_amount_idx;
DROP INDEX order_lines_sku_idx;
