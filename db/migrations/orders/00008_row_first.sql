-- +goose Up
-- The api inserts an order's row before the order's workflow starts. Until the workflow records the order for the first
-- time, the row has seq 0, state pending and no run, and order_starts has what the workflow starts with.
ALTER TABLE orders DROP CONSTRAINT orders_seq_check, ADD CONSTRAINT orders_seq_check CHECK (seq >= 0);
ALTER TABLE order_timeline DROP CONSTRAINT order_timeline_seq_check,
    ADD CONSTRAINT order_timeline_seq_check CHECK (seq >= 0);

-- An order whose stock is not decided within its time to live expires.
ALTER TABLE order_timeline DROP CONSTRAINT order_timeline_transition;
ALTER TABLE order_timeline ADD CONSTRAINT order_timeline_transition CHECK (from_state = state OR from_state || '>' || state IN (
    '>cancelled', '>failed', '>pending', '>rejected', '>reserved', 'paying>cancelled',
    'paying>confirmed', 'paying>expired', 'paying>failed', 'paying>reserved', 'pending>cancelled', 'pending>expired',
    'pending>failed', 'pending>rejected', 'pending>reserved', 'reserved>cancelled', 'reserved>expired', 'reserved>failed',
    'reserved>paying'));

-- Orders whose workflow has recorded nothing yet, in the order in which they came. The workflow's first record deletes
-- the row.
CREATE TABLE order_starts (
    order_id     uuid PRIMARY KEY REFERENCES orders ON DELETE CASCADE,
    position     bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    input        jsonb NOT NULL, -- the input of the workflow
    attempts     integer NOT NULL DEFAULT 0, -- how many times a start was tried
    available_at timestamptz NOT NULL -- until this time the order belongs to the api process that starts it, or waits after a failed start
);
CREATE INDEX order_starts_position_idx ON order_starts (position);

-- +goose Down
-- Let the waiting orders start before you go back: the version before this one does not start them.
DROP TABLE order_starts;
ALTER TABLE order_timeline DROP CONSTRAINT order_timeline_transition;
DELETE FROM order_timeline WHERE seq = 0 OR from_state || '>' || state = 'pending>expired';
ALTER TABLE order_timeline ADD CONSTRAINT order_timeline_transition CHECK (from_state = state OR from_state || '>' || state IN (
    '>cancelled', '>failed', '>pending', '>rejected', '>reserved', 'paying>cancelled',
    'paying>confirmed', 'paying>expired', 'paying>failed', 'paying>reserved', 'pending>cancelled', 'pending>failed',
    'pending>rejected', 'pending>reserved', 'reserved>cancelled', 'reserved>expired', 'reserved>failed', 'reserved>paying'));
ALTER TABLE order_timeline DROP CONSTRAINT order_timeline_seq_check,
    ADD CONSTRAINT order_timeline_seq_check CHECK (seq > 0);
UPDATE orders SET seq = 1 WHERE seq = 0;
ALTER TABLE orders DROP CONSTRAINT orders_seq_check, ADD CONSTRAINT orders_seq_check CHECK (seq > 0);
