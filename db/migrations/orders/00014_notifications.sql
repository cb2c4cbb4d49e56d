-- +goose Up
-- What customers are told about their orders. A consumer of the orders' events inserts a row, and a dispatcher sends it. A
-- row has no personal data: the customer's address is read from the order when the message is sent.
CREATE TABLE notifications (
    notification_id uuid        PRIMARY KEY, -- made from the event and the kind
    event_id        uuid        NOT NULL,
    order_id        uuid        NOT NULL REFERENCES orders ON DELETE CASCADE,
    kind            text        NOT NULL, -- what the customer is told; it names the template
    occurred_at     timestamptz NOT NULL, -- when the event happened
    amount_minor    bigint      NOT NULL DEFAULT 0, -- the money that the event is about
    currency        text        NOT NULL DEFAULT '', -- empty if the event is not about money, or does not say how much
    status          text        NOT NULL,
    channel         text        NOT NULL DEFAULT '', -- through which it was sent: log or smtp
    detail          text        NOT NULL DEFAULT '', -- why it was skipped, or what the last attempt met
    attempts        integer     NOT NULL DEFAULT 0,  -- since it was last asked for; an outage of the server does not count
    resends         integer     NOT NULL DEFAULT 0,  -- how often an operator has asked for it again
    leases          integer     NOT NULL DEFAULT 0,  -- how often a dispatcher has taken it; only the last one may settle it
    due_at          timestamptz NOT NULL, -- until then it belongs to a dispatcher, or waits after a failed attempt
    created_at      timestamptz NOT NULL DEFAULT now(),
    resolved_at     timestamptz,
    -- A customer is told once, however often the event arrives.
    CONSTRAINT notifications_event_kind_key UNIQUE (event_id, kind),
    CONSTRAINT notifications_status_known CHECK (status IN ('pending', 'sent', 'skipped', 'failed')),
    CONSTRAINT notifications_resolved CHECK ((status = 'pending') = (resolved_at IS NULL)),
    CONSTRAINT notifications_sent_through CHECK (status <> 'sent' OR channel <> ''),
    CONSTRAINT notifications_amount CHECK (currency ~ '^[A-Z]{3}$' OR currency = '' AND amount_minor = 0),
    CONSTRAINT notifications_counts CHECK (attempts >= 0 AND resends >= 0 AND leases >= 0)
);
-- The dispatcher leases what is due, the longest wait first. A row that was sent leaves this index.
CREATE INDEX notifications_due_idx ON notifications (due_at, notification_id) WHERE status = 'pending';
-- An operator's lists, newest first: of one order, and by status.
CREATE INDEX notifications_order_idx ON notifications (order_id, created_at, notification_id);
CREATE INDEX notifications_status_idx ON notifications (status, created_at, notification_id);

-- Who has asked for a notification again.
CREATE TABLE notification_actions (
    notification_id uuid        NOT NULL REFERENCES notifications ON DELETE CASCADE,
    position        bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    actor           text        NOT NULL,
    at              timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (notification_id, position)
);

-- +goose Down
DROP TABLE notification_actions;
DROP TABLE notifications;
