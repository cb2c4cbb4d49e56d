-- +goose Up

-- An event commits together with the change that it announces. A relay leases, publishes and marks events.
CREATE TABLE outbox (
    event_id          uuid PRIMARY KEY, -- UUIDv7, so that the index grows at its end
    aggregate_type    text        NOT NULL,
    aggregate_id      uuid        NOT NULL,
    aggregate_version bigint      NOT NULL,
    event_type        text        NOT NULL,
    schema_version    integer     NOT NULL,
    payload           jsonb       NOT NULL, -- the whole envelope
    headers           jsonb       NOT NULL DEFAULT '{}',
    created_at        timestamptz NOT NULL,
    available_at      timestamptz NOT NULL, -- the relay does not publish it earlier; a failure makes this later
    published_at      timestamptz,
    attempts          integer     NOT NULL DEFAULT 0,
    lease_until       timestamptz,
    last_error        text        NOT NULL DEFAULT '',
    -- A change is announced once, also when the request is repeated.
    CONSTRAINT outbox_aggregate_version_key UNIQUE (aggregate_id, aggregate_version, event_type),
    CONSTRAINT outbox_attempts_not_negative CHECK (attempts >= 0)
);
-- For the relay, which reads unpublished events that are due, oldest first. The index is partial, so that it stays as
-- small as the backlog while published rows wait for the archive.
CREATE INDEX outbox_unpublished_idx ON outbox (available_at, event_id) WHERE published_at IS NULL;

-- The inbox: a row commits together with the effect of its event on this database, so the effect happens once.
CREATE TABLE processed_events (
    consumer     text        NOT NULL,
    event_id     uuid        NOT NULL,
    processed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);

-- +goose Down
DROP TABLE processed_events;
DROP TABLE outbox;
