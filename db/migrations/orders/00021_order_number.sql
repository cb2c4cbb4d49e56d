-- +goose Up
-- The number by which people call an order, as in HF-104233. The database gives it in the statement that inserts the row,
-- so the version before this one inserts orders with a number too. Numbers rise, and they have gaps: a repeated request
-- uses one up. Orders that are there already get theirs by age.
CREATE SEQUENCE order_numbers START WITH 100001;
ALTER TABLE orders ADD COLUMN number text;
UPDATE orders SET number = 'HF-' || n.number
FROM (SELECT o.order_id, nextval('order_numbers') AS number
      FROM (SELECT order_id FROM orders ORDER BY created_at, order_id) o) n
WHERE n.order_id = orders.order_id;
ALTER TABLE orders
    ALTER COLUMN number SET DEFAULT 'HF-' || nextval('order_numbers'),
    ALTER COLUMN number SET NOT NULL,
    -- The index is also for the order that a person names by its number.
    ADD CONSTRAINT orders_number_key UNIQUE (number),
    ADD CONSTRAINT orders_number_form CHECK (number ~ '^HF-[1-9][0-9]{5,18}$');
ALTER SEQUENCE order_numbers OWNED BY orders.number;

-- +goose Down
ALTER TABLE orders DROP COLUMN number;
