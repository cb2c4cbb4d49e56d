-- +goose Up

-- from_state is the state before each entry. With it the database checks the timeline against the table of transitions
-- in internal/order: an entry either keeps the state or is a transition that the table has. A test compares the list
-- with the code.
ALTER TABLE order_timeline ADD COLUMN from_state text NOT NULL DEFAULT '';
UPDATE order_timeline t SET from_state = coalesce(p.state, '')
FROM (SELECT order_id, seq, lag(state) OVER (PARTITION BY order_id ORDER BY seq) AS state FROM order_timeline) p
WHERE p.order_id = t.order_id AND p.seq = t.seq;
ALTER TABLE order_timeline ALTER COLUMN from_state DROP DEFAULT;
ALTER TABLE order_timeline ADD CONSTRAINT order_timeline_transition CHECK (from_state = state OR from_state || '>' || state IN (
    '>cancelled', '>failed', '>pending', '>rejected', '>reserved', 'paying>cancelled',
    'paying>confirmed', 'paying>expired', 'paying>failed', 'paying>reserved', 'pending>cancelled', 'pending>failed',
    'pending>rejected', 'pending>reserved', 'reserved>cancelled', 'reserved>expired', 'reserved>failed', 'reserved>paying'));

-- For an operator's list of all orders, newest first, by cursor over (created_at, order_id).
CREATE INDEX orders_listing_idx ON orders (created_at DESC, order_id DESC);
-- For the order to which a reservation belongs, when a client sends the id of the reservation.
CREATE UNIQUE INDEX orders_reservation_idx ON orders (reservation_id) WHERE reservation_id IS NOT NULL;

-- The customer who may use a reservation that was made from outside. The api writes this row before the reservation and
-- its workflow exist. Inventory keeps the reservation's status, and the workflow owns its timer.
CREATE TABLE customer_reservations (
    reservation_id uuid PRIMARY KEY,
    owner_id       uuid        NOT NULL, -- derived from the issuer, the customer and the customer's order id
    issuer         text        NOT NULL,
    customer_id    text        NOT NULL,
    their_order_id text        NOT NULL, -- the order's id in the customer's own books
    created_at     timestamptz NOT NULL DEFAULT now(),
    -- A customer has one reservation for each of the customer's own order ids.
    CONSTRAINT customer_reservations_order_key UNIQUE (issuer, customer_id, their_order_id)
);

-- +goose Down
DROP TABLE customer_reservations;
DROP INDEX orders_reservation_idx;
DROP INDEX orders_listing_idx;
ALTER TABLE order_timeline DROP CONSTRAINT order_timeline_transition;
ALTER TABLE order_timeline DROP COLUMN from_state;
