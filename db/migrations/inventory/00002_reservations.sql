-- +goose Up

-- A reservation claims stock until expires_at, by the database's clock. It reaches at most one terminal status. A
-- reservation whose release arrived before its reserve is a tombstone: it has no request_hash and no lines.
CREATE TABLE reservations (
    reservation_id    uuid PRIMARY KEY, -- the owner makes it, so that a repeated reserve finds the first
    owner_kind        text        NOT NULL,
    owner_id          uuid        NOT NULL,
    number            integer     NOT NULL,
    request_hash      bytea,
    status            text        NOT NULL,
    expires_at        timestamptz NOT NULL,
    workflow_id       text        NOT NULL DEFAULT '', -- the workflow that owns the timer
    version           bigint      NOT NULL DEFAULT 1,  -- of the aggregate: updates check it, and it orders the events
    actor             text        NOT NULL, -- the author of the latest change
    reason            text        NOT NULL DEFAULT '',
    reserve_operation uuid        NOT NULL, -- a repeated call gets its answer again from
    resolve_operation uuid,                 -- the ledger entries of these two operations
    created_at        timestamptz NOT NULL,
    resolved_at       timestamptz,
    -- An owner's second reservation has number 2. The key refuses another id for the same number.
    CONSTRAINT reservations_owner_key UNIQUE (owner_kind, owner_id, number),
    CONSTRAINT reservations_owner_kind_known CHECK (owner_kind IN ('order', 'customer')),
    CONSTRAINT reservations_number_positive CHECK (number >= 1),
    CONSTRAINT reservations_status_known CHECK (status IN ('pending', 'confirmed', 'released', 'expired')),
    CONSTRAINT reservations_resolved_once CHECK ((status = 'pending') = (resolved_at IS NULL)),
    CONSTRAINT reservations_resolution_known CHECK ((status = 'pending') = (resolve_operation IS NULL)),
    CONSTRAINT reservations_tombstone_released CHECK (request_hash IS NOT NULL OR status = 'released'),
    CONSTRAINT reservations_hash_length CHECK (length(request_hash) = 32)
) WITH (fillfactor = 80); -- a reservation is updated once or twice in its life

-- The quantities that a reservation holds, per line and item. A line that no single location can fill has several rows.
-- The primary key starts with the reservation, because every read of lines is by reservation.
CREATE TABLE reservation_lines (
    reservation_id uuid    NOT NULL,
    line_no        integer NOT NULL,
    item_id        bigint  NOT NULL,
    quantity       bigint  NOT NULL,
    returned       bigint  NOT NULL DEFAULT 0, -- the part of the confirmed quantity that was returned
    PRIMARY KEY (reservation_id, line_no, item_id),
    CONSTRAINT reservation_lines_reservation_fkey FOREIGN KEY (reservation_id) REFERENCES reservations (reservation_id),
    CONSTRAINT reservation_lines_item_fkey FOREIGN KEY (item_id) REFERENCES items (item_id),
    CONSTRAINT reservation_lines_line_positive CHECK (line_no >= 1),
    CONSTRAINT reservation_lines_quantity_positive CHECK (quantity > 0),
    CONSTRAINT reservation_lines_returned_within_quantity CHECK (returned >= 0 AND returned <= quantity)
);

-- +goose StatementBegin
-- A terminal status is final, also if the service has a fault.
CREATE FUNCTION reservations_keep_terminal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'reservation % is %, which is final', OLD.reservation_id, OLD.status
        USING ERRCODE = 'check_violation', CONSTRAINT = 'reservations_terminal_is_final';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER reservations_terminal_is_final BEFORE UPDATE ON reservations
    FOR EACH ROW WHEN (OLD.status <> 'pending' AND NEW.status <> OLD.status)
    EXECUTE FUNCTION reservations_keep_terminal();

-- +goose Down
DROP TABLE reservation_lines;
DROP TABLE reservations;
DROP FUNCTION reservations_keep_terminal();
