-- The catalogue: the products that can be ordered, and their prices in each currency.

-- name: PriceProducts :many
-- Returns those of the given products that are active and have a price in the currency.
SELECT p.product_id, p.sku, p.name, pp.amount_minor
FROM products p
JOIN product_prices pp ON pp.product_id = p.product_id AND pp.currency = @currency
WHERE p.product_id = ANY (@product_ids::uuid[]) AND p.active;

-- name: ExistingProducts :many
SELECT product_id FROM products WHERE product_id = ANY (@product_ids::uuid[]) AND active;

-- name: GetProduct :one
SELECT * FROM products WHERE product_id = $1 AND active;

-- name: ListProducts :many
-- One page, newest first. The cursor is the last row of the previous page.
SELECT * FROM products
WHERE active AND (created_at, product_id) < (@before_created_at::timestamptz, @before_id::uuid)
ORDER BY created_at DESC, product_id DESC
LIMIT @page_size;

-- name: ListAllProducts :many
-- The same for operators, who choose active products, inactive products or both.
SELECT * FROM products
WHERE active = ANY (@actives::boolean[]) AND (created_at, product_id) < (@before_created_at::timestamptz, @before_id::uuid)
ORDER BY created_at DESC, product_id DESC
LIMIT @page_size;

-- name: ProductStates :many
-- Returns those of the given products that the catalogue has, their SKUs, and whether it sells them.
SELECT product_id, sku, active FROM products WHERE product_id = ANY (@product_ids::uuid[]);

-- name: UntoldProducts :many
SELECT product_id, active, version FROM products WHERE untold AND product_id > @after ORDER BY product_id LIMIT @page_size;

-- name: MarkProductTold :exec
-- Removes the mark only if the product still has that version. A product that has changed since keeps it.
UPDATE products SET untold = false WHERE product_id = @product_id AND version = @version;

-- name: ListPrices :many
SELECT * FROM product_prices WHERE product_id = ANY (@product_ids::uuid[]) ORDER BY product_id, currency;

-- name: SeedProducts :many
-- Returns the products that were new. A product whose id or SKU exists already stays as it is.
INSERT INTO products (product_id, sku, name, description, category, active, untold, created_at, updated_at)
SELECT u.product_id, u.sku, u.name, u.description, u.category, u.active, NOT u.active, @created_at, @created_at
FROM (
    SELECT unnest(@product_ids::uuid[]) AS product_id, unnest(@skus::text[]) AS sku, unnest(@names::text[]) AS name,
           unnest(@descriptions::text[]) AS description, unnest(@categories::text[]) AS category, unnest(@actives::boolean[]) AS active
) u
ON CONFLICT DO NOTHING
RETURNING product_id;


-- name: SoldOutProducts :many
-- Returns those of the given products that are marked as sold out.
SELECT product_id FROM products WHERE product_id = ANY (@product_ids::uuid[]) AND sold_out
ORDER BY product_id; -- so that two consumers lock the products in one order

-- name: SetSoldOut :exec
-- Marks a product as sold out or not, unless a newer version of its stock has decided that. The mark is part of what
-- clients read, so a change of it is a version of the product.
UPDATE products
SET sold_out = @sold_out, stock_version = @stock_version,
    version = version + (sold_out <> @sold_out)::integer,
    updated_at = CASE WHEN sold_out <> @sold_out THEN now() ELSE updated_at END
WHERE product_id = @product_id AND stock_version < @stock_version;
