-- +goose Up

-- untold marks a product whose change of active the api still has to send to inventory. The transaction that changes
-- active sets the mark, and the api removes it when inventory has answered for that version, so that a crash between
-- the two databases loses no message.
ALTER TABLE products ADD COLUMN untold boolean NOT NULL DEFAULT false;
UPDATE products SET untold = true WHERE NOT active;
CREATE INDEX products_untold_idx ON products (product_id) WHERE untold;
-- For the list of operators, which has inactive products too, newest first, by the same cursor.
CREATE INDEX products_listing_all_idx ON products (created_at DESC, product_id DESC);

-- +goose Down
DROP INDEX products_listing_all_idx;
DROP INDEX products_untold_idx;
ALTER TABLE products DROP COLUMN untold;
