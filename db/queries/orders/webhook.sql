-- Webhooks for merchants. A subscription gets the events whose type it names. A delivery is one event for one
-- subscription: pending (the sender tries it), delivered, failed (the last attempt failed, or the receiver is gone) or
-- held (the subscription was disabled when the event came, or while it was pending). A subscription with deleted_at is
-- treated as absent.

-- name: CreateWebhookSubscription :one
INSERT INTO webhook_subscriptions (subscription_id, url, event_types, description, secret)
VALUES (@subscription_id, @url, @event_types, @description, @secret)
RETURNING *;

-- name: GetWebhookSubscription :one
SELECT * FROM webhook_subscriptions WHERE subscription_id = $1 AND deleted_at IS NULL;

-- name: LockWebhookSubscription :one
SELECT * FROM webhook_subscriptions WHERE subscription_id = $1 AND deleted_at IS NULL FOR UPDATE;

-- name: ListWebhookSubscriptions :many
-- One page, the latest first.
SELECT * FROM webhook_subscriptions
WHERE deleted_at IS NULL AND (created_at, subscription_id) < (@before_created_at::timestamptz, @before_id::uuid)
  AND enabled = ANY (@enabled::boolean[])
ORDER BY created_at DESC, subscription_id DESC
LIMIT @page_size;

-- name: CountWebhookSubscriptions :one
SELECT count(*) FILTER (WHERE enabled) AS enabled, count(*) FILTER (WHERE NOT enabled) AS disabled
FROM webhook_subscriptions WHERE deleted_at IS NULL;

-- name: UpdateWebhookSubscription :exec
UPDATE webhook_subscriptions SET url = @url, event_types = @event_types, description = @description, updated_at = now()
WHERE subscription_id = @subscription_id;

-- name: EnableWebhookSubscription :exec
UPDATE webhook_subscriptions
SET enabled = true, disabled_at = NULL, disabled_reason = '', failing_since = NULL, last_error = '', updated_at = now()
WHERE subscription_id = $1;

-- name: DisableWebhookSubscription :execrows
UPDATE webhook_subscriptions SET enabled = false, disabled_at = now(), disabled_reason = @reason, updated_at = now()
WHERE subscription_id = @subscription_id AND enabled AND deleted_at IS NULL;

-- name: HoldWebhookDeliveries :execrows
UPDATE webhook_deliveries SET status = 'held', ended_at = now() WHERE subscription_id = $1 AND status = 'pending';

-- name: RotateWebhookSecret :one
-- The secret before the last one ends at once: two are valid at most.
UPDATE webhook_subscriptions
SET previous_secret = secret, previous_secret_until = now() + make_interval(secs => @overlap_seconds::float8),
    secret = @secret, updated_at = now()
WHERE subscription_id = @subscription_id
RETURNING *;

-- name: DeleteWebhookSubscription :execrows
UPDATE webhook_subscriptions
SET deleted_at = now(), updated_at = now(), secret = '', previous_secret = '', previous_secret_until = NULL, enabled = false,
    disabled_at = coalesce(disabled_at, now())
WHERE subscription_id = $1 AND deleted_at IS NULL;

-- name: LogWebhookAction :exec
INSERT INTO webhook_actions (subscription_id, action, actor, detail) VALUES (@subscription_id, @action, @actor, @detail);

-- name: ListWebhookActions :many
SELECT * FROM (
    SELECT * FROM webhook_actions WHERE subscription_id = $1 ORDER BY position DESC LIMIT 100
) latest ORDER BY position;

-- name: SubscribesToWebhookEvent :one
-- Reports whether a subscription, enabled or not, gets events of the type.
SELECT EXISTS (
    SELECT FROM webhook_subscriptions s, unnest(s.event_types) AS pattern
    WHERE s.deleted_at IS NULL
      AND (pattern = @event_type::text
           OR right(pattern, 2) = '.*' AND starts_with(@event_type::text, left(pattern, -1)))
) AS subscribed;

-- name: AddWebhookDeliveries :execrows
-- Adds a delivery of the event for each subscription that gets events of its type. It changes nothing if they are there.
WITH matching AS MATERIALIZED (
    SELECT s.subscription_id, s.enabled FROM webhook_subscriptions s
    WHERE s.deleted_at IS NULL AND EXISTS (
        SELECT FROM unnest(s.event_types) AS pattern
        WHERE pattern = @event_type::text
           OR right(pattern, 2) = '.*' AND starts_with(@event_type::text, left(pattern, -1)))
), event AS (
    INSERT INTO webhook_events (event_id, event_type, aggregate_id, aggregate_version, body)
    SELECT @event_id::uuid, @event_type::text, @aggregate_id::uuid, @aggregate_version::bigint, @body::bytea
    WHERE EXISTS (SELECT FROM matching)
    ON CONFLICT (event_id) DO NOTHING
)
INSERT INTO webhook_deliveries (subscription_id, event_id, status, ended_at)
SELECT m.subscription_id, @event_id::uuid, CASE WHEN m.enabled THEN 'pending' ELSE 'held' END,
       CASE WHEN m.enabled THEN NULL ELSE now() END
FROM matching m
ON CONFLICT ON CONSTRAINT webhook_deliveries_event_key DO NOTHING;

-- name: LeaseWebhookDeliveries :many
-- Leases due deliveries of enabled subscriptions: at most per_subscription of each, less what this process has under way
-- for it (busy_ids, busy_counts). Deliveries of the subscriptions with the fewest under way come first, so that one with
-- many due deliveries leaves room for the others. A row whose sender has died is due again when its lease ends.
WITH busy AS (
    SELECT unnest(@busy_ids::uuid[]) AS subscription_id, unnest(@busy_counts::bigint[]) AS under_way
), picked AS MATERIALIZED (
    SELECT due.delivery_id, due.due_at,
           coalesce(b.under_way, 0) + row_number() OVER (PARTITION BY s.subscription_id ORDER BY due.due_at) AS turn
    FROM webhook_subscriptions s
    LEFT JOIN busy b ON b.subscription_id = s.subscription_id
    CROSS JOIN LATERAL (
        SELECT d.delivery_id, d.due_at FROM webhook_deliveries d
        WHERE d.subscription_id = s.subscription_id AND d.status = 'pending' AND d.due_at <= now()
        ORDER BY d.due_at
        LIMIT @per_subscription FOR UPDATE SKIP LOCKED
    ) due
    WHERE s.enabled
), chosen AS MATERIALIZED (
    SELECT p.delivery_id FROM picked p WHERE p.turn <= @per_subscription ORDER BY p.turn, p.due_at LIMIT @size
), leased AS (
    UPDATE webhook_deliveries d
    SET due_at = now() + make_interval(secs => @lease_seconds::float8), attempts = d.attempts + 1, lease = d.lease + 1,
        last_attempt_at = now()
    WHERE d.delivery_id = ANY (ARRAY(SELECT c.delivery_id FROM chosen c))
    RETURNING d.delivery_id, d.subscription_id, d.event_id, d.attempts, d.lease, d.redeliveries
)
SELECT l.delivery_id, l.subscription_id, l.event_id, l.attempts, l.lease, l.redeliveries, e.event_type, e.body, s.url,
       s.secret, CASE WHEN s.previous_secret_until > now() THEN s.previous_secret ELSE '' END::text AS previous_secret
FROM leased l
JOIN webhook_events e ON e.event_id = l.event_id
JOIN webhook_subscriptions s ON s.subscription_id = l.subscription_id;

-- name: MarkWebhookDelivered :execrows
-- The outcome of an attempt counts only while no later attempt has begun. A delivery that was put on hold during the
-- attempt is delivered all the same.
UPDATE webhook_deliveries
SET status = 'delivered', ended_at = now(), last_status = @last_status::integer, last_error = ''
WHERE delivery_id = @delivery_id AND lease = @lease AND status IN ('pending', 'held');

-- name: MarkWebhookWorking :exec
UPDATE webhook_subscriptions SET failing_since = NULL, last_error = ''
WHERE subscription_id = $1 AND failing_since IS NOT NULL;

-- name: MarkWebhookFailed :execrows
UPDATE webhook_deliveries
SET status = CASE WHEN @give_up::boolean THEN 'failed' ELSE status END,
    ended_at = CASE WHEN @give_up::boolean THEN now() ELSE ended_at END,
    due_at = now() + make_interval(secs => @pause_seconds::float8),
    last_status = @last_status::integer, last_error = @last_error
WHERE delivery_id = @delivery_id AND lease = @lease AND status = 'pending';

-- name: MarkWebhookFailing :one
-- Returns whether the subscription, which is enabled, has failed for longer than the given time.
UPDATE webhook_subscriptions SET failing_since = coalesce(failing_since, now()), last_error = @last_error
WHERE subscription_id = @subscription_id AND enabled
RETURNING (failing_since < now() - make_interval(secs => @disable_seconds::float8))::boolean AS too_long;

-- name: ListWebhookDeliveries :many
-- One page, the latest first. An empty event type matches every delivery. There is a query per index, because a plan for
-- filters that may be absent reads all deliveries.
SELECT sqlc.embed(d), e.event_type, e.aggregate_id, e.aggregate_version
FROM webhook_deliveries d
JOIN webhook_events e ON e.event_id = d.event_id
JOIN webhook_subscriptions s ON s.subscription_id = d.subscription_id
WHERE s.deleted_at IS NULL AND (d.created_at, d.delivery_id) < (@before_created_at::timestamptz, @before_id::uuid)
  AND (@event_type::text = '' OR e.event_type = @event_type)
  AND d.created_at >= @from_time::timestamptz AND d.created_at < @to_time::timestamptz
ORDER BY d.created_at DESC, d.delivery_id DESC
LIMIT @page_size;

-- name: ListWebhookDeliveriesByStatus :many
SELECT sqlc.embed(d), e.event_type, e.aggregate_id, e.aggregate_version
FROM webhook_deliveries d
JOIN webhook_events e ON e.event_id = d.event_id
JOIN webhook_subscriptions s ON s.subscription_id = d.subscription_id
WHERE s.deleted_at IS NULL AND (d.created_at, d.delivery_id) < (@before_created_at::timestamptz, @before_id::uuid)
  AND d.status = @status
  AND (@event_type::text = '' OR e.event_type = @event_type)
  AND d.created_at >= @from_time::timestamptz AND d.created_at < @to_time::timestamptz
ORDER BY d.created_at DESC, d.delivery_id DESC
LIMIT @page_size;

-- name: ListWebhookDeliveriesBySubscription :many
-- An empty status matches every delivery.
SELECT sqlc.embed(d), e.event_type, e.aggregate_id, e.aggregate_version
FROM webhook_deliveries d
JOIN webhook_events e ON e.event_id = d.event_id
JOIN webhook_subscriptions s ON s.subscription_id = d.subscription_id
WHERE s.deleted_at IS NULL AND (d.created_at, d.delivery_id) < (@before_created_at::timestamptz, @before_id::uuid)
  AND d.subscription_id = @subscription_id AND (@status::text = '' OR d.status = @status)
  AND (@event_type::text = '' OR e.event_type = @event_type)
  AND d.created_at >= @from_time::timestamptz AND d.created_at < @to_time::timestamptz
ORDER BY d.created_at DESC, d.delivery_id DESC
LIMIT @page_size;

-- name: GetWebhookDelivery :one
SELECT sqlc.embed(d), sqlc.embed(e) FROM webhook_deliveries d
JOIN webhook_events e ON e.event_id = d.event_id
JOIN webhook_subscriptions s ON s.subscription_id = d.subscription_id
WHERE d.delivery_id = $1 AND s.deleted_at IS NULL;

-- name: CountWebhookDeliveries :one
-- How many deliveries RedeliverWebhooks would send again, and the database's time.
SELECT count(*) AS matching, now()::timestamptz AS at
FROM webhook_deliveries d
JOIN webhook_events e ON e.event_id = d.event_id
WHERE d.subscription_id = @subscription_id AND d.status = ANY (@statuses::text[])
  AND d.created_at >= @from_time::timestamptz AND d.created_at < @to_time::timestamptz
  AND d.ended_at < coalesce(sqlc.narg(ended_before)::timestamptz, now())
  AND (@event_type::text = '' OR e.event_type = @event_type);

-- name: RedeliverWebhooks :execrows
-- Makes deliveries pending again, the oldest first. One that ends again has a later ended_at and matches no more, so the
-- caller may repeat the statement until it changes nothing.
UPDATE webhook_deliveries w
SET status = 'pending', ended_at = NULL, attempts = 0, redeliveries = w.redeliveries + 1, due_at = now()
WHERE w.delivery_id = ANY (ARRAY(
    SELECT d.delivery_id FROM webhook_deliveries d
    JOIN webhook_events e ON e.event_id = d.event_id
    WHERE d.subscription_id = @subscription_id AND d.status = ANY (@statuses::text[])
      AND d.created_at >= @from_time::timestamptz AND d.created_at < @to_time::timestamptz
      AND d.ended_at < @ended_before::timestamptz
      AND (@event_type::text = '' OR e.event_type = @event_type)
    ORDER BY d.created_at, d.delivery_id
    LIMIT @size FOR UPDATE OF d SKIP LOCKED));

-- name: RedeliverWebhook :execrows
UPDATE webhook_deliveries
SET status = 'pending', ended_at = NULL, attempts = 0, redeliveries = redeliveries + 1, due_at = now()
WHERE delivery_id = @delivery_id AND status <> 'pending';

-- name: CountPendingWebhooks :one
-- What the sender has before it: deliveries of enabled subscriptions, and how long the one that is due longest waits.
SELECT count(*) AS pending,
       greatest(0, coalesce(extract(epoch FROM now() - min(d.due_at)), 0))::float8 AS overdue_seconds
FROM webhook_deliveries d
JOIN webhook_subscriptions s ON s.subscription_id = d.subscription_id
WHERE d.status = 'pending' AND s.enabled;

-- name: DeleteOldWebhookEvents :execrows
-- Deletes events with their deliveries. An event's id begins with the time at which it was made. An event that is still
-- pending for a subscription stays.
DELETE FROM webhook_events e
WHERE e.event_id = ANY (ARRAY(
    SELECT v.event_id FROM webhook_events v
    WHERE v.event_id < @below_id::uuid AND NOT EXISTS (
        SELECT FROM webhook_deliveries d WHERE d.event_id = v.event_id AND d.status = 'pending')
    ORDER BY v.event_id
    LIMIT @most FOR UPDATE SKIP LOCKED));

-- name: DeleteWebhookDeliveriesOfDeleted :execrows
DELETE FROM webhook_deliveries w
WHERE w.delivery_id = ANY (ARRAY(
    SELECT d.delivery_id FROM webhook_deliveries d
    JOIN webhook_subscriptions s ON s.subscription_id = d.subscription_id
    WHERE s.deleted_at IS NOT NULL
    LIMIT @most FOR UPDATE OF d SKIP LOCKED));

-- name: DeleteDeletedWebhookSubscriptions :execrows
DELETE FROM webhook_subscriptions s
WHERE s.deleted_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.subscription_id = s.subscription_id);
