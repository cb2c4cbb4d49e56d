-- +goose Up
-- The id of a request leads to the orders on which the request acted: orders has the id of the request that created the
-- order, and an entry of the timeline has the id of a later request that caused it.
ALTER TABLE order_timeline ADD COLUMN correlation_id text NOT NULL DEFAULT '';
CREATE INDEX orders_correlation ON orders (correlation_id) WHERE correlation_id <> '';
CREATE INDEX order_timeline_correlation ON order_timeline (correlation_id) WHERE correlation_id <> '';

-- +goose Down
DROP INDEX orders_correlation;
ALTER TABLE order_timeline DROP COLUMN correlation_id;
