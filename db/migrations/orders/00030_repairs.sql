-- +goose Up
-- What operators did to repair orders, and reservations without an order. A row is inserted before the repair acts, and
-- gets its outcome afterwards. It outlives the order.
CREATE TABLE repairs (
    repair_id      uuid        PRIMARY KEY,
    order_id       uuid,
    reservation_id uuid,       -- of a reservation without an order
    action         text        NOT NULL CHECK (action IN ('retry_now', 'skip_step', 'force_release', 'adopt')),
    step           text        NOT NULL DEFAULT '',
    reference      text        NOT NULL DEFAULT '',
    reason         text        NOT NULL CHECK (reason <> ''),
    issuer         text        NOT NULL,
    actor          text        NOT NULL,
    key            text        NOT NULL,
    outcome        text        NOT NULL DEFAULT 'begun' CHECK (outcome IN ('begun', 'under_way', 'done', 'refused')),
    code           text        NOT NULL DEFAULT '',
    detail         text        NOT NULL DEFAULT '',
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at       timestamptz,
    CONSTRAINT repairs_key UNIQUE (issuer, actor, key),
    CONSTRAINT repairs_subject CHECK ((order_id IS NULL) <> (reservation_id IS NULL)),
    CONSTRAINT repairs_end CHECK ((ended_at IS NULL) = (outcome IN ('begun', 'under_way')))
);
CREATE INDEX repairs_list_idx ON repairs (created_at DESC, repair_id DESC);
CREATE INDEX repairs_order_idx ON repairs (order_id, created_at DESC, repair_id DESC) WHERE order_id IS NOT NULL;
CREATE INDEX repairs_reservation_idx ON repairs (reservation_id, created_at DESC, repair_id DESC)
WHERE reservation_id IS NOT NULL;

-- +goose Down
DROP TABLE repairs;
