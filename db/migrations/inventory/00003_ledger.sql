-- +goose Up

-- The ledger has every change of quantity or reserved, with its actor and its reason. It is append-only: at all times
-- the counters of an item equal the sums of its entries.
CREATE TABLE stock_ledger (
    ledger_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the order of writing, for paging
    operation_id   uuid        NOT NULL,
    item_id        bigint      NOT NULL,
    line           integer     NOT NULL,
    kind           text        NOT NULL,
    quantity_delta bigint      NOT NULL,
    reserved_delta bigint      NOT NULL,
    quantity_after bigint      NOT NULL,
    reserved_after bigint      NOT NULL,
    version_after  bigint      NOT NULL, -- of the item; several entries of one commit share it
    reservation_id uuid,
    actor          text        NOT NULL,
    reason         text        NOT NULL DEFAULT '',
    created_at     timestamptz NOT NULL,
    -- An operation acts once. The index starts with the operation, so that a repeated call finds the entries of
    -- the first call.
    CONSTRAINT stock_ledger_operation_key UNIQUE (operation_id, item_id, line),
    CONSTRAINT stock_ledger_item_fkey FOREIGN KEY (item_id) REFERENCES items (item_id),
    CONSTRAINT stock_ledger_kind_known CHECK (kind IN
        ('reserved', 'confirmed', 'released', 'expired', 'returned', 'received', 'adjusted', 'transferred')),
    CONSTRAINT stock_ledger_changes_something CHECK (quantity_delta <> 0 OR reserved_delta <> 0),
    CONSTRAINT stock_ledger_after_valid CHECK (quantity_after >= 0 AND reserved_after >= 0 AND reserved_after <= quantity_after)
);

-- +goose StatementBegin
CREATE FUNCTION stock_ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the stock ledger is append-only: % refused', TG_OP USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER stock_ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON stock_ledger
    FOR EACH STATEMENT EXECUTE FUNCTION stock_ledger_refuse_change();

-- +goose Down
DROP TABLE stock_ledger;
DROP FUNCTION stock_ledger_refuse_change();
