-- Dead messages: a message is dead while no consumer tries to process it. An operator sends it again, which is a redrive,
-- or discards it.

-- name: KeepDeadMessage :execrows
-- Writes a message that has died. It changes nothing if the message was moved before, or if the message is an older copy:
-- one that was sent before the last redrive.
INSERT INTO dead_messages AS d (dead_message_id, queue, message_key, event_type, event_id, aggregate_id, body, headers,
    content_type, correlation_id, cause, error, attempts, max_attempts, status, first_died_at, died_at)
VALUES (@dead_message_id, @queue, @message_key, @event_type, @event_id, @aggregate_id, @body, @headers, @content_type,
    @correlation_id, @cause, @error, @attempts, @max_attempts, 'dead', now(), now())
ON CONFLICT ON CONSTRAINT dead_messages_message_key DO UPDATE
SET cause = excluded.cause, error = excluded.error, attempts = excluded.attempts, max_attempts = excluded.max_attempts,
    status = 'dead', died_at = excluded.died_at, resolved_at = NULL
WHERE d.status = 'redriven' AND d.redrives <= @redrives::integer;

-- name: GetDeadMessage :one
SELECT * FROM dead_messages WHERE dead_message_id = $1;

-- name: ListDeadMessages :many
-- One page, the latest death first. The cursor is the last row of the previous page. Empty filters match every message.
SELECT * FROM dead_messages
WHERE status = @status AND (died_at, dead_message_id) < (@before_died_at::timestamptz, @before_id::uuid)
  AND (@queue::text = '' OR queue = @queue) AND (@event_type::text = '' OR event_type = @event_type)
ORDER BY died_at DESC, dead_message_id DESC
LIMIT @page_size;

-- name: CountDeadMessages :many
SELECT queue, count(*) AS messages FROM dead_messages WHERE status = 'dead' GROUP BY queue ORDER BY queue;

-- name: LockDeadMessages :many
-- Locks the dead messages that match, the oldest death first. It passes over messages that another operator locks.
SELECT * FROM dead_messages
WHERE status = 'dead' AND (@queue::text = '' OR queue = @queue) AND (@event_type::text = '' OR event_type = @event_type)
ORDER BY died_at, dead_message_id
LIMIT @size FOR UPDATE SKIP LOCKED;

-- name: CountMatchingDeadMessages :one
SELECT count(*) FROM dead_messages
WHERE status = 'dead' AND (@queue::text = '' OR queue = @queue) AND (@event_type::text = '' OR event_type = @event_type);

-- name: LockDeadMessage :one
SELECT * FROM dead_messages WHERE dead_message_id = $1 FOR UPDATE;

-- name: RedriveDeadMessages :exec
-- Sends messages again, by rows of the outbox, and writes who did it.
WITH sent AS (
    SELECT unnest(@dead_message_ids::uuid[]) AS dead_message_id, unnest(@event_ids::uuid[]) AS event_id,
           unnest(@payloads::json[]) AS payload, unnest(@headers::json[]) AS headers
), redriven AS (
    UPDATE dead_messages d SET status = 'redriven', redrives = d.redrives + 1, resolved_at = now()
    FROM sent WHERE d.dead_message_id = sent.dead_message_id
    RETURNING d.dead_message_id, d.redrives
), logged AS (
    INSERT INTO dead_message_actions (dead_message_id, action, actor, at, outbox_event_id)
    SELECT sent.dead_message_id, 'retry', @actor, now(), sent.event_id FROM sent
)
INSERT INTO outbox (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, schema_version, payload, headers)
SELECT sent.event_id, 'dead_message', sent.dead_message_id, redriven.redrives, 'dead_message.redriven', 1, sent.payload,
       sent.headers
FROM sent JOIN redriven USING (dead_message_id);

-- name: DiscardDeadMessage :exec
WITH discarded AS (
    UPDATE dead_messages d SET status = 'discarded', resolved_at = now() WHERE d.dead_message_id = @dead_message_id
    RETURNING d.dead_message_id
)
INSERT INTO dead_message_actions (dead_message_id, action, actor, reason, at)
SELECT discarded.dead_message_id, 'discard', @actor, @reason, now() FROM discarded;

-- name: ListDeadMessageActions :many
SELECT * FROM dead_message_actions WHERE dead_message_id = $1 ORDER BY position;
