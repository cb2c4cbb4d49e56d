-- +goose Up
-- Why a rejected order was refused, for programs: orderflow's error type, as in out_of_stock. reason is for people.
ALTER TABLE orders ADD COLUMN refusal_code text NOT NULL DEFAULT '';
UPDATE orders SET refusal_code = 'out_of_stock' WHERE state = 'rejected' AND reason = 'out_of_stock';

-- +goose Down
ALTER TABLE orders DROP COLUMN refusal_code;
