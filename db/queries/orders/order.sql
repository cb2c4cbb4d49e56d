-- The projection of an order. seq is the number of its last recorded transition; updated_at is that transition's
-- time, by the workflow's clock. A repeated or late write changes nothing. If a workflow task was lost and its second
-- execution had another outcome, the second execution has the later times, so its record overwrites the record of the
-- lost execution.

-- name: InsertOrder :execrows
INSERT INTO orders (order_id, seq, state, reason, refusal, request_hash, customer_id, issuer, total_minor, currency,
                    reservation_id, expires_at, payment_attempts, ship_to, email, metadata, workflow_id, run_id,
                    correlation_id, created_at, updated_at, refusal_code)
VALUES (@order_id, @seq, @state, @reason, @refusal, @request_hash, @customer_id, @issuer, @total_minor, @currency,
        @reservation_id, @expires_at, @payment_attempts, @ship_to, @email, @metadata, @workflow_id, @run_id,
        @correlation_id, @created_at, @updated_at, @refusal_code)
ON CONFLICT (order_id) DO NOTHING;

-- name: InsertOrderLines :exec
INSERT INTO order_lines (order_id, line_no, product_id, sku, name, quantity, unit_price_minor, line_total_minor, currency)
SELECT @order_id, unnest(@line_nos::int[]), unnest(@product_ids::uuid[]), unnest(@skus::text[]), unnest(@names::text[]),
       unnest(@quantities::bigint[]), unnest(@unit_prices::bigint[]), unnest(@line_totals::bigint[]), @currency;

-- name: AdvanceOrder :execrows
-- Only two runs may advance the row: the run that wrote it, and a run that takes over and names the seq that it found
-- (after). A settled row moves on only from the state that it is in, so no run takes a settled order back.
UPDATE orders
SET seq = @seq, state = @state, reason = @reason, refusal_code = @refusal_code, refusal = @refusal, reservation_id = @reservation_id,
    expires_at = @expires_at, payment_attempts = @payment_attempts, updated_at = @updated_at, run_id = @run_id
WHERE order_id = @order_id AND (updated_at, seq) < (@updated_at, @seq::bigint)
  AND CASE @after::bigint WHEN 0 THEN run_id = @run_id ELSE seq = @after::bigint END
  AND (state = @from_state OR state <> ALL (@settled::text[]));

-- name: FindRecordedOrder :one
-- Returns the last record of an order, and the run of its workflow that wrote it.
SELECT o.run_id, o.seq, o.state, o.reason, o.reservation_id, o.expires_at, o.payment_attempts, o.request_hash, o.updated_at,
       (SELECT count(*) FROM payments p WHERE p.order_id = o.order_id AND p.step = 'authorise' AND p.state = 'declined')::int AS declines
FROM orders o WHERE o.order_id = $1;

-- name: GetOrder :one
SELECT * FROM orders WHERE order_id = $1;

-- name: GetOrderOfReservation :one
SELECT * FROM orders WHERE reservation_id = @reservation_id::uuid;

-- The lists are newest first. The cursor is the last row of the previous page.

-- name: ListOrders :many
SELECT * FROM orders
WHERE (created_at, order_id) < (@before_created_at::timestamptz, @before_id::uuid) AND created_at >= @since::timestamptz
ORDER BY created_at DESC, order_id DESC
LIMIT @page_size;

-- name: ListOrdersInStates :many
-- It reads the index once per state, so that a list of a rare state does not read all orders.
SELECT o.* FROM unnest(@states::text[]) AS wanted (state)
CROSS JOIN LATERAL (
    SELECT * FROM orders
    WHERE orders.state = wanted.state
      AND (created_at, order_id) < (@before_created_at::timestamptz, @before_id::uuid) AND created_at >= @since::timestamptz
    ORDER BY created_at DESC, order_id DESC
    LIMIT @page_size
) o
ORDER BY o.created_at DESC, o.order_id DESC
LIMIT @page_size;

-- name: ListOrdersOfCustomer :many
-- A customer's own orders. An empty list of states means all states. An operator may ask for any issuer.
SELECT * FROM orders
WHERE customer_id = @customer_id AND (@any_issuer::boolean OR issuer = @issuer)
  AND (cardinality(@states::text[]) = 0 OR state = ANY (@states::text[]))
  AND (created_at, order_id) < (@before_created_at::timestamptz, @before_id::uuid) AND created_at >= @since::timestamptz
ORDER BY created_at DESC, order_id DESC
LIMIT @page_size;

-- name: LinesOfOrders :many
SELECT * FROM order_lines WHERE order_id = ANY (@order_ids::uuid[]) ORDER BY order_id, line_no;

-- name: InsertTimeline :exec
INSERT INTO order_timeline (order_id, seq, event, from_state, state, at, actor, reason, attempt, next_deadline)
VALUES (@order_id, @seq, @event, @from_state, @state, @at, @actor, @reason, @attempt, @next_deadline)
ON CONFLICT (order_id, seq) DO UPDATE
SET event = excluded.event, from_state = excluded.from_state, state = excluded.state, at = excluded.at, actor = excluded.actor,
    reason = excluded.reason, attempt = excluded.attempt, next_deadline = excluded.next_deadline
WHERE order_timeline.at < excluded.at;

-- name: ForgetLostTimeline :exec
-- Deletes the entries that have a higher number than the given entry but an earlier time: a lost execution wrote them.
DELETE FROM order_timeline WHERE order_id = @order_id AND seq > @seq AND at < @at;

-- name: ListTimeline :many
SELECT * FROM order_timeline WHERE order_id = $1 ORDER BY seq;

-- name: InsertPayment :exec
INSERT INTO payments (order_id, step, attempt, provider, provider_ref, amount_minor, currency, state, reason, authorised_until, created_at)
VALUES (@order_id, @step, @attempt, @provider, @provider_ref, @amount_minor, @currency, @state, @reason, @authorised_until, @created_at)
ON CONFLICT ON CONSTRAINT payments_step_key DO NOTHING;

-- name: BeginPayment :one
-- The lock makes this and the record of the order's end follow one another: either the end finds the intent, or the
-- intent finds the order ended.
WITH found AS (
    SELECT orders.order_id, orders.state <> ALL (@closed::text[]) AS open FROM orders
    WHERE orders.order_id = @order_id FOR NO KEY UPDATE
), begun AS (
    INSERT INTO payment_intents (order_id, attempt) SELECT found.order_id, @attempt FROM found WHERE found.open
    ON CONFLICT (order_id, attempt) DO NOTHING
)
SELECT found.open FROM found;

-- name: ForgetIntents :exec
-- What became of these payments is recorded.
DELETE FROM payment_intents WHERE order_id = @order_id AND attempt = ANY (@attempts::int[]);

-- name: IntentsOfOrder :many
SELECT attempt FROM payment_intents WHERE order_id = @order_id ORDER BY attempt;

-- name: PaymentsOfOrders :many
SELECT * FROM payments WHERE order_id = ANY (@order_ids::uuid[]) ORDER BY order_id, attempt, created_at, step;

-- name: InsertOutbox :exec
INSERT INTO outbox (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, schema_version, payload, headers,
    created_at)
VALUES (@event_id, @aggregate_type, @aggregate_id, @aggregate_version, @event_type, @schema_version, @payload, @headers,
    @created_at)
ON CONFLICT ON CONSTRAINT outbox_aggregate_key DO NOTHING;
