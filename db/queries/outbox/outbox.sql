-- The relay's side of an outbox. The orders database and the inventory database have an outbox each, with the same
-- columns, so these queries serve both; sqlc compiles them against the inventory's schema.
--
-- An event waits until it is published (published_at). A relay leases events that are due (available_at), which keeps
-- other relays from them until lease_until. An event is blocked if an earlier event of its aggregate waits and is not in
-- the same lease. Events of an aggregate have the order of (aggregate_version, event_type).

-- name: LeaseEvents :many
-- Leases the events that have waited longest and are not blocked. The blocked ones that it meets become due later, with
-- the event before them at the earliest, so that the next lease finds the events of other aggregates behind them. It is
-- enough to look one event back, because the events of an aggregate are published in their order; the window function
-- carries the answer on to the events after it. The update names the ids as an array, because the planner expects a
-- tenth of the table from a limit that it does not know, and would read the whole primary key for a join with picked.
--
-- The query never asks for ids above the last one that was published: ids and commits have different orders. Without
-- MATERIALIZED, PostgreSQL may evaluate the sub-select more than once, and each evaluation locks other rows.
WITH picked AS MATERIALIZED (
    SELECT o.event_id, o.aggregate_id, o.aggregate_version, o.event_type
    FROM outbox o
    WHERE o.published_at IS NULL AND o.available_at <= now() AND (o.lease_until IS NULL OR o.lease_until <= now())
    ORDER BY o.available_at, o.event_id
    LIMIT @size FOR UPDATE SKIP LOCKED
), chained AS MATERIALIZED (
    SELECT p.event_id,
           max(earlier.available_at) OVER (PARTITION BY p.aggregate_id ORDER BY p.aggregate_version, p.event_type) AS earlier_at,
           bool_and(earlier.event_id IS NULL OR earlier.published_at IS NOT NULL OR too.event_id IS NOT NULL)
               OVER (PARTITION BY p.aggregate_id ORDER BY p.aggregate_version, p.event_type) AS free
    FROM picked p
    LEFT JOIN LATERAL (
        SELECT e.event_id, e.published_at, e.available_at
        FROM outbox e
        WHERE e.aggregate_id = p.aggregate_id
          AND (e.aggregate_version, e.event_type) < (p.aggregate_version, p.event_type)
        ORDER BY e.aggregate_version DESC, e.event_type DESC
        LIMIT 1
    ) earlier ON true
    LEFT JOIN picked too ON too.event_id = earlier.event_id
)
UPDATE outbox o
SET attempts = o.attempts + c.free::integer,
    lease_until = CASE WHEN c.free THEN now() + make_interval(secs => @lease_seconds::float8) END,
    available_at = CASE WHEN c.free THEN o.available_at
                   ELSE greatest(c.earlier_at, now() + make_interval(secs => @blocked_seconds::float8)) END
FROM chained c
WHERE o.event_id = ANY (ARRAY(SELECT x.event_id FROM picked x)) AND o.event_id = c.event_id
RETURNING c.free::boolean AS free, o.event_id, o.aggregate_id, o.aggregate_version, o.event_type, o.schema_version,
    o.payload::text AS payload, o.headers::text AS headers, o.created_at, o.attempts;

-- name: MarkPublished :execrows
UPDATE outbox o SET published_at = now(), lease_until = NULL, last_error = ''
WHERE o.event_id = ANY (@event_ids::uuid[]) AND o.published_at IS NULL;

-- name: DeferEvents :exec
-- Gives back leased events that were not published; each is due again after its delay.
UPDATE outbox o
SET lease_until = NULL, available_at = now() + make_interval(secs => u.delay), last_error = u.error
FROM (
    SELECT unnest(@event_ids::uuid[]) AS event_id, unnest(@delays::float8[]) AS delay, unnest(@errors::text[]) AS error
) u
WHERE o.event_id = u.event_id AND o.published_at IS NULL;

-- name: Backlog :one
-- Counts the events that are not published yet, and returns the time of the oldest.
SELECT count(*) AS waiting, coalesce(min(o.created_at), now())::timestamptz AS oldest, now()::timestamptz AS at
FROM outbox o WHERE o.published_at IS NULL;

-- name: DeletePublished :execrows
-- Deletes events that were published before a time. An id begins with the time at which it was made, so the ids below
-- that time's are the only candidates, and the primary key finds them.
DELETE FROM outbox o
WHERE o.event_id = ANY (ARRAY(
    SELECT v.event_id FROM outbox v
    WHERE v.event_id < @below_id::uuid AND v.published_at < @before::timestamptz
    ORDER BY v.event_id
    LIMIT @most FOR UPDATE SKIP LOCKED));
