-- +goose Up

-- A deleted item keeps its row, because ledger entries and lines refer to it and because its version must never go
-- back. It is invisible until stock arrives there again. A request that may need a new item also creates it in this
-- state; if the request uses the item, it makes the item visible.
ALTER TABLE items ADD COLUMN deleted_at timestamptz;
ALTER TABLE items ADD CONSTRAINT items_deleted_empty CHECK (deleted_at IS NULL OR (quantity = 0 AND reserved = 0));

-- A count that equals the stock writes an entry: it records that an operator counted, and a repeat of the count finds
-- it.
ALTER TABLE stock_ledger DROP CONSTRAINT stock_ledger_changes_something,
    ADD CONSTRAINT stock_ledger_changes_something CHECK (quantity_delta <> 0 OR reserved_delta <> 0 OR kind = 'adjusted');

-- The rows of an import that succeeded, so that a rerun does not set a count a second time. A rerun reads by the
-- primary key.
CREATE TABLE stock_imports (
    import_id    uuid PRIMARY KEY, -- derived from the caller's key, or from the content
    content_hash bytea       NOT NULL,
    settled_rows integer[]   NOT NULL, -- lines of the file that succeeded; a rerun tries the failed lines again
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
