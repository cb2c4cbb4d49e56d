-- Incoming stock: deliveries that operators expect.

-- name: LockIncoming :many
-- Locks deliveries after all other rows, so that all transactions have the same order.
SELECT s.*, l.code AS location
FROM incoming_stock s
JOIN locations l USING (location_id)
WHERE s.incoming_id = ANY (@incoming_ids::uuid[])
ORDER BY s.incoming_id
FOR NO KEY UPDATE OF s;

-- name: InsertIncoming :execrows
INSERT INTO incoming_stock (incoming_id, product_id, location_id, quantity, received, expected_at, reference, status,
    version, actor, created_at, updated_at)
SELECT u.incoming_id, u.product_id, l.location_id, u.quantity, u.received, u.expected_at, u.reference, u.status,
    u.version, u.actor, @at::timestamptz, @at::timestamptz
FROM (
    SELECT unnest(@incoming_ids::uuid[]) AS incoming_id, unnest(@product_ids::uuid[]) AS product_id,
           unnest(@locations::text[]) AS location, unnest(@quantities::bigint[]) AS quantity,
           unnest(@receiveds::bigint[]) AS received, unnest(@expected_ats::timestamptz[]) AS expected_at,
           unnest(@reference_texts::text[]) AS reference, unnest(@statuses::text[]) AS status,
           unnest(@versions::bigint[]) AS version, unnest(@actors::text[]) AS actor
) u
JOIN locations l ON l.code = u.location
ORDER BY u.incoming_id;

-- name: UpdateIncoming :execrows
UPDATE incoming_stock s
SET location_id = l.location_id, quantity = u.quantity, received = u.received, expected_at = u.expected_at,
    reference = u.reference, status = u.status, version = u.version_after, actor = u.actor, updated_at = @at::timestamptz
FROM (
    SELECT unnest(@incoming_ids::uuid[]) AS incoming_id, unnest(@versions::bigint[]) AS version,
           unnest(@versions_after::bigint[]) AS version_after, unnest(@locations::text[]) AS location,
           unnest(@quantities::bigint[]) AS quantity, unnest(@receiveds::bigint[]) AS received,
           unnest(@expected_ats::timestamptz[]) AS expected_at, unnest(@reference_texts::text[]) AS reference,
           unnest(@statuses::text[]) AS status, unnest(@actors::text[]) AS actor
) u
JOIN locations l ON l.code = u.location
WHERE s.incoming_id = u.incoming_id AND s.version = u.version;

-- name: GetIncoming :one
SELECT s.*, l.code AS location
FROM incoming_stock s
JOIN locations l USING (location_id)
WHERE s.incoming_id = @incoming_id;

-- name: IncomingPage :many
-- The open deliveries of a product, in the order in which they come.
SELECT s.*, l.code AS location
FROM incoming_stock s
JOIN locations l USING (location_id)
WHERE s.product_id = @product_id::uuid AND s.status = 'expected'
  AND (s.expected_at, s.incoming_id) > (@after_expected_at::timestamptz, @after_incoming::uuid)
ORDER BY s.expected_at, s.incoming_id
LIMIT @page_size::integer;
