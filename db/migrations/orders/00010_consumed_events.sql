-- +goose Up
-- Messages that a consumer could not process. They are moved here from the dead-letter queues of both consumers before
-- they are acknowledged, so that looking at one neither holds nor loses it.
CREATE TABLE dead_messages (
    dead_message_id uuid        PRIMARY KEY, -- UUIDv7
    queue           text        NOT NULL, -- whose consumer could not process it
    message_key     text        NOT NULL, -- the message's id and the hash of its body
    event_type      text        NOT NULL,
    event_id        uuid,                 -- null if the message is no event
    aggregate_id    uuid,
    body            bytea       NOT NULL, -- as it came; it may be no JSON
    headers         jsonb       NOT NULL DEFAULT '{}', -- the headers to send again
    content_type    text        NOT NULL DEFAULT '',
    correlation_id  text        NOT NULL DEFAULT '',
    cause           text        NOT NULL, -- poison, exhausted, or what the broker says: delivery_limit, rejected
    error           text        NOT NULL,
    attempts        integer     NOT NULL, -- how often a consumer has tried since the message was last sent
    max_attempts    integer     NOT NULL,
    redrives        integer     NOT NULL DEFAULT 0, -- how often an operator has sent it again
    status          text        NOT NULL,
    first_died_at   timestamptz NOT NULL,
    died_at         timestamptz NOT NULL,
    resolved_at     timestamptz,
    -- A message is one row, however often it is moved or dies.
    CONSTRAINT dead_messages_message_key UNIQUE (queue, message_key),
    CONSTRAINT dead_messages_attempts CHECK (attempts >= 1 AND attempts <= max_attempts),
    CONSTRAINT dead_messages_redrives CHECK (redrives >= 0),
    CONSTRAINT dead_messages_status CHECK (status IN ('dead', 'redriven', 'discarded')),
    CONSTRAINT dead_messages_resolved CHECK ((status = 'dead') = (resolved_at IS NULL)),
    CONSTRAINT dead_messages_redriven CHECK (status <> 'redriven' OR redrives > 0)
);
-- The list, newest first.
CREATE INDEX dead_messages_list_idx ON dead_messages (status, died_at, dead_message_id);

-- What operators did with dead messages.
CREATE TABLE dead_message_actions (
    dead_message_id uuid        NOT NULL REFERENCES dead_messages,
    position        bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    action          text        NOT NULL CONSTRAINT dead_message_actions_known CHECK (action IN ('retry', 'discard')),
    actor           text        NOT NULL,
    reason          text        NOT NULL DEFAULT '',
    at              timestamptz NOT NULL,
    outbox_event_id uuid, -- the row of the outbox with which a message was sent again
    PRIMARY KEY (dead_message_id, position),
    CONSTRAINT dead_message_actions_sent CHECK ((action = 'retry') = (outbox_event_id IS NOT NULL))
);

-- Whether a product has no available stock at any location, as inventory told the consumer of its events last. It is a
-- hint for the shop: inventory decides each order. stock_version is the version of the stock in inventory, so that an
-- older message does not overwrite a newer one.
ALTER TABLE products ADD COLUMN sold_out boolean NOT NULL DEFAULT false, ADD COLUMN stock_version bigint NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE products DROP COLUMN sold_out, DROP COLUMN stock_version;
DROP TABLE dead_message_actions;
DROP TABLE dead_messages;
