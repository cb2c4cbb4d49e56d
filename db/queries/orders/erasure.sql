-- The erasure of a customer's personal data. Only closed orders lose it, because the workflow of an open one still needs
-- it. What the books need stays: lines, amounts, payments, states and times, and the customer's id as a pseudonym.

-- name: CountOrdersOfCustomer :one
SELECT count(*) FROM orders WHERE customer_id = @customer_id AND issuer = @issuer;

-- name: OpenOrdersOfCustomer :many
SELECT order_id FROM orders
WHERE customer_id = @customer_id AND issuer = @issuer
  AND (state <> ALL (@closed::text[]) OR EXISTS (
      SELECT FROM returns r WHERE r.order_id = orders.order_id AND r.status IN ('requested', 'approved')))
ORDER BY created_at, order_id
LIMIT 20;

-- name: EraseCustomer :one
-- Erases the data of the closed orders that still have it, records who asked, and returns the number of these orders.
-- The reason of an order or an entry stays if the platform itself gave it (platform lists its actors).
WITH erased AS (
    UPDATE orders o
    SET ship_to = NULL, email = '', metadata = '{}', review = NULL, hold_note = '', action_url = '', erased_at = now(),
        reason = CASE WHEN EXISTS (
            SELECT FROM order_timeline t
            WHERE t.order_id = o.order_id AND t.reason = o.reason AND t.actor <> ALL (@platform::text[])
        ) THEN '' ELSE o.reason END
    WHERE o.customer_id = @customer_id AND o.issuer = @issuer AND o.state = ANY (@closed::text[]) AND o.erased_at IS NULL
    RETURNING o.order_id
), texts AS (
    UPDATE order_timeline t SET reason = '' FROM erased
    WHERE t.order_id = erased.order_id AND t.reason <> '' AND t.actor <> ALL (@platform::text[])
), told AS (
    UPDATE notifications n SET detail = '' FROM erased WHERE n.order_id = erased.order_id AND n.detail <> ''
), sent_back AS (
    UPDATE returns r SET note = '' FROM erased WHERE r.order_id = erased.order_id AND r.note <> ''
), mended AS (
    UPDATE repairs r SET reason = 'erased' FROM erased WHERE r.order_id = erased.order_id
), parcels AS (
    UPDATE shipments s SET tracking_number = '' FROM erased
    WHERE s.order_id = erased.order_id AND s.tracking_number <> ''
)
INSERT INTO customer_erasures (erasure_id, issuer, customer_id, actor, reason, orders)
VALUES (@erasure_id, @issuer, @customer_id, @actor, @reason, (SELECT count(*) FROM erased))
RETURNING *;
