-- Product administration: operators create, replace, deactivate and import products. The row of a product
-- guards its prices too: a transaction that changes prices updates or locks the row first.

-- name: FindProduct :one
-- Returns inactive products too; it is for operators.
SELECT * FROM products WHERE product_id = $1;

-- name: CreateProduct :one
INSERT INTO products (product_id, sku, name, description, category, active, untold, created_at, updated_at)
VALUES (@product_id, @sku, @name, @description, @category, @active, NOT @active, @at, @at)
RETURNING *;

-- name: ReplaceProduct :one
-- The version check: it updates no product that has changed since it was read. Version 0 stands for any version.
UPDATE products
SET sku = @sku, name = @name, description = @description, category = @category, active = @active, untold = untold OR active <> @active,
    version = version + 1, updated_at = @at
WHERE product_id = @product_id AND (@version::bigint = 0 OR version = @version)
RETURNING *;

-- name: LockProduct :one
SELECT * FROM products WHERE product_id = $1 FOR NO KEY UPDATE;

-- name: FindProductBySKU :one
SELECT product_id, active FROM products WHERE sku = $1;

-- name: DeactivateProduct :execrows
-- A product that is inactive already stays as it is.
UPDATE products
SET active = false, untold = true, version = version + 1, updated_at = @at
WHERE product_id = @product_id AND active AND (@version::bigint = 0 OR version = @version);

-- name: LockProductsBySKU :many
-- It locks in the order of the SKUs, so that two imports cannot deadlock. Under this lock PostgreSQL can still check
-- the foreign keys of prices.
SELECT * FROM products WHERE sku = ANY (@skus::text[]) ORDER BY sku FOR NO KEY UPDATE;

-- name: InsertProducts :execrows
-- It inserts in the order of the SKUs, so that two imports of the same new SKUs cannot deadlock. It leaves out a SKU
-- that another transaction has inserted meanwhile; the count of rows shows that.
INSERT INTO products (product_id, sku, name, description, category, active, untold, created_at, updated_at)
SELECT u.product_id, u.sku, u.name, u.description, u.category, u.active, NOT u.active, @at::timestamptz, @at::timestamptz
FROM (
    SELECT unnest(@product_ids::uuid[]) AS product_id, unnest(@skus::text[]) AS sku, unnest(@names::text[]) AS name,
           unnest(@descriptions::text[]) AS description, unnest(@categories::text[]) AS category, unnest(@actives::boolean[]) AS active
) u
ORDER BY u.sku
ON CONFLICT ON CONSTRAINT products_sku_key DO NOTHING;

-- name: UpdateProducts :execrows
UPDATE products p
SET name = u.name, description = u.description, category = u.category, active = u.active, untold = p.untold OR p.active <> u.active,
    version = p.version + 1, updated_at = @at::timestamptz
FROM (
    SELECT unnest(@product_ids::uuid[]) AS product_id, unnest(@names::text[]) AS name, unnest(@descriptions::text[]) AS description,
           unnest(@categories::text[]) AS category, unnest(@actives::boolean[]) AS active
) u
WHERE p.product_id = u.product_id;

-- name: DeletePrices :exec
DELETE FROM product_prices WHERE product_id = ANY (@product_ids::uuid[]);

-- name: InsertPrices :exec
INSERT INTO product_prices (product_id, currency, amount_minor)
SELECT unnest(@product_ids::uuid[]), unnest(@currencies::text[]), unnest(@amounts::bigint[]);
