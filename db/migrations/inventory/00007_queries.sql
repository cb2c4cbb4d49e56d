-- +goose Up

-- low_stock says that the available stock of an item that is not deleted is at or below its threshold. The column is
-- generated, so that it always agrees with the counters.
ALTER TABLE items ADD COLUMN low_stock boolean NOT NULL
    GENERATED ALWAYS AS (deleted_at IS NULL AND quantity - reserved <= low_stock_threshold) STORED;
-- For the list of low items, for one location or for all, in pages. The index contains the boolean and not the
-- counters: PostgreSQL compares the values of indexed and predicate columns, so an update that does not change the
-- boolean stays heap-only. A hot row needs heap-only updates to be fast.
CREATE INDEX items_low_stock_idx ON items (location_id, item_id) WHERE low_stock;

-- open says that the reservation of a line is pending. The transaction that ends a reservation closes its lines and
-- counts them. This migration first adds the column as closed, which rewrites no row, and then opens the lines of
-- pending reservations, which are few.
ALTER TABLE reservation_lines ADD COLUMN open boolean NOT NULL DEFAULT false;
UPDATE reservation_lines l SET open = true
FROM reservations r WHERE r.reservation_id = l.reservation_id AND r.status = 'pending';
ALTER TABLE reservation_lines ALTER COLUMN open SET DEFAULT true;
-- For the lines that hold an item's stock. The index is partial, because a hot product has millions of finished
-- reservations and few that hold stock; a count of the open lines reads this index whole. Its key is the item alone:
-- PostgreSQL keeps equal keys in the order of the rows, so that the entries of a hot item grow at one end.
CREATE INDEX reservation_lines_open_idx ON reservation_lines (item_id) WHERE open;

-- An ended reservation is never revived, so a closed line is never opened again. This trigger checks that at the cost
-- of a comparison. It does not check that a reservation that ends closes all its lines: that would add two thirds to
-- the cost of ending a reservation, so the transaction that ends it counts the lines.
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

-- For an item's history, newest first and in pages; without this index each page would read the whole ledger. It
-- replaces the old primary key and is not a further index, because requests write the ledger far more often than they
-- read it, and no query looks up an entry by its number alone. Numbers are unique, because the column is always
-- generated.
ALTER TABLE stock_ledger DROP CONSTRAINT stock_ledger_pkey, ADD PRIMARY KEY (item_id, ledger_id);
-- The planner plans for an average item, whose few entries it reads at once and sorts. For a hot item that plan reads
-- the whole history for every page. This setting says that there are few items, as many as the planner assumes before
-- the first ANALYZE; so the planner reads the index backwards and stops after a page.
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
