-- +goose Up
-- What happens to an order after it is paid. The order's workflow writes these rows together with the order's row; each
-- record has all shipments of the order.
ALTER TABLE order_timeline DROP CONSTRAINT order_timeline_transition;
ALTER TABLE order_timeline ADD CONSTRAINT order_timeline_transition CHECK (from_state = state OR from_state || '>' || state IN (
    '>cancelled', '>failed', '>pending', '>rejected', '>reserved', 'confirmed>cancelled',
    'confirmed>fulfilling', 'fulfilling>cancelled', 'fulfilling>completed', 'fulfilling>refunded',
    'paying>cancelled', 'paying>confirmed', 'paying>expired', 'paying>failed', 'paying>reserved',
    'pending>cancelled', 'pending>expired', 'pending>failed', 'pending>rejected', 'pending>reserved',
    'reserved>cancelled', 'reserved>expired', 'reserved>failed', 'reserved>paying'));

-- The number of the shipment that an entry concerns; 0 for none.
ALTER TABLE order_timeline ADD COLUMN shipment integer NOT NULL DEFAULT 0 CHECK (shipment >= 0);

-- Why an operator has stopped the fulfilment; empty while it is not stopped.
ALTER TABLE orders ADD COLUMN hold_reason text NOT NULL DEFAULT '', ADD COLUMN hold_note text NOT NULL DEFAULT '';

CREATE TABLE shipments (
    order_id        uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
    number          integer NOT NULL CHECK (number > 0),
    location        text NOT NULL,
    status          text NOT NULL CONSTRAINT shipments_status_check CHECK (status IN (
        'planned', 'packed', 'shipped', 'delivered', 'cancelled', 'lost')),
    carrier         text NOT NULL DEFAULT '',
    tracking_number text NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL, -- when it was planned
    updated_at      timestamptz NOT NULL, -- when its status last changed
    PRIMARY KEY (order_id, number)
);
-- For the pick list of a location, oldest first, by cursor over (created_at, order_id, number).
CREATE INDEX shipments_location_idx ON shipments (location, status, created_at, order_id, number);
-- For the reports of a carrier.
CREATE INDEX shipments_tracking_idx ON shipments (tracking_number) WHERE tracking_number <> '';

CREATE TABLE shipment_lines (
    order_id    uuid NOT NULL,
    number      integer NOT NULL,
    line_no     integer NOT NULL, -- of the order
    reservation integer NOT NULL CHECK (reservation > 0), -- the number of the order's reservation that took the stock
    quantity    bigint NOT NULL CHECK (quantity >= 0), -- in the shipment now
    cancelled   bigint NOT NULL DEFAULT 0 CHECK (cancelled >= 0),
    short       bigint NOT NULL DEFAULT 0 CHECK (short >= 0), -- missing or damaged
    rerouting   bigint NOT NULL DEFAULT 0 CHECK (rerouting >= 0), -- another shipment is to bring them; not decided yet
    PRIMARY KEY (order_id, number, line_no, reservation),
    FOREIGN KEY (order_id, number) REFERENCES shipments ON DELETE CASCADE
);

-- A payment can be refunded in several parts. number counts the refunds of a paid order from 1; every other step, and
-- the refund of an order that was not carried out, has 0.
ALTER TABLE payments ADD COLUMN number integer NOT NULL DEFAULT 0 CHECK (number >= 0),
    DROP CONSTRAINT payments_step_key, ADD CONSTRAINT payments_step_key PRIMARY KEY (order_id, step, attempt, number);

-- +goose Down
-- Orders that go back to the version before this one are paid, and their shipments are forgotten.
DELETE FROM payments WHERE number > 0;
ALTER TABLE payments DROP CONSTRAINT payments_step_key, DROP COLUMN number,
    ADD CONSTRAINT payments_step_key PRIMARY KEY (order_id, step, attempt);
DROP TABLE shipment_lines;
DROP TABLE shipments;
ALTER TABLE orders DROP COLUMN hold_reason, DROP COLUMN hold_note;
ALTER TABLE order_timeline DROP COLUMN shipment;
ALTER TABLE order_timeline DROP CONSTRAINT order_timeline_transition;
DELETE FROM order_timeline WHERE from_state IN ('confirmed', 'fulfilling');
UPDATE orders SET state = 'confirmed' WHERE state IN ('fulfilling', 'completed', 'refunded');
ALTER TABLE order_timeline ADD CONSTRAINT order_timeline_transition CHECK (from_state = state OR from_state || '>' || state IN (
    '>cancelled', '>failed', '>pending', '>rejected', '>reserved', 'paying>cancelled', 'paying>confirmed',
    'paying>expired', 'paying>failed', 'paying>reserved', 'pending>cancelled', 'pending>expired',
    'pending>failed', 'pending>rejected', 'pending>reserved', 'reserved>cancelled', 'reserved>expired',
    'reserved>failed', 'reserved>paying'));
