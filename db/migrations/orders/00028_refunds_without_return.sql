-- +goose Up
-- An operator gives money back though nothing comes back: a return without units.
ALTER TABLE return_lines DROP CONSTRAINT return_lines_quantity_check;
ALTER TABLE return_lines ADD CONSTRAINT return_lines_quantity_check CHECK (quantity >= 0);
ALTER TABLE returns DROP CONSTRAINT returns_reason_check;
ALTER TABLE returns ADD CONSTRAINT returns_reason_check CHECK (reason IN (
    'no_longer_wanted', 'damaged', 'wrong_item', 'not_as_described', 'other', 'goodwill'));

-- +goose Down
-- The refunds stay in the timeline and in the payments. Their returns stay too, without lines, because the numbers of an
-- order's returns have no gap.
DELETE FROM return_lines USING returns
WHERE returns.order_id = return_lines.order_id AND returns.number = return_lines.number AND returns.reason = 'goodwill';
UPDATE returns SET reason = 'other' WHERE reason = 'goodwill';
ALTER TABLE returns DROP CONSTRAINT returns_reason_check;
ALTER TABLE returns ADD CONSTRAINT returns_reason_check CHECK (reason IN (
    'no_longer_wanted', 'damaged', 'wrong_item', 'not_as_described', 'other'));
ALTER TABLE return_lines DROP CONSTRAINT return_lines_quantity_check;
ALTER TABLE return_lines ADD CONSTRAINT return_lines_quantity_check CHECK (quantity > 0);
