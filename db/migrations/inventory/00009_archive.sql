-- +goose Up

-- Where finished reservations and old entries of the ledger go, so that the tables that requests work on
-- stay as large as the business of the last months and not of all years. Same columns, in the same order:
-- a migration that adds one adds it here too, and a test compares.
CREATE SCHEMA archive;

-- Its key is what a late repeat of a reserve is recognised by, and what one row is read by.
CREATE TABLE archive.reservations (LIKE public.reservations,
    CONSTRAINT archived_reservations_pkey PRIMARY KEY (reservation_id),
    CONSTRAINT archived_reservations_finished CHECK (status <> 'pending'));

CREATE TABLE archive.reservation_lines (LIKE public.reservation_lines,
    CONSTRAINT archived_reservation_lines_pkey PRIMARY KEY (reservation_id, line_no, item_id),
    CONSTRAINT archived_reservation_lines_closed CHECK (NOT open));

-- The key reads the history of an item. That an operation acts once holds for ever: a receipt, an
-- adjustment, a transfer or a return that is repeated after years finds here what it did.
CREATE TABLE archive.stock_ledger (LIKE public.stock_ledger,
    CONSTRAINT archived_stock_ledger_pkey PRIMARY KEY (item_id, ledger_id),
    CONSTRAINT archived_stock_ledger_operation_key UNIQUE (operation_id, item_id, line));
-- For the reason that the live ledger has the same: a page of a hot item's history is read from its index.
ALTER TABLE archive.stock_ledger ALTER COLUMN item_id SET (n_distinct = 200);

-- The sums of the entries of an item that were archived, which are the oldest ones without a gap: the
-- counters of an item equal its balance and its live entries. Written by the trigger below alone.
CREATE TABLE ledger_balances (
    item_id           bigint PRIMARY KEY,
    entries           bigint NOT NULL, -- how many
    quantity          bigint NOT NULL,
    reserved          bigint NOT NULL,
    through_ledger_id bigint NOT NULL, -- of the last of them
    through_version   bigint NOT NULL, -- of the item, after the last of them
    CONSTRAINT ledger_balances_entries_positive CHECK (entries > 0),
    CONSTRAINT ledger_balances_valid CHECK (quantity >= 0 AND reserved >= 0 AND reserved <= quantity)
);

-- Rows that are deleted, not archived, for nobody asks for them again: how far that went. What must be
-- there since is told from what may be gone by it.
CREATE TABLE archive.horizons (
    name           text PRIMARY KEY,
    deleted_before timestamptz NOT NULL
);

-- +goose StatementBegin
-- The ledger is append-only. A wipe of all of it is let through (holdfast.reset, as before), and so are
-- deletions by the archive, which says so with SET LOCAL holdfast.archive = 'on'; what it may delete, the
-- trigger after it decides. Nothing is ever taken out of the archived ledger, nor changed in either.
CREATE OR REPLACE FUNCTION stock_ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' AND current_setting('holdfast.reset', true) = 'on' THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'DELETE' AND TG_TABLE_SCHEMA = 'public' AND current_setting('holdfast.archive', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'the stock ledger is append-only: % refused', TG_OP USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER archived_stock_ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON archive.stock_ledger
    FOR EACH STATEMENT EXECUTE FUNCTION stock_ledger_refuse_change();

-- +goose StatementBegin
-- Entries may leave the ledger only for the archive, in the order of their item's history, once their
-- reservation has left, and with their sums added to the balance. All of it is checked here, for whole
-- statements at once, so that no code and no person can break it; inserts do not pay for it.
-- What is asked of a table row by row is a subquery with a LIMIT, so that it stays a look-up by key
-- whatever the tables were like when the session planned it.
CREATE FUNCTION stock_ledger_leave() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    bad text;
BEGIN
    SELECT format('entry %s is not in the archive as it is', g.ledger_id) INTO bad
    FROM gone g
    LEFT JOIN LATERAL (
        SELECT v.* FROM archive.stock_ledger v WHERE v.item_id = g.item_id AND v.ledger_id = g.ledger_id LIMIT 1
    ) a ON true
    WHERE ROW(a.*) IS DISTINCT FROM ROW(g.*) LIMIT 1;
    IF bad IS NULL THEN
        SELECT format('entry %s is about reservation %s, which is not in the archive', g.ledger_id, g.reservation_id) INTO bad
        FROM gone g
        CROSS JOIN LATERAL (SELECT 1 FROM reservations r WHERE r.reservation_id = g.reservation_id LIMIT 1) r
        LIMIT 1;
    END IF;
    IF bad IS NULL THEN
        SELECT format('older entries of item %s would stay', g.item_id) INTO bad
        FROM (
            SELECT item_id, min(ledger_id) AS first, max(ledger_id) AS last,
                   coalesce((SELECT b.through_ledger_id FROM ledger_balances b WHERE b.item_id = e.item_id), 0) AS through
            FROM gone e GROUP BY item_id
        ) g
        LEFT JOIN LATERAL (
            SELECT s.ledger_id FROM stock_ledger s
            WHERE s.item_id = g.item_id AND s.ledger_id > g.through AND s.ledger_id < g.last
            ORDER BY s.ledger_id LIMIT 1
        ) left_behind ON true
        WHERE g.first <= g.through OR left_behind.ledger_id IS NOT NULL
        LIMIT 1;
    END IF;
    IF bad IS NULL THEN
        INSERT INTO ledger_balances
        SELECT g.item_id, g.entries + coalesce(b.entries, 0), g.quantity + coalesce(b.quantity, 0), g.reserved + coalesce(b.reserved, 0), g.last, g.version
        FROM (
            SELECT item_id, count(*) AS entries, sum(quantity_delta) AS quantity, sum(reserved_delta) AS reserved,
                   max(ledger_id) AS last, max(version_after) AS version
            FROM gone GROUP BY item_id
        ) g
        LEFT JOIN LATERAL (SELECT v.* FROM ledger_balances v WHERE v.item_id = g.item_id LIMIT 1) b ON true
        ORDER BY g.item_id
        ON CONFLICT (item_id) DO UPDATE
        SET entries = excluded.entries, quantity = excluded.quantity, reserved = excluded.reserved,
            through_ledger_id = excluded.through_ledger_id, through_version = excluded.through_version;
        SELECT format('the entries of item %s do not sum up to what its last one says', g.item_id) INTO bad
        FROM gone g
        CROSS JOIN LATERAL (
            SELECT 1 FROM ledger_balances b
            WHERE b.item_id = g.item_id AND b.through_ledger_id = g.ledger_id AND (b.quantity, b.reserved) <> (g.quantity_after, g.reserved_after)
            LIMIT 1
        ) b
        LIMIT 1;
    END IF;
    IF bad IS NOT NULL THEN
        RAISE EXCEPTION 'the stock ledger is append-only: %', bad
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'stock_ledger_leaves_for_archive';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER stock_ledger_leaves_for_archive AFTER DELETE ON stock_ledger
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION stock_ledger_leave();

-- +goose StatementBegin
-- Reservations and their lines are never deleted either, unless they are in the archive as they are.
CREATE FUNCTION reservations_leave() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    bad uuid;
BEGIN
    IF TG_TABLE_NAME = 'reservations' THEN
        SELECT g.reservation_id INTO bad
        FROM gone g
        LEFT JOIN LATERAL (SELECT v.* FROM archive.reservations v WHERE v.reservation_id = g.reservation_id LIMIT 1) a ON true
        LEFT JOIN LATERAL (SELECT v.line_no FROM reservation_lines v WHERE v.reservation_id = g.reservation_id LIMIT 1) l ON true
        WHERE ROW(a.*) IS DISTINCT FROM ROW(g.*) OR l.line_no IS NOT NULL LIMIT 1;
    ELSE
        SELECT g.reservation_id INTO bad
        FROM gone g
        LEFT JOIN LATERAL (
            SELECT v.* FROM archive.reservation_lines v
            WHERE v.reservation_id = g.reservation_id AND v.line_no = g.line_no AND v.item_id = g.item_id LIMIT 1
        ) a ON true
        WHERE ROW(a.*) IS DISTINCT FROM ROW(g.*) LIMIT 1;
    END IF;
    IF bad IS NOT NULL THEN
        RAISE EXCEPTION 'reservation % is not in the archive as it is: % refused', bad, TG_OP
            USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_TABLE_NAME || '_leave_for_archive';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER reservations_leave_for_archive AFTER DELETE ON reservations
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION reservations_leave();
CREATE TRIGGER reservation_lines_leave_for_archive AFTER DELETE ON reservation_lines
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION reservations_leave();

-- +goose StatementBegin
-- What is archived never comes to be a second time. Asked once the rows are in: whoever inserts an id that
-- is just being archived waits for that at the key, and finds it here.
CREATE FUNCTION reservations_refuse_archived() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM archive.reservations a WHERE a.reservation_id = ANY (ARRAY(SELECT m.reservation_id FROM made m))) THEN
        RAISE EXCEPTION 'a reservation of this id is in the archive' USING ERRCODE = 'unique_violation', CONSTRAINT = 'archived_reservations_pkey';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER reservations_not_archived AFTER INSERT ON reservations
    REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION reservations_refuse_archived();

-- +goose StatementBegin
CREATE FUNCTION ledger_balances_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' AND current_setting('holdfast.reset', true) = 'on' THEN
        RETURN NULL;
    END IF;
    IF TG_OP IN ('INSERT', 'UPDATE') AND pg_trigger_depth() > 1 THEN -- from stock_ledger_leave
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'balances follow from the ledger: % refused', TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'ledger_balances_follow';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER ledger_balances_follow BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ledger_balances
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_balances_refuse_change();

-- +goose Down

-- What was archived comes back, so that nothing is lost and the sums hold without balances.
DROP TRIGGER stock_ledger_leaves_for_archive ON stock_ledger;
DROP TRIGGER reservations_leave_for_archive ON reservations;
DROP TRIGGER reservations_not_archived ON reservations;
DROP TRIGGER reservation_lines_leave_for_archive ON reservation_lines;
INSERT INTO reservations SELECT * FROM archive.reservations;
INSERT INTO reservation_lines SELECT * FROM archive.reservation_lines;
INSERT INTO stock_ledger OVERRIDING SYSTEM VALUE SELECT * FROM archive.stock_ledger;
DROP TABLE ledger_balances;
DROP SCHEMA archive CASCADE;
DROP FUNCTION ledger_balances_refuse_change();
DROP FUNCTION stock_ledger_leave();
DROP FUNCTION reservations_leave();
DROP FUNCTION reservations_refuse_archived();

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION stock_ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' AND current_setting('holdfast.reset', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'the stock ledger is append-only: % refused', TG_OP USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd
