-- +goose Up
-- The id of a request leads to the orders on which the request acted: orders has the id of the request that created the
-- order, and an entry of the timeline has the id of a later request that caused it. The indexes are in 00031: the lock of
-- this statement must not last as long as they take.
ALTER TABLE order_timeline ADD COLUMN correlation_id text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE order_timeline DROP COLUMN correlation_id;
