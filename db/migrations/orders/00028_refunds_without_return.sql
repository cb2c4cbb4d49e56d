-- +goose Up
-- An operator gives money back though nothing comes back: a return without units.
ALTER TABLE return_lines DROP CONSTRAINT return_lines_quantity_check;
ALTER TABLE return_lines ADD CONSTRAINT return_lines_quantity_check CHECK (quantity >= 0);
ALTER TABLE returns DROP CONSTRAINT returns_reason_check;
ALTER TABLE returns ADD CONSTRAINT returns_reason_check CHECK (reason IN (
    'no_longer_wanted', 'damaged', 'wrong_item', 'not_as_described', 'other', 'goodwill'));

-- +goose Down
-- The refunds stay in the timeline and in the payments.
DELETE FROM returns WHERE reason = 'goodwill';
ALTER TABLE returns DROP CONSTRAINT returns_reason_check;
ALTER TABLE returns ADD CONSTRAINT returns_reason_check CHECK (reason IN (
    'no_longer_wanted', 'damaged', 'wrong_item', 'not_as_described', 'other'));
ALTER TABLE return_lines DROP CONSTRAINT return_lines_quantity_check;
ALTER TABLE return_lines ADD CONSTRAINT return_lines_quantity_check CHECK (quantity > 0);
