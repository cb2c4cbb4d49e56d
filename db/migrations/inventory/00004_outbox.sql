-- +goose Up

-- Events that commit with the change they tell of; a relay leases, publishes and marks them.
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
    available_at      timestamptz NOT NULL, -- not published before; moved on after a failure
    published_at      timestamptz,
    attempts          integer     NOT NULL DEFAULT 0,
    lease_until       timestamptz,
    last_error        text        NOT NULL DEFAULT '',
    -- The same change is announced once, whoever retries.
    CONSTRAINT outbox_aggregate_version_key UNIQUE (aggregate_id, aggregate_version, event_type),
    CONSTRAINT outbox_attempts_not_negative CHECK (attempts >= 0)
);
-- The relay's question: what is due and unpublished, oldest first. Partial, so that it stays as small
-- as the backlog while published rows await archiving.
CREATE INDEX outbox_unpublished_idx ON outbox (available_at, event_id) WHERE published_at IS NULL;

-- The inbox: an event's effect on this database commits with its row here, so it happens once.
CREATE TABLE processed_events (
    consumer     text        NOT NULL,
    event_id     uuid        NOT NULL,
    processed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);

-- +goose Down
DROP TABLE processed_events;
DROP TABLE outbox;
