-- +goose Up
-- What a repair says was given back, or which attempt of the payment was voided: a repeat under the same key must say the
-- same. 0 stands for neither.
ALTER TABLE repairs ADD COLUMN IF NOT EXISTS amount_minor bigint NOT NULL DEFAULT 0 CHECK (amount_minor >= 0),
    ADD COLUMN IF NOT EXISTS attempt integer NOT NULL DEFAULT 0 CHECK (attempt >= 0);

-- +goose Down
ALTER TABLE repairs DROP COLUMN attempt, DROP COLUMN amount_minor;
