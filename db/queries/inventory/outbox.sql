-- The outbox holds events until they are published. An event commits together with the change that it announces.

-- name: InsertEvents :execrows
INSERT INTO outbox (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, schema_version,
    payload, headers, created_at, available_at)
SELECT u.event_id, u.aggregate_type, u.aggregate_id, u.aggregate_version, u.event_type, @schema_version::integer,
    u.payload::json, u.headers::json, @created_at::timestamptz, @created_at::timestamptz
FROM (
    SELECT unnest(@event_ids::uuid[]) AS event_id, unnest(@aggregate_types::text[]) AS aggregate_type,
           unnest(@aggregate_ids::uuid[]) AS aggregate_id, unnest(@aggregate_versions::bigint[]) AS aggregate_version,
           unnest(@event_types::text[]) AS event_type, unnest(@payloads::text[]) AS payload,
           unnest(@headers::text[]) AS headers
) u;
