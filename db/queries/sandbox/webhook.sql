-- A webhook is one event that the sandbox tells the configured receiver. It is due until it is delivered or given up.

-- name: InsertWebhook :exec
INSERT INTO webhooks (event_id, body, copies, due_at)
VALUES (@event_id, @body, @copies, now() + make_interval(secs => @delay_seconds::float8));

-- name: LeaseWebhooks :many
-- The lease: another process does not take a row before due_at, and takes it afterwards if this process has died.
WITH due AS (
    SELECT w.event_id FROM webhooks w
    WHERE w.ended_at IS NULL AND w.due_at <= now()
    ORDER BY w.due_at
    LIMIT @at_most
    FOR UPDATE SKIP LOCKED
)
UPDATE webhooks w SET due_at = now() + make_interval(secs => @lease_seconds::float8), attempts = w.attempts + 1
FROM due
WHERE w.event_id = due.event_id
RETURNING w.*;

-- name: DeliveredWebhook :exec
UPDATE webhooks SET copies = copies - 1, attempts = 0, last_error = '', due_at = now(),
    ended_at = CASE WHEN copies <= 1 THEN now() END
WHERE event_id = $1 AND ended_at IS NULL;

-- name: FailedWebhook :exec
UPDATE webhooks SET last_error = @last_error, due_at = now() + make_interval(secs => @pause_seconds::float8),
    ended_at = CASE WHEN @give_up::boolean THEN now() END
WHERE event_id = @event_id AND ended_at IS NULL;

-- name: DeleteEndedWebhooks :execrows
DELETE FROM webhooks WHERE ended_at < now() - make_interval(secs => @kept_seconds::float8);
