-- +goose Up

-- The deadline of an open line's reservation, so that one index has the open lines of an item by deadline. A reserve
-- that falls short looks there for overdue reservations, and readers of availability count their stock as available.
-- The column is a copy: reservations.expires_at decides whether a reservation is due. It is null in a line that the
-- version before this one writes: the owner expires that reservation, as before.
ALTER TABLE reservation_lines ADD COLUMN expires_at timestamptz;
ALTER TABLE archive.reservation_lines ADD COLUMN expires_at timestamptz;
UPDATE reservation_lines l SET expires_at = r.expires_at
FROM reservations r WHERE r.reservation_id = l.reservation_id AND l.open;

-- For the lines that hold an item's stock, and the overdue ones among them first. It replaces the index of the open
-- lines by item alone. The entries of a hot item still grow at one end, because new deadlines are the latest.
DROP INDEX reservation_lines_open_idx;
CREATE INDEX reservation_lines_open_idx ON reservation_lines (item_id, expires_at) WHERE open;

-- Few reservations are extended. A trigger moves the deadline of their lines, also for the version before this one. All
-- other updates of a reservation pay for a comparison. The condition is written so that PostgreSQL cannot use the
-- partial index, which begins with the item.
-- +goose StatementBegin
CREATE FUNCTION reservations_move_deadline() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    UPDATE reservation_lines SET expires_at = NEW.expires_at
    WHERE reservation_id = NEW.reservation_id AND coalesce(open, false);
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER reservations_deadline_of_lines AFTER UPDATE ON reservations
    FOR EACH ROW WHEN (NEW.expires_at <> OLD.expires_at)
    EXECUTE FUNCTION reservations_move_deadline();

-- +goose Down
DROP TRIGGER reservations_deadline_of_lines ON reservations;
DROP FUNCTION reservations_move_deadline();
DROP INDEX reservation_lines_open_idx;
CREATE INDEX reservation_lines_open_idx ON reservation_lines (item_id) WHERE open;
ALTER TABLE archive.reservation_lines DROP COLUMN expires_at;
ALTER TABLE reservation_lines DROP COLUMN expires_at;
