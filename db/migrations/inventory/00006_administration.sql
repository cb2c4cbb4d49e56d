-- +goose Up

-- An item that was deleted keeps its row, for the ledger and the lines that refer to it and so that
-- its version goes on, never back. It is invisible until stock arrives there again. An item that a
-- request might need is created in this state as well, and shown by the request that uses it.
ALTER TABLE items ADD COLUMN deleted_at timestamptz;
ALTER TABLE items ADD CONSTRAINT items_deleted_empty CHECK (deleted_at IS NULL OR (quantity = 0 AND reserved = 0));

-- A count that finds the stock right is worth an entry: it says that somebody looked, and a repeat of it
-- finds that it was done.
ALTER TABLE stock_ledger DROP CONSTRAINT stock_ledger_changes_something,
    ADD CONSTRAINT stock_ledger_changes_something CHECK (quantity_delta <> 0 OR reserved_delta <> 0 OR kind = 'adjusted');

-- What became of an import's rows, so that a rerun sets no count a second time. The primary key is
-- what a rerun asks by.
CREATE TABLE stock_imports (
    import_id    uuid PRIMARY KEY, -- derived from the caller's key, or from the content
    content_hash bytea       NOT NULL,
    settled_rows integer[]   NOT NULL, -- lines of the file that succeeded; failed ones are tried again
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT stock_imports_hash_length CHECK (length(content_hash) = 32)
);

-- +goose Down
DROP TABLE stock_imports;
ALTER TABLE stock_ledger DROP CONSTRAINT stock_ledger_changes_something,
    ADD CONSTRAINT stock_ledger_changes_something CHECK (quantity_delta <> 0 OR reserved_delta <> 0) NOT VALID;
ALTER TABLE items DROP CONSTRAINT items_deleted_empty;
ALTER TABLE items DROP COLUMN deleted_at;
