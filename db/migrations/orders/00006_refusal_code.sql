-- +goose Up
-- refusal_code says for programs why an order was rejected: the error type of orderflow, as in out_of_stock. reason
-- says it for people.
ALTER TABLE orders ADD COLUMN refusal_code text NOT NULL DEFAULT '';
UPDATE orders SET refusal_code = 'out_of_stock' WHERE state = 'rejected' AND reason = 'out_of_stock';

-- +goose Down
ALTER TABLE orders DROP COLUMN refusal_code;
