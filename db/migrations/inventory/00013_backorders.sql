-- +goose Up

-- A backorder waits for stock until its deadline, by the database's clock. When stock comes, the backorders of a product
-- are granted in the order of position: the backorder becomes the reservation of the same id. A backorder whose
-- cancellation arrived before it is a tombstone: it has no request_hash and no lines.
CREATE TABLE backorders (
    backorder_id      uuid PRIMARY KEY, -- the id of the reservation that it becomes; the owner makes it
    position          bigint NOT NULL GENERATED ALWAYS AS IDENTITY, -- the order in which backorders were placed
    owner_kind        text        NOT NULL,
    owner_id          uuid        NOT NULL,
    number            integer     NOT NULL,
    request_hash      bytea,
    status            text        NOT NULL,
    deadline          timestamptz NOT NULL,
    ttl_seconds       bigint      NOT NULL, -- of the reservation, from the moment of the grant
    strategy          text        NOT NULL DEFAULT '', -- of the reservation's allocation
    workflow_id       text        NOT NULL DEFAULT '', -- the workflow that owns the timer
    version           bigint      NOT NULL DEFAULT 1,  -- of the aggregate: updates check it, and it orders the events
    actor             text        NOT NULL, -- the author of the latest change
    reason            text        NOT NULL DEFAULT '',
    place_operation   uuid        NOT NULL,
    resolve_operation uuid,
    correlation_id    text        NOT NULL DEFAULT '', -- of the request; the event of the grant repeats it
    created_at        timestamptz NOT NULL,
    resolved_at       timestamptz,
    -- An owner's reservations and backorders share their numbers. The key refuses another id for the same number.
    CONSTRAINT backorders_owner_key UNIQUE (owner_kind, owner_id, number),
    CONSTRAINT backorders_owner_kind_known CHECK (owner_kind IN ('order', 'customer')),
    CONSTRAINT backorders_number_positive CHECK (number >= 1),
    CONSTRAINT backorders_status_known CHECK (status IN ('waiting', 'granted', 'cancelled', 'expired')),
    CONSTRAINT backorders_ttl_positive CHECK (ttl_seconds >= 1),
    CONSTRAINT backorders_resolved_once CHECK ((status = 'waiting') = (resolved_at IS NULL)),
    CONSTRAINT backorders_resolution_known CHECK ((status = 'waiting') = (resolve_operation IS NULL)),
    CONSTRAINT backorders_tombstone_cancelled CHECK (request_hash IS NOT NULL OR status = 'cancelled'),
    CONSTRAINT backorders_hash_length CHECK (length(request_hash) = 32)
) WITH (fillfactor = 80); -- a backorder is updated once or twice in its life

-- position, deadline and waiting are copies, so that one index has the waiting list of a product. The transaction that
-- ends a backorder sets waiting to false and counts the lines.
CREATE TABLE backorder_lines (
    backorder_id uuid        NOT NULL,
    line_no      integer     NOT NULL,
    product_id   uuid        NOT NULL,
    quantity     bigint      NOT NULL,
    position     bigint      NOT NULL,
    deadline     timestamptz NOT NULL,
    waiting      boolean     NOT NULL,
    PRIMARY KEY (backorder_id, line_no),
    CONSTRAINT backorder_lines_backorder_fkey FOREIGN KEY (backorder_id) REFERENCES backorders (backorder_id),
    CONSTRAINT backorder_lines_line_positive CHECK (line_no >= 1),
    CONSTRAINT backorder_lines_quantity_positive CHECK (quantity > 0)
);
-- For the waiting list of a product, in order: grants, positions and promised dates read it.
CREATE INDEX backorder_lines_waiting_idx ON backorder_lines (product_id, position) INCLUDE (quantity) WHERE waiting;
-- For a reserve that falls short because of backorders: it ends those past their deadline.
CREATE INDEX backorder_lines_deadline_idx ON backorder_lines (product_id, deadline) WHERE waiting;

-- The quantity of the product for which backorders wait, on each of the product's items, so that a transaction that
-- locks an item knows without a further look-up whether backorders wait for its stock. It holds if version > 0: an item
-- that was created and never used keeps the value of that moment.
ALTER TABLE items ADD COLUMN waiting bigint NOT NULL DEFAULT 0;
ALTER TABLE items ADD CONSTRAINT items_waiting_not_negative CHECK (waiting >= 0);
-- For the inventory process, which looks for stock that an interrupted grant has left. It is empty while no backorder
-- waits. Updates that leave waiting as it is stay heap-only.
CREATE INDEX items_waiting_idx ON items (item_id) WHERE waiting > 0;

-- +goose StatementBegin
-- A status other than waiting is final, also if the service has a fault.
CREATE FUNCTION backorders_keep_terminal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'backorder % is %, which is final', OLD.backorder_id, OLD.status
        USING ERRCODE = 'check_violation', CONSTRAINT = 'backorders_terminal_is_final';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER backorders_terminal_is_final BEFORE UPDATE ON backorders
    FOR EACH ROW WHEN (OLD.status <> 'waiting' AND NEW.status <> OLD.status)
    EXECUTE FUNCTION backorders_keep_terminal();

-- +goose StatementBegin
-- A reservation may have the id of a backorder only if the backorder was granted, which the transaction of the grant
-- records first. The check is part of the trigger that refuses archived ids, so that an insert fires one trigger.
CREATE OR REPLACE FUNCTION reservations_refuse_archived() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM archive.reservations a WHERE a.reservation_id = ANY (ARRAY(SELECT m.reservation_id FROM made m))) THEN
        RAISE EXCEPTION 'a reservation of this id is in the archive' USING ERRCODE = 'unique_violation', CONSTRAINT = 'archived_reservations_pkey';
    END IF;
    IF EXISTS (
        SELECT 1 FROM backorders b
        WHERE b.backorder_id = ANY (ARRAY(SELECT m.reservation_id FROM made m)) AND b.status <> 'granted'
    ) THEN
        RAISE EXCEPTION 'a backorder of this id was not granted' USING ERRCODE = 'unique_violation', CONSTRAINT = 'reservations_not_backordered';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- Deliveries that operators expect. The promised dates of backorders follow from them; stock they are only once received.
CREATE TABLE incoming_stock (
    incoming_id uuid PRIMARY KEY,
    product_id  uuid        NOT NULL,
    location_id integer     NOT NULL,
    quantity    bigint      NOT NULL, -- of the whole delivery
    received    bigint      NOT NULL DEFAULT 0, -- the part that has arrived
    expected_at timestamptz NOT NULL,
    reference   text        NOT NULL DEFAULT '', -- the supplier's or the purchase order's
    status      text        NOT NULL,
    version     bigint      NOT NULL DEFAULT 1,
    actor       text        NOT NULL, -- the author of the latest change
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    CONSTRAINT incoming_stock_location_fkey FOREIGN KEY (location_id) REFERENCES locations (location_id),
    CONSTRAINT incoming_stock_quantity_positive CHECK (quantity > 0),
    CONSTRAINT incoming_stock_received_not_negative CHECK (received >= 0),
    CONSTRAINT incoming_stock_status_known CHECK (status IN ('expected', 'received', 'cancelled')),
    CONSTRAINT incoming_stock_open_has_rest CHECK (status <> 'expected' OR received < quantity)
);
-- For the deliveries that a product expects, in the order in which they come: promised dates and the operators' list.
CREATE INDEX incoming_stock_expected_idx ON incoming_stock (product_id, expected_at, incoming_id) WHERE status = 'expected';

-- +goose Down

DROP TABLE incoming_stock;
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION reservations_refuse_archived() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM archive.reservations a WHERE a.reservation_id = ANY (ARRAY(SELECT m.reservation_id FROM made m))) THEN
        RAISE EXCEPTION 'a reservation of this id is in the archive' USING ERRCODE = 'unique_violation', CONSTRAINT = 'archived_reservations_pkey';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
DROP INDEX items_waiting_idx;
ALTER TABLE items DROP COLUMN waiting;
DROP TABLE backorder_lines;
DROP TABLE backorders;
DROP FUNCTION backorders_keep_terminal();
