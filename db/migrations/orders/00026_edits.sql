-- +goose Up
-- The number of the order's reservation among its owner's. A change of the lines makes another one.
ALTER TABLE orders ADD COLUMN reservation_number int NOT NULL DEFAULT 1
    CONSTRAINT orders_reservation_number_check CHECK (reservation_number >= 1);

-- +goose Down
ALTER TABLE orders DROP COLUMN reservation_number;
