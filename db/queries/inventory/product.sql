-- Settings that hold for a whole product. Transactions read and write them under LockProducts.

-- name: Products :many
SELECT product_id, low_stock_threshold, sellable, catalogue_version FROM products WHERE product_id = ANY (@product_ids::uuid[]);

-- name: UpsertProducts :execrows
-- A threshold of -1 stands for no threshold.
INSERT INTO products (product_id, low_stock_threshold, sellable, catalogue_version)
SELECT unnest(@product_ids::uuid[]), nullif(unnest(@thresholds::bigint[]), -1), unnest(@sellables::boolean[]), unnest(@catalogue_versions::bigint[])
ON CONFLICT (product_id) DO UPDATE
SET low_stock_threshold = excluded.low_stock_threshold, sellable = excluded.sellable, catalogue_version = excluded.catalogue_version;
