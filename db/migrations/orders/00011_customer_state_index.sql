-- +goose Up
-- For the list of a customer's own orders by state, newest first, by cursor over (created_at, order_id). Without it, a
-- customer with 100,000 orders reads all of them to find the few in a rare state.
CREATE INDEX orders_customer_state_idx ON orders (customer_id, state, created_at DESC, order_id DESC);

-- +goose Down
DROP INDEX orders_customer_state_idx;
