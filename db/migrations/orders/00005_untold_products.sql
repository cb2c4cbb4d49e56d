-- +goose Up

-- Inventory is told whether a product is sold. The mark is set in the transaction that changes it and taken away once
-- inventory has answered for that very version, so that no crash between the two databases loses the message.
ALTER TABLE products ADD COLUMN untold boolean NOT NULL DEFAULT false;
UPDATE products SET untold = true WHERE NOT active;
CREATE INDEX products_untold_idx ON products (product_id) WHERE untold;
-- Operators list inactive products too, newest first by the same cursor.
CREATE INDEX products_listing_all_idx ON products (created_at DESC, product_id DESC);

-- +goose Down
DROP INDEX products_listing_all_idx;
DROP INDEX products_untold_idx;
ALTER TABLE products DROP COLUMN untold;
