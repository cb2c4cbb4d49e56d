-- +goose Up

-- The request and the answer of each change to which the caller gave an operation id or an Idempotency-Key. A repeat
-- gets the first answer, also for a change that writes no ledger entry: a threshold, a new item, a count that equals
-- the stock. A repeat reads by the primary key.
CREATE TABLE stock_operations (
    operation_id uuid PRIMARY KEY,
    request_hash bytea       NOT NULL,
    answer       json        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT stock_operations_hash_length CHECK (length(request_hash) = 32)
);

-- Every new ledger entry changes a counter. Before this migration a count that equalled the stock wrote an entry that
-- changed none; those entries stay, and the check holds for entries from now on.
ALTER TABLE stock_ledger DROP CONSTRAINT stock_ledger_changes_something,
    ADD CONSTRAINT stock_ledger_changes_something CHECK (quantity_delta <> 0 OR reserved_delta <> 0) NOT VALID;

-- +goose Down
ALTER TABLE stock_ledger DROP CONSTRAINT stock_ledger_changes_something,
    ADD CONSTRAINT stock_ledger_changes_something CHECK (quantity_delta <> 0 OR reserved_delta <> 0 OR kind = 'adjusted');
DROP TABLE stock_operations;
