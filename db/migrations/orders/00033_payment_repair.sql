-- +goose Up
-- The repair by which an operator says that the step was done by hand. It tells two repairs apart that gave the same amount
-- back under one reference. NULL for every other step.
ALTER TABLE payments ADD COLUMN IF NOT EXISTS repair_id uuid;

-- +goose Down
ALTER TABLE payments DROP COLUMN repair_id;
