-- Webhooks that the platform has received.

-- name: WebhookReceived :one
SELECT EXISTS (SELECT FROM received_webhooks WHERE source = @source AND webhook_id = @webhook_id) AS received;

-- name: KeepWebhook :exec
-- Remembers a webhook, and forgets some that no sender repeats any more.
WITH old AS (
    SELECT w.source, w.webhook_id FROM received_webhooks w WHERE w.received_at < @before ORDER BY w.received_at LIMIT 100
), forgotten AS (
    DELETE FROM received_webhooks USING old
    WHERE received_webhooks.source = old.source AND received_webhooks.webhook_id = old.webhook_id
)
INSERT INTO received_webhooks (source, webhook_id, received_at) VALUES (@source, @webhook_id, @received_at)
ON CONFLICT (source, webhook_id) DO NOTHING;
