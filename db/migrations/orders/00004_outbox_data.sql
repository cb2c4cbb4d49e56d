-- +goose Up
-- An outbox row holds an event's data and headers. The publisher composes the envelope from the row's columns. A stored
-- envelope held ids, type, version and time twice, which was half of all bytes. The column is json and not jsonb,
-- because a payload is written once and read whole.
UPDATE outbox SET headers = CASE WHEN payload->'metadata' ? 'correlationId'
        THEN jsonb_build_object('correlationId', payload->'metadata'->'correlationId') ELSE '{}' END,
    payload = payload->'data';
ALTER TABLE outbox ALTER COLUMN payload TYPE json, ALTER COLUMN headers DROP DEFAULT, ALTER COLUMN headers TYPE json;

-- +goose Down
ALTER TABLE outbox ALTER COLUMN payload TYPE jsonb, ALTER COLUMN headers TYPE jsonb, ALTER COLUMN headers SET DEFAULT '{}';
UPDATE outbox SET headers = '{}', payload = jsonb_build_object('eventType', event_type, 'eventId', event_id, 'timestamp', created_at,
    'version', schema_version, 'aggregateId', aggregate_id, 'aggregateVersion', aggregate_version, 'data', payload,
    'metadata', jsonb_build_object('service', 'orders') || headers);
