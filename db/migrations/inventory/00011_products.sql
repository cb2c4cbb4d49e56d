-- +goose Up

-- Settings that hold for a whole product: the low-stock threshold that its new items get, and whether the catalogue
-- sells it. A product without a row has the defaults. catalogue_version orders the messages of the api: an older
-- message never undoes a newer message.
CREATE TABLE products (
    product_id          uuid PRIMARY KEY,
    low_stock_threshold bigint,
    sellable            boolean NOT NULL DEFAULT true,
    catalogue_version   bigint  NOT NULL DEFAULT 0,
    CONSTRAINT products_threshold_not_negative CHECK (low_stock_threshold >= 0)
);

-- If all items of a product have the same threshold, it was set for the product.
INSERT INTO products (product_id, low_stock_threshold)
SELECT product_id, min(low_stock_threshold) FROM items WHERE deleted_at IS NULL
GROUP BY product_id
HAVING min(low_stock_threshold) = max(low_stock_threshold) AND min(low_stock_threshold) <> 10;

-- +goose Down
DROP TABLE products;
