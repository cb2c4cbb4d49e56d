-- +goose Up
-- Why an operator must approve the order before it is paid, and for how long it waits: {"reasons": [...], "seconds": n}.
ALTER TABLE orders ADD COLUMN review jsonb;

ALTER TABLE order_timeline DROP CONSTRAINT order_timeline_transition;
ALTER TABLE order_timeline ADD CONSTRAINT order_timeline_transition CHECK (from_state = state OR from_state || '>' || state IN (
    '>cancelled', '>failed', '>pending', '>rejected', '>reserved', 'confirmed>cancelled',
    'confirmed>fulfilling', 'fulfilling>cancelled', 'fulfilling>completed', 'fulfilling>refunded',
    'in_review>cancelled', 'in_review>expired', 'in_review>failed', 'in_review>reserved', 'paying>cancelled',
    'paying>confirmed', 'paying>expired', 'paying>failed', 'paying>reserved', 'pending>cancelled',
    'pending>expired', 'pending>failed', 'pending>in_review', 'pending>rejected', 'pending>reserved',
    'reserved>cancelled', 'reserved>expired', 'reserved>failed', 'reserved>paying'));

-- +goose Down
ALTER TABLE order_timeline DROP CONSTRAINT order_timeline_transition;
UPDATE orders SET state = 'reserved' WHERE state = 'in_review';
UPDATE order_timeline SET from_state = 'reserved' WHERE from_state = 'in_review';
UPDATE order_timeline SET state = 'reserved' WHERE state = 'in_review';
ALTER TABLE order_timeline ADD CONSTRAINT order_timeline_transition CHECK (from_state = state OR from_state || '>' || state IN (
    '>cancelled', '>failed', '>pending', '>rejected', '>reserved', 'confirmed>cancelled',
    'confirmed>fulfilling', 'fulfilling>cancelled', 'fulfilling>completed', 'fulfilling>refunded',
    'paying>cancelled', 'paying>confirmed', 'paying>expired', 'paying>failed', 'paying>reserved',
    'pending>cancelled', 'pending>expired', 'pending>failed', 'pending>rejected', 'pending>reserved',
    'reserved>cancelled', 'reserved>expired', 'reserved>failed', 'reserved>paying'));
ALTER TABLE orders DROP COLUMN review;
