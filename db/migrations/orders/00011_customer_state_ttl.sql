-- +goose Up
-- For the list of a customer's own orders by state, newest first, by cursor over (created_at, order_id). Without it, a
-- customer with 100,000 orders reads all of them to find the few in a rare state.
CREATE INDEX orders_customer_state_idx ON orders (customer_id, state, created_at DESC, order_id DESC);

-- How long the customer wants the stock to be held; 0 leaves it to inventory. With it the whole input of the order's
-- workflow can be made from the row.
ALTER TABLE orders ADD COLUMN ttl_seconds integer NOT NULL DEFAULT 0 CHECK (ttl_seconds >= 0);

-- +goose Down
ALTER TABLE orders DROP COLUMN ttl_seconds;
DROP INDEX orders_customer_state_idx;
