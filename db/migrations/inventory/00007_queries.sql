-- +goose Up

-- Whether an item that is kept has come down to its threshold. Generated, so that it cannot
-- differ from the counters it is about, whoever writes them.
ALTER TABLE items ADD COLUMN low_stock boolean NOT NULL
    GENERATED ALWAYS AS (deleted_at IS NULL AND quantity - reserved <= low_stock_threshold) STORED;
-- The list of low items, for one location or for all, in pages. The index says nothing of the
-- counters, only of the boolean: PostgreSQL compares the values of indexed and predicate columns, so
-- an update that leaves the boolean as it was stays heap-only, which is what a hot row lives by.
CREATE INDEX items_low_stock_idx ON items (location_id, item_id) WHERE low_stock;

-- Whether the reservation of a line is still pending. The writer that ends a reservation closes its
-- lines in the same transaction, and counts them. Lines that exist already begin as closed, which
-- rewrites none of the many that are finished, and then the few that are open are opened.
ALTER TABLE reservation_lines ADD COLUMN open boolean NOT NULL DEFAULT false;
UPDATE reservation_lines l SET open = true
FROM reservations r WHERE r.reservation_id = l.reservation_id AND r.status = 'pending';
ALTER TABLE reservation_lines ALTER COLUMN open SET DEFAULT true;
-- Who holds an item's stock. Partial, because the finished reservations of a hot product run into the
-- millions and those that hold something do not; its size is also what counting them costs. The item
-- alone: equal keys are kept in the order of the rows, so that a hot item's grow at one end.
CREATE INDEX reservation_lines_open_idx ON reservation_lines (item_id) WHERE open;

-- A reservation that ended is never revived, so a closed line is never opened. That the lines of one
-- that ends are closed is the writer's to count: a trigger that looked would add two thirds to the
-- cost of ending a reservation. This one costs a comparison.
-- +goose StatementBegin
CREATE FUNCTION reservation_lines_keep_closed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'line % of reservation % is closed, which is final', OLD.line_no, OLD.reservation_id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'reservation_lines_closed_is_final';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER reservation_lines_closed_is_final BEFORE UPDATE ON reservation_lines
    FOR EACH ROW WHEN (NEW.open AND NOT OLD.open)
    EXECUTE FUNCTION reservation_lines_keep_closed();

-- An item's history, newest first and in pages; without it each page would read the whole ledger. It
-- takes the primary key's place: the ledger is written far more often than it is read, and no entry is
-- ever looked up by its number alone. Numbers are unique as the column is always generated.
ALTER TABLE stock_ledger DROP CONSTRAINT stock_ledger_pkey, ADD PRIMARY KEY (item_id, ledger_id);
-- The planner knows no item but the average one, whose few entries are best read at once and sorted;
-- for a hot item that means its whole history for every page. Told that there are few items (as many
-- as it assumes before the first ANALYZE), it reads the index backwards and stops after a page.
ALTER TABLE stock_ledger ALTER COLUMN item_id SET (n_distinct = 200);

-- +goose Down
ALTER TABLE stock_ledger ALTER COLUMN item_id RESET (n_distinct);
ALTER TABLE stock_ledger DROP CONSTRAINT stock_ledger_pkey, ADD PRIMARY KEY (ledger_id);
DROP TRIGGER reservation_lines_closed_is_final ON reservation_lines;
DROP FUNCTION reservation_lines_keep_closed();
DROP INDEX reservation_lines_open_idx;
ALTER TABLE reservation_lines DROP COLUMN open;
DROP INDEX items_low_stock_idx;
ALTER TABLE items DROP COLUMN low_stock;
