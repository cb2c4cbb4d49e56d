-- +goose Up
-- What a shop asks for the shipment of an order. It is a part of total_minor.
ALTER TABLE orders ADD COLUMN shipping_minor bigint NOT NULL DEFAULT 0 CHECK (shipping_minor >= 0);
-- The total of a line is what its units cost, less the discount, and the tax. NOT VALID: the rows of before, which have
-- neither, are not read, so the tables are not locked for long.
ALTER TABLE order_lines ADD CONSTRAINT order_lines_total
    CHECK (line_total_minor = quantity * unit_price_minor - discount_minor + tax_minor) NOT VALID;

-- +goose Down
ALTER TABLE order_lines DROP CONSTRAINT order_lines_total;
ALTER TABLE orders DROP COLUMN shipping_minor;
