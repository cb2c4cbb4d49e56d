-- A consumer's inbox: the events that it has processed. The orders database and the inventory database have one each,
-- with the same columns, so these queries serve both; sqlc compiles them against the inventory's schema.

-- name: WasProcessed :one
SELECT EXISTS (SELECT FROM processed_events WHERE consumer = @consumer AND event_id = @event_id) AS processed;

-- name: MarkProcessed :execrows
-- Inserts no row if the consumer has processed the event. It waits for another transaction that inserts the same row.
INSERT INTO processed_events (consumer, event_id) VALUES (@consumer, @event_id)
ON CONFLICT (consumer, event_id) DO NOTHING;

-- name: ForgetProcessed :execrows
-- Forgets the events whose id is below one: an event's id begins with the time at which it was made.
DELETE FROM processed_events p
WHERE p.consumer = @consumer AND p.event_id IN (
    SELECT v.event_id FROM processed_events v
    WHERE v.consumer = @consumer AND v.event_id < @below_id
    ORDER BY v.event_id
    LIMIT @most);
