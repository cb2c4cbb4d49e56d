-- +goose Up

-- What is remembered of a change that its caller named, by an operation id or an Idempotency-Key: what was asked and
-- what was answered. A repeat gets the first answer, also of a change that the ledger does not tell of: a threshold,
-- an item that was created, a count that was right. The primary key is what a repeat asks by.
CREATE TABLE stock_operations (
    operation_id uuid PRIMARY KEY,
    request_hash bytea       NOT NULL,
    answer       json        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT stock_operations_hash_length CHECK (length(request_hash) = 32)
);

-- An entry of the ledger changes something. A count that was right used to write one that did not; those stay, and
-- the check holds for every entry from now on.
ALTER TABLE stock_ledger DROP CONSTRAINT stock_ledger_changes_something,
    ADD CONSTRAINT stock_ledger_changes_something CHECK (quantity_delta <> 0 OR reserved_delta <> 0) NOT VALID;

-- +goose Down
ALTER TABLE stock_ledger DROP CONSTRAINT stock_ledger_changes_something,
    ADD CONSTRAINT stock_ledger_changes_something CHECK (quantity_delta <> 0 OR reserved_delta <> 0 OR kind = 'adjusted');
DROP TABLE stock_operations;
