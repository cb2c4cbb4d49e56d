-- Notifications: what customers are told about their orders. A notification is pending until it is sent, skipped, or
-- refused for good (failed).

-- name: AddNotification :execrows
-- Inserts a notification, unless there is one of its event and kind. A notification that is skipped is resolved at once.
INSERT INTO notifications (notification_id, event_id, order_id, kind, occurred_at, amount_minor, currency, status, detail,
                           due_at, resolved_at)
VALUES (@notification_id, @event_id, @order_id, @kind, @occurred_at, @amount_minor, @currency, @status, @detail, now(),
        CASE WHEN @status = 'pending' THEN NULL::timestamptz ELSE now() END)
ON CONFLICT ON CONSTRAINT notifications_event_kind_key DO NOTHING;

-- name: LeaseNotifications :many
-- Leases the notifications that have waited longest, and passes over those that another dispatcher leases. Without
-- MATERIALIZED, PostgreSQL may evaluate the sub-select more than once, and each evaluation locks other rows.
WITH picked AS MATERIALIZED (
    SELECT n.notification_id FROM notifications n
    WHERE n.status = 'pending' AND n.due_at <= now()
    ORDER BY n.due_at, n.notification_id
    LIMIT @size FOR UPDATE SKIP LOCKED
)
UPDATE notifications n
SET leases = n.leases + 1, due_at = now() + make_interval(secs => @lease_seconds::float8)
WHERE n.notification_id = ANY (ARRAY(SELECT p.notification_id FROM picked p))
RETURNING n.*;

-- name: SettleNotification :execrows
-- Ends a lease. It changes nothing if the notification was leased or settled since.
UPDATE notifications n
SET status = @status, channel = @channel, detail = @detail, attempts = n.attempts + @tried::integer,
    due_at = now() + make_interval(secs => @delay_seconds::float8),
    resolved_at = CASE WHEN @status = 'pending' THEN NULL::timestamptz ELSE now() END
WHERE n.notification_id = @notification_id AND n.leases = @leases AND n.status = 'pending';

-- name: GetNotification :one
SELECT * FROM notifications WHERE notification_id = $1;

-- name: ListNotificationsOfOrder :many
-- One page of an order's notifications, newest first.
SELECT * FROM notifications
WHERE order_id = @order_id AND (created_at, notification_id) < (@before_created_at::timestamptz, @before_id::uuid)
  AND (@status::text = '' OR status = @status)
ORDER BY created_at DESC, notification_id DESC
LIMIT @page_size;

-- name: ListNotificationsByStatus :many
-- One page of the notifications in a status, newest first.
SELECT * FROM notifications
WHERE status = @status AND (created_at, notification_id) < (@before_created_at::timestamptz, @before_id::uuid)
ORDER BY created_at DESC, notification_id DESC
LIMIT @page_size;

-- name: SendNotificationAgain :execrows
-- Makes a notification pending again and writes who asked for it. It changes nothing while the notification is pending.
WITH again AS (
    UPDATE notifications n
    SET status = 'pending', attempts = 0, resends = n.resends + 1, due_at = now(), resolved_at = NULL, detail = ''
    WHERE n.notification_id = @notification_id AND n.status <> 'pending'
    RETURNING n.notification_id
)
INSERT INTO notification_actions (notification_id, actor) SELECT again.notification_id, @actor FROM again;

-- name: ListNotificationActions :many
SELECT * FROM notification_actions WHERE notification_id = $1 ORDER BY position;

-- name: NotificationBacklog :one
-- Counts the notifications that wait, up to a limit, and returns the time of the oldest.
SELECT count(*) AS waiting, coalesce(min(p.created_at), now())::timestamptz AS oldest, now()::timestamptz AS at
FROM (SELECT n.created_at FROM notifications n WHERE n.status = 'pending' ORDER BY n.due_at, n.notification_id LIMIT @size) p;
