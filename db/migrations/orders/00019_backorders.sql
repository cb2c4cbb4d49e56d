-- +goose Up
-- For how many seconds an order waits for stock if there is too little; 0: it is rejected then.
ALTER TABLE orders ADD COLUMN wait_seconds integer NOT NULL DEFAULT 0 CHECK (wait_seconds >= 0);

ALTER TABLE order_timeline DROP CONSTRAINT order_timeline_transition;
ALTER TABLE order_timeline ADD CONSTRAINT order_timeline_transition CHECK (from_state = state OR from_state || '>' || state IN (
    '>cancelled', '>failed', '>pending', '>rejected', '>reserved', 'backordered>cancelled', 'backordered>expired',
    'backordered>failed', 'backordered>in_review', 'backordered>reserved', 'completed>refunded', 'confirmed>cancelled',
    'confirmed>fulfilling', 'fulfilling>cancelled', 'fulfilling>completed', 'fulfilling>refunded',
    'in_review>cancelled', 'in_review>expired', 'in_review>failed', 'in_review>reserved', 'paying>cancelled',
    'paying>confirmed', 'paying>expired', 'paying>failed', 'paying>reserved', 'pending>backordered', 'pending>cancelled',
    'pending>expired', 'pending>failed', 'pending>in_review', 'pending>rejected', 'pending>reserved',
    'reserved>cancelled', 'reserved>expired', 'reserved>failed', 'reserved>paying'));

-- +goose Down
-- Let the orders that wait for stock end before you go back: the version before this one does not know them. Here they
-- become pending.
ALTER TABLE order_timeline DROP CONSTRAINT order_timeline_transition;
UPDATE orders SET state = 'pending' WHERE state = 'backordered';
UPDATE order_timeline SET from_state = 'pending' WHERE from_state = 'backordered';
UPDATE order_timeline SET state = 'pending' WHERE state = 'backordered';
ALTER TABLE order_timeline ADD CONSTRAINT order_timeline_transition CHECK (from_state = state OR from_state || '>' || state IN (
    '>cancelled', '>failed', '>pending', '>rejected', '>reserved', 'completed>refunded', 'confirmed>cancelled',
    'confirmed>fulfilling', 'fulfilling>cancelled', 'fulfilling>completed', 'fulfilling>refunded',
    'in_review>cancelled', 'in_review>expired', 'in_review>failed', 'in_review>reserved', 'paying>cancelled',
    'paying>confirmed', 'paying>expired', 'paying>failed', 'paying>reserved', 'pending>cancelled',
    'pending>expired', 'pending>failed', 'pending>in_review', 'pending>rejected', 'pending>reserved',
    'reserved>cancelled', 'reserved>expired', 'reserved>failed', 'reserved>paying'));
ALTER TABLE orders DROP COLUMN wait_seconds;
