-- Seeding, and its reset, which deletes the catalogue and every order.

-- name: LockSeeding :exec
-- One seeder at a time works on a database. The session holds the lock until it unlocks or its connection ends.
SELECT pg_advisory_lock(@key::bigint);

-- name: UnlockSeeding :exec
SELECT pg_advisory_unlock(@key::bigint);

-- name: CountCatalogue :one
SELECT (SELECT count(*) FROM products) AS products,
       (SELECT count(*) FROM orders) AS orders,
       (SELECT count(*) FROM customer_reservations WHERE issuer <> @seed_issuer::text) AS foreign_reservations,
       (SELECT count(*) FROM products WHERE NOT (product_id = ANY (@examples::uuid[]))) AS foreign_products;

-- name: ReservationsOfIssuer :many
-- Returns every reservation without an order, or, if an issuer is given, only the reservations of that issuer.
SELECT reservation_id FROM customer_reservations WHERE @issuer::text = '' OR issuer = @issuer ORDER BY reservation_id;

-- name: OpenOrderWorkflows :many
SELECT workflow_id FROM orders WHERE state = ANY (@open_states::text[]) ORDER BY workflow_id;

-- name: LockForReset :exec
-- While the lock is held, no other transaction places an order or a reservation that the count above did not see.
LOCK TABLE orders, customer_reservations, products IN ACCESS EXCLUSIVE MODE;

-- name: WipeOrders :exec
-- CASCADE also truncates every other table that refers to an order or a product.
TRUNCATE products, product_prices, orders, order_lines, order_timeline, payments, customer_reservations, outbox, processed_events CASCADE;

-- name: PageProducts :many
-- Every product, active or not, in the order of the primary key. It is for copying, not for lists that clients read.
SELECT product_id, sku, active FROM products WHERE product_id > @after ORDER BY product_id LIMIT @page_size;
