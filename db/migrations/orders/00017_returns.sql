-- +goose Up
-- What customers send back. The order's workflow writes these rows together with the order's row; each record has all
-- returns of the order.
ALTER TABLE order_timeline DROP CONSTRAINT order_timeline_transition;
ALTER TABLE order_timeline ADD CONSTRAINT order_timeline_transition CHECK (from_state = state OR from_state || '>' || state IN (
    '>cancelled', '>failed', '>pending', '>rejected', '>reserved', 'completed>refunded', 'confirmed>cancelled',
    'confirmed>fulfilling', 'fulfilling>cancelled', 'fulfilling>completed', 'fulfilling>refunded',
    'in_review>cancelled', 'in_review>expired', 'in_review>failed', 'in_review>reserved', 'paying>cancelled',
    'paying>confirmed', 'paying>expired', 'paying>failed', 'paying>reserved', 'pending>cancelled',
    'pending>expired', 'pending>failed', 'pending>in_review', 'pending>rejected', 'pending>reserved',
    'reserved>cancelled', 'reserved>expired', 'reserved>failed', 'reserved>paying'));

CREATE TABLE returns (
    order_id   uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
    number     integer NOT NULL CHECK (number > 0),
    status     text NOT NULL CONSTRAINT returns_status_check CHECK (status IN (
        'requested', 'approved', 'rejected', 'cancelled', 'received', 'lapsed')),
    reason     text NOT NULL CONSTRAINT returns_reason_check CHECK (reason IN (
        'no_longer_wanted', 'damaged', 'wrong_item', 'not_as_described', 'other')),
    note       text NOT NULL DEFAULT '', -- the customer's words, or why an operator rejects the return
    key        text NOT NULL DEFAULT '', -- the Idempotency-Key of the request
    receive_by timestamptz,              -- when an approved return lapses
    created_at timestamptz NOT NULL,     -- when it was requested
    updated_at timestamptz NOT NULL,     -- when its status last changed
    PRIMARY KEY (order_id, number)
);
-- For the list of returns by status, oldest first, by cursor over (created_at, order_id, number).
CREATE INDEX returns_status_idx ON returns (status, created_at, order_id, number);

CREATE TABLE return_lines (
    order_id     uuid NOT NULL,
    number       integer NOT NULL,
    line_no      integer NOT NULL, -- of the order
    quantity     bigint NOT NULL CHECK (quantity > 0),
    restocked    bigint NOT NULL DEFAULT 0 CHECK (restocked >= 0), -- arrived, and back on the shelf
    damaged      bigint NOT NULL DEFAULT 0 CHECK (damaged >= 0),   -- arrived, and cannot be sold again
    refund_minor bigint NOT NULL DEFAULT 0 CHECK (refund_minor >= 0),
    PRIMARY KEY (order_id, number, line_no),
    FOREIGN KEY (order_id, number) REFERENCES returns ON DELETE CASCADE,
    CHECK (restocked + damaged <= quantity)
);

-- Units of a delivered shipment that came back and went on the shelf again.
ALTER TABLE shipment_lines ADD COLUMN restocked bigint NOT NULL DEFAULT 0 CHECK (restocked >= 0);

-- +goose Down
-- Orders that go back to the version before this one are completed, and their returns are forgotten. What was refunded
-- stays refunded.
ALTER TABLE shipment_lines DROP COLUMN restocked;
DROP TABLE return_lines;
DROP TABLE returns;
ALTER TABLE order_timeline DROP CONSTRAINT order_timeline_transition;
UPDATE orders SET state = 'completed'
WHERE order_id IN (SELECT order_id FROM order_timeline WHERE from_state = 'completed' AND state = 'refunded');
UPDATE order_timeline SET state = 'completed' WHERE from_state = 'completed' AND state = 'refunded';
ALTER TABLE order_timeline ADD CONSTRAINT order_timeline_transition CHECK (from_state = state OR from_state || '>' || state IN (
    '>cancelled', '>failed', '>pending', '>rejected', '>reserved', 'confirmed>cancelled',
    'confirmed>fulfilling', 'fulfilling>cancelled', 'fulfilling>completed', 'fulfilling>refunded',
    'in_review>cancelled', 'in_review>expired', 'in_review>failed', 'in_review>reserved', 'paying>cancelled',
    'paying>confirmed', 'paying>expired', 'paying>failed', 'paying>reserved', 'pending>cancelled',
    'pending>expired', 'pending>failed', 'pending>in_review', 'pending>rejected', 'pending>reserved',
    'reserved>cancelled', 'reserved>expired', 'reserved>failed', 'reserved>paying'));
