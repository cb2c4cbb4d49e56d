-- +goose Up
-- Who gets the events of orders and stock as webhooks. A row that has deleted_at is deleted for everybody; its deliveries
-- are deleted in batches, and then the row.
CREATE TABLE webhook_subscriptions (
    subscription_id       uuid        PRIMARY KEY, -- UUIDv7
    url                   text        NOT NULL,
    event_types           text[]      NOT NULL, -- each an exact type, or the beginning of types as in 'order.*'
    description           text        NOT NULL DEFAULT '',
    enabled               boolean     NOT NULL DEFAULT true,
    disabled_at           timestamptz,
    disabled_reason       text        NOT NULL DEFAULT '',
    secret                text        NOT NULL, -- signs; empty once the subscription is deleted
    previous_secret       text        NOT NULL DEFAULT '', -- signs too, until previous_secret_until
    previous_secret_until timestamptz,
    failing_since         timestamptz, -- the first failed attempt since the last delivery
    last_error            text        NOT NULL DEFAULT '', -- of the last failed attempt
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now(),
    deleted_at            timestamptz,
    CONSTRAINT webhook_subscriptions_types CHECK (cardinality(event_types) BETWEEN 1 AND 50),
    CONSTRAINT webhook_subscriptions_disabled CHECK (enabled = (disabled_at IS NULL)),
    CONSTRAINT webhook_subscriptions_secret CHECK ((secret = '') = (deleted_at IS NOT NULL)),
    CONSTRAINT webhook_subscriptions_previous CHECK ((previous_secret = '') = (previous_secret_until IS NULL))
);
CREATE INDEX webhook_subscriptions_list_idx ON webhook_subscriptions (created_at, subscription_id);

-- The events that at least one subscription gets. The body is what the merchant receives.
CREATE TABLE webhook_events (
    event_id          uuid   PRIMARY KEY, -- UUIDv7: it begins with the time
    event_type        text   NOT NULL,
    aggregate_id      uuid   NOT NULL,
    aggregate_version bigint NOT NULL,
    body              bytea  NOT NULL
);

CREATE TABLE webhook_deliveries (
    delivery_id     uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    subscription_id uuid        NOT NULL REFERENCES webhook_subscriptions,
    event_id        uuid        NOT NULL REFERENCES webhook_events ON DELETE CASCADE,
    status          text        NOT NULL,
    attempts        integer     NOT NULL DEFAULT 0, -- begun since it was last pending for the first time
    redeliveries    integer     NOT NULL DEFAULT 0, -- how often an operator made it pending again
    -- The number of the last attempt of all. It is the lease: only the sender of this attempt may write the outcome.
    lease           bigint      NOT NULL DEFAULT 0,
    due_at          timestamptz NOT NULL DEFAULT now(), -- the next attempt; while an attempt is under way, the end of its lease
    last_attempt_at timestamptz,
    last_status     integer     NOT NULL DEFAULT 0, -- of HTTP, 200 for every 2xx; 0 if the receiver did not answer
    last_error      text        NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL DEFAULT now(),
    ended_at        timestamptz,
    -- An event goes to a subscription once, however often it is consumed.
    CONSTRAINT webhook_deliveries_event_key UNIQUE (event_id, subscription_id),
    CONSTRAINT webhook_deliveries_status CHECK (status IN ('pending', 'delivered', 'failed', 'held')),
    CONSTRAINT webhook_deliveries_ended CHECK ((status = 'pending') = (ended_at IS NULL)),
    CONSTRAINT webhook_deliveries_attempts CHECK (attempts >= 0 AND redeliveries >= 0 AND lease >= attempts)
);
CREATE INDEX webhook_deliveries_due_idx ON webhook_deliveries (subscription_id, due_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_list_idx ON webhook_deliveries (created_at, delivery_id);
CREATE INDEX webhook_deliveries_subscription_idx ON webhook_deliveries (subscription_id, created_at, delivery_id);
CREATE INDEX webhook_deliveries_status_idx ON webhook_deliveries (status, created_at, delivery_id);

-- What operators did with subscriptions and deliveries, and what the sender switched off. It outlives the subscription.
CREATE TABLE webhook_actions (
    subscription_id uuid        NOT NULL,
    position        bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    action          text        NOT NULL,
    actor           text        NOT NULL,
    detail          text        NOT NULL DEFAULT '', -- never a secret
    at              timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subscription_id, position),
    CONSTRAINT webhook_actions_known CHECK (action IN ('create', 'update', 'enable', 'disable', 'rotate_secret',
        'redeliver', 'delete'))
);

-- +goose Down
DROP TABLE webhook_actions;
DROP TABLE webhook_deliveries;
DROP TABLE webhook_events;
DROP TABLE webhook_subscriptions;
