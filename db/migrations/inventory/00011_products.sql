-- +goose Up

-- What is known of a product as a whole, beside its items: the low-stock threshold that a location gets which the
-- product is new at, and whether the catalogue sells it. A product without a row has the defaults. The catalogue's
-- version orders what the order side tells of it: an older message never undoes a newer one.
CREATE TABLE products (
    product_id          uuid PRIMARY KEY,
    low_stock_threshold bigint,
    sellable            boolean NOT NULL DEFAULT true,
    catalogue_version   bigint  NOT NULL DEFAULT 0,
    CONSTRAINT products_threshold_not_negative CHECK (low_stock_threshold >= 0)
);

-- A threshold that all of a product's items agree on was set for the product.
INSERT INTO products (product_id, low_stock_threshold)
SELECT product_id, min(low_stock_threshold) FROM items WHERE deleted_at IS NULL
GROUP BY product_id
HAVING min(low_stock_threshold) = max(low_stock_threshold) AND min(low_stock_threshold) <> 10;

-- +goose Down
DROP TABLE products;
