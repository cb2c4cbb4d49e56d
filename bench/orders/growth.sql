-- Rows of orders as the platform writes them, from number $from to $to: of each 20, 17 are confirmed, 2 expired and 1 is
-- cancelled; each has two lines and its timeline. One order in ten is of the customer "big", the others are spread over
-- 10,000 customers. Nothing is in the outbox, because published events are deleted.

-- name: orders
INSERT INTO orders (order_id, seq, state, request_hash, customer_id, issuer, total_minor, currency, reservation_id, expires_at,
                    payment_attempts, email, workflow_id, run_id, correlation_id, created_at, updated_at)
SELECT md5('order ' || n)::uuid, CASE WHEN n % 20 < 17 THEN 4 ELSE 2 END,
       CASE WHEN n % 20 < 17 THEN 'confirmed' WHEN n % 20 < 19 THEN 'expired' ELSE 'cancelled' END,
       sha256(int8send(n)), CASE WHEN n % 10 = 0 THEN 'big' ELSE 'customer-' || n % 10000 END, 'holdfast', 2000, 'EUR',
       md5('reservation ' || n)::uuid, at + interval '15 minutes', CASE WHEN n % 20 < 17 THEN 1 ELSE 0 END, '',
       'order-' || md5('order ' || n)::uuid, md5('run ' || n)::uuid::text, '', at, at + interval '1 minute'
FROM generate_series($from::bigint, $to::bigint) n,
     LATERAL (SELECT now() - interval '300 days' + n * interval '20 seconds' AS at) t;

-- name: order_lines
INSERT INTO order_lines (order_id, line_no, product_id, sku, name, quantity, unit_price_minor, line_total_minor, currency)
SELECT md5('order ' || n)::uuid, line_no, md5('product ' || n % 1000)::uuid, 'SKU-' || n % 1000, 'Product ' || n % 1000, 1, 1000, 1000, 'EUR'
FROM generate_series($from::bigint, $to::bigint) n, generate_series(1, 2) line_no;

-- name: order_timeline
INSERT INTO order_timeline (order_id, seq, event, from_state, state, at, actor)
SELECT o.order_id, e.seq, e.event, e.from_state, e.state, o.created_at + e.seq * interval '15 seconds', 'system'
FROM generate_series($from::bigint, $to::bigint) n
JOIN orders o ON o.order_id = md5('order ' || n)::uuid
JOIN (VALUES
    (0, 'created', '', 'pending', NULL), (1, 'reserved', 'pending', 'reserved', NULL),
    (2, 'payment_started', 'reserved', 'paying', 'confirmed'), (3, 'paid', 'paying', 'paying', 'confirmed'),
    (4, 'confirmed', 'paying', 'confirmed', 'confirmed'), (2, 'expired', 'reserved', 'expired', 'expired'),
    (2, 'cancelled', 'reserved', 'cancelled', 'cancelled')
) e (seq, event, from_state, state, ends_as) ON e.ends_as IS NULL OR e.ends_as = o.state;

-- name: payments
INSERT INTO payments (order_id, step, attempt, provider, provider_ref, amount_minor, currency, state, created_at)
SELECT o.order_id, p.step, 1, 'sandbox', 'ref-' || n, 2000, 'EUR', p.state, o.created_at
FROM generate_series($from::bigint, $to::bigint) n
JOIN orders o ON o.order_id = md5('order ' || n)::uuid AND o.state = 'confirmed'
CROSS JOIN (VALUES ('authorise', 'authorised'), ('capture', 'captured')) p (step, state);
