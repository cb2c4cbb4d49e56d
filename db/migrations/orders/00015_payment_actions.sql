-- +goose Up
-- Where the customer confirms the payment that is under way; empty if none waits for that.
ALTER TABLE orders ADD COLUMN action_url text NOT NULL DEFAULT '';

-- The webhooks that were processed, so that a repeated one is not processed again. A sender repeats a webhook for days.
CREATE TABLE received_webhooks (
    source      text NOT NULL,
    webhook_id  text NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (source, webhook_id)
);
CREATE INDEX received_webhooks_age_idx ON received_webhooks (received_at);

-- +goose Down
DROP TABLE received_webhooks;
ALTER TABLE orders DROP COLUMN action_url;
