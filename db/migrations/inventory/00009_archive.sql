-- +goose Up

-- The archive takes finished reservations and old entries of the ledger, so that the tables that requests use hold the
-- last months and not all years. Its tables have the same columns in the same order: a migration that adds a column to
-- one of those tables adds it here too, and a test compares them.
CREATE SCHEMA archive;

-- The key serves two look-ups: the service recognises a late repeat of a reserve, and an operator reads one row.
CREATE TABLE archive.reservations (LIKE public.reservations,
    CONSTRAINT archived_reservations_pkey PRIMARY KEY (reservation_id),
    CONSTRAINT archived_reservations_finished CHECK (status <> 'pending'));

CREATE TABLE archive.reservation_lines (LIKE public.reservation_lines,
    CONSTRAINT archived_reservation_lines_pkey PRIMARY KEY (reservation_id, line_no, item_id),
    CONSTRAINT archived_reservation_lines_closed CHECK (NOT open));

-- The key serves reads of an item's history. An operation acts once for ever: a receipt, an adjustment, a transfer or a
-- return that is repeated after years finds its first entries here.
CREATE TABLE archive.stock_ledger (LIKE public.stock_ledger,
    CONSTRAINT archived_stock_ledger_pkey PRIMARY KEY (item_id, ledger_id),
    CONSTRAINT archived_stock_ledger_operation_key UNIQUE (operation_id, item_id, line));
-- The live ledger has the same setting for the same reason: a page of a hot item's history is read from the index.
ALTER TABLE archive.stock_ledger ALTER COLUMN item_id SET (n_distinct = 200);

-- The sums of an item's archived entries, which are its oldest entries without a gap. The counters of an item equal its
-- balance plus its live entries. Only the trigger below writes this table.
CREATE TABLE ledger_balances (
    item_id           bigint PRIMARY KEY,
    entries           bigint NOT NULL, -- the number of archived entries
    quantity          bigint NOT NULL,
    reserved          bigint NOT NULL,
    through_ledger_id bigint NOT NULL, -- of the last archived entry
    through_version   bigint NOT NULL, -- of the item, after the last archived entry
    CONSTRAINT ledger_balances_entries_positive CHECK (entries > 0),
    CONSTRAINT ledger_balances_valid CHECK (quantity >= 0 AND reserved >= 0 AND reserved <= quantity)
);

-- Some rows are deleted and not archived, because no caller needs them again. A horizon says up to which time they may
-- be deleted: an older row may be missing, a younger row must exist.
CREATE TABLE archive.horizons (
    name           text PRIMARY KEY,
    deleted_before timestamptz NOT NULL
);

-- +goose StatementBegin
-- The ledger is append-only. This trigger allows a truncation of the whole ledger (holdfast.reset, as before) and
-- deletions by the archive, which runs SET LOCAL holdfast.archive = 'on'. The next trigger decides which entries the
-- archive may delete. The archived ledger allows no deletion, and neither ledger allows a change.
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
-- An entry may leave the ledger only if its copy is in the archive, in the order of its item's history, after its
-- reservation has left, and with its sums added to the balance. This trigger checks all of that, once per statement, so
-- that neither code nor an operator can break it. Inserts do not pay for it. The look-ups in other tables are
-- subqueries with a LIMIT, so that they stay look-ups by key, however large the tables were when the session planned
-- them.
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
-- Reservations and their lines may be deleted only if an exact copy is in the archive.
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
-- An archived reservation is never made again. The trigger looks after the rows are inserted: a transaction that
-- inserts an id which is just being archived first waits for the archive at the key, and then finds the id here.
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

-- The archived rows move back, so that no row is lost and the sums are right without balances.
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
