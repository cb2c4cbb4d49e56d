-- The projection of an order. seq is the number of its last recorded transition; updated_at is that transition's
-- time, by the workflow's clock. A repeated or late write changes nothing. If a workflow task was lost and its second
-- execution had another outcome, the second execution has the later times, so its record overwrites the record of the
-- lost execution.

-- name: PlaceOrder :one
-- Inserts an order with everything that belongs to it, if the order has no row yet and its customer may have another
-- open order, and returns whether it did, and the order's number. max_orders = 0 means that the customer may have any
-- number of open orders. The database draws the order's number, so it adds the number to the event.
WITH held AS (
    SELECT h.orders, h.units
    FROM (SELECT) one LEFT JOIN LATERAL open_holds(@issuer, @customer_id) h ON @max_orders::bigint > 0
), placed AS (
    INSERT INTO orders (order_id, seq, state, request_hash, customer_id, issuer, total_minor, shipping_minor, currency,
                        ship_to, email, metadata, workflow_id, run_id, correlation_id, ttl_seconds, wait_seconds, review, created_at, updated_at)
    SELECT @order_id, 0, @state, @request_hash, @customer_id, @issuer, @total_minor, @shipping_minor, @currency,
           @ship_to, @email, @metadata, @workflow_id, '', @correlation_id, @ttl_seconds, @wait_seconds, @review, @placed_at, @placed_at
    FROM held
    WHERE held.orders IS NULL OR held.orders < @max_orders AND held.units + @units::bigint <= @max_units::bigint
    ON CONFLICT (order_id) DO NOTHING
    RETURNING order_id, number
), lines AS (
    INSERT INTO order_lines (order_id, line_no, product_id, sku, name, quantity, unit_price_minor, discount_minor, tax_minor,
                             line_total_minor, currency)
    SELECT placed.order_id, l.line_no, l.product_id, l.sku, l.name, l.quantity, l.unit_price, l.discount, l.tax,
           l.line_total, @currency
    FROM placed CROSS JOIN (
        SELECT unnest(@line_nos::int[]) AS line_no, unnest(@product_ids::uuid[]) AS product_id, unnest(@skus::text[]) AS sku,
               unnest(@names::text[]) AS name, unnest(@quantities::bigint[]) AS quantity,
               unnest(@unit_prices::bigint[]) AS unit_price, unnest(@discounts::bigint[]) AS discount,
               unnest(@taxes::bigint[]) AS tax, unnest(@line_totals::bigint[]) AS line_total
    ) l
), entry AS (
    INSERT INTO order_timeline (order_id, seq, event, from_state, state, at, actor)
    SELECT placed.order_id, 0, @event, '', @state, @placed_at, @placed_by FROM placed
), waiting AS (
    INSERT INTO order_starts (order_id, input, available_at)
    SELECT placed.order_id, @input, now() + make_interval(secs => @lease_seconds::float8) FROM placed
), published AS (
    INSERT INTO outbox (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, schema_version, payload,
                        headers, created_at)
    SELECT @event_id, 'order', placed.order_id, 0, @event_type, @schema_version,
           (@event_payload::jsonb || jsonb_build_object('orderNumber', placed.number))::json, @event_headers, @placed_at
    FROM placed
)
SELECT EXISTS (SELECT FROM placed) AS inserted, coalesce((SELECT number FROM placed), '')::text AS number,
       coalesce(held.orders, 0)::bigint AS open_orders, coalesce(held.units, 0)::bigint AS open_units
FROM held;

-- name: OpenHolds :one
-- Counts the open unpaid orders of a customer, and the units on their lines.
SELECT coalesce(held.orders, 0)::bigint AS orders, coalesce(held.units, 0)::bigint AS units
FROM open_holds(@issuer, @customer_id) held;

-- name: RecordOrder :one
-- Advances an order's row and writes what belongs to the change, and returns whether the row changed.
--
-- Only two runs may advance a row that a run has written: that run, and a run that takes over and names the seq that it
-- found (after). A settled row moves on only from the state that it is in, so no run takes a settled order back. A row
-- that no run has written belongs to the first record (first), if that record has the row's order.
WITH advanced AS (
    UPDATE orders
    SET seq = @seq, state = @state, reason = @reason, refusal_code = @refusal_code, refusal = @refusal,
        reservation_id = @reservation_id, expires_at = @expires_at, payment_attempts = @payment_attempts,
        updated_at = @updated_at, run_id = @run_id, hold_reason = @hold_reason, hold_note = @hold_note,
        action_url = @action_url,
        total_minor = CASE WHEN @edited::boolean THEN @new_total_minor::bigint ELSE orders.total_minor END,
        reservation_number = CASE WHEN @edited::boolean THEN @new_reservation_number::int ELSE orders.reservation_number END
    WHERE orders.order_id = @order_id
      AND (orders.run_id = '' OR (orders.updated_at, orders.seq) < (@updated_at, @seq::bigint))
      AND CASE WHEN @after::bigint > 0 THEN orders.seq = @after::bigint
               WHEN orders.run_id = '' THEN @first::boolean
               ELSE orders.run_id = @run_id END
      AND (orders.state = @from_state OR orders.state <> ALL (@settled::text[]))
      AND (NOT @first::boolean OR orders.request_hash = @request_hash AND orders.customer_id = @customer_id
           AND orders.issuer = @issuer AND orders.total_minor = @total_minor AND orders.currency = @currency
           AND NOT EXISTS (
               SELECT FROM (SELECT * FROM order_lines WHERE order_lines.order_id = @order_id) stored
               FULL JOIN (
                   SELECT unnest(@line_nos::int[]) AS line_no, unnest(@product_ids::uuid[]) AS product_id,
                          unnest(@quantities::bigint[]) AS quantity, unnest(@unit_prices::bigint[]) AS unit_price
               ) given ON stored.line_no = given.line_no AND stored.product_id = given.product_id
                      AND stored.quantity = given.quantity AND stored.unit_price_minor = given.unit_price
               WHERE stored.line_no IS NULL OR given.line_no IS NULL))
    RETURNING orders.order_id, orders.number
), edited AS (
    INSERT INTO order_lines AS l (order_id, line_no, product_id, sku, name, quantity, unit_price_minor, line_total_minor, currency)
    SELECT advanced.order_id, n.line_no, n.product_id, n.sku, n.name, n.quantity, n.unit_price, n.line_total, @new_currency
    FROM advanced CROSS JOIN (
        SELECT unnest(@new_line_nos::int[]) AS line_no, unnest(@new_product_ids::uuid[]) AS product_id,
               unnest(@new_skus::text[]) AS sku, unnest(@new_names::text[]) AS name,
               unnest(@new_quantities::bigint[]) AS quantity, unnest(@new_unit_prices::bigint[]) AS unit_price,
               unnest(@new_line_totals::bigint[]) AS line_total
    ) n
    ON CONFLICT (order_id, line_no) DO UPDATE
    SET product_id = excluded.product_id, sku = excluded.sku, name = excluded.name, quantity = excluded.quantity,
        unit_price_minor = excluded.unit_price_minor, line_total_minor = excluded.line_total_minor
), dropped AS (
    DELETE FROM order_lines USING advanced
    WHERE @edited::boolean AND order_lines.order_id = advanced.order_id
      AND order_lines.line_no > cardinality(@new_line_nos::int[])
), started AS (
    DELETE FROM order_starts USING advanced WHERE @first::boolean AND order_starts.order_id = advanced.order_id
), entries AS (
    -- A timeline entry is overwritten only by a later execution of the workflow task that decided it.
    INSERT INTO order_timeline AS t (order_id, seq, event, from_state, state, at, actor, reason, attempt, shipment, next_deadline,
                                     correlation_id)
    SELECT advanced.order_id, e.seq, e.event, e.from_state, e.state, e.at, e.actor, e.reason, e.attempt, e.shipment,
           nullif(e.next_deadline, @no_time::timestamptz), e.correlation_id
    FROM advanced CROSS JOIN (
        SELECT unnest(@entry_seqs::bigint[]) AS seq, unnest(@entry_events::text[]) AS event,
               unnest(@entry_from_states::text[]) AS from_state, unnest(@entry_states::text[]) AS state,
               unnest(@entry_times::timestamptz[]) AS at, unnest(@entry_actors::text[]) AS actor,
               unnest(@entry_reasons::text[]) AS reason, unnest(@entry_attempts::int[]) AS attempt,
               unnest(@entry_shipments::int[]) AS shipment,
               unnest(@entry_deadlines::timestamptz[]) AS next_deadline,
               unnest(@entry_correlation_ids::text[]) AS correlation_id
    ) e
    ON CONFLICT (order_id, seq) DO UPDATE
    SET event = excluded.event, from_state = excluded.from_state, state = excluded.state, at = excluded.at,
        actor = excluded.actor, reason = excluded.reason, attempt = excluded.attempt, shipment = excluded.shipment,
        next_deadline = excluded.next_deadline, correlation_id = excluded.correlation_id
    WHERE t.at < excluded.at
), lost AS (
    -- Entries with a higher number than this record's last but an earlier time: a lost execution wrote them.
    DELETE FROM order_timeline USING advanced
    WHERE order_timeline.order_id = advanced.order_id AND order_timeline.seq > @seq::bigint AND order_timeline.at < @updated_at
), paid AS (
    INSERT INTO payments (order_id, step, attempt, number, provider, provider_ref, amount_minor, currency, state, reason,
                          authorised_until, created_at, repair_id)
    SELECT advanced.order_id, p.step, p.attempt, p.number, p.provider, p.provider_ref, p.amount_minor, p.currency, p.state,
           p.reason,
           nullif(p.authorised_until, @no_time::timestamptz), p.created_at,
           nullif(p.repair_id, '00000000-0000-0000-0000-000000000000'::uuid)
    FROM advanced CROSS JOIN (
        SELECT unnest(@payment_steps::text[]) AS step, unnest(@payment_numbers::int[]) AS attempt,
               unnest(@payment_parts::int[]) AS number,
               unnest(@payment_providers::text[]) AS provider, unnest(@payment_refs::text[]) AS provider_ref,
               unnest(@payment_amounts::bigint[]) AS amount_minor, unnest(@payment_currencies::text[]) AS currency,
               unnest(@payment_states::text[]) AS state, unnest(@payment_reasons::text[]) AS reason,
               unnest(@payment_deadlines::timestamptz[]) AS authorised_until, unnest(@payment_times::timestamptz[]) AS created_at,
               unnest(@payment_repairs::uuid[]) AS repair_id
    ) p
    ON CONFLICT ON CONSTRAINT payments_step_key DO NOTHING
), shipped AS (
    -- The record has every shipment of the order. A lost execution may have split one that this execution did not split.
    -- A shipment keeps the day for which it was promised first.
    INSERT INTO shipments AS s (order_id, number, location, status, carrier, tracking_number, promised_on, created_at, updated_at)
    SELECT advanced.order_id, n.number, n.location, n.status, n.carrier, n.tracking_number, nullif(n.promised_on, '')::date,
           @updated_at, @updated_at
    FROM advanced CROSS JOIN (
        SELECT unnest(@shipment_numbers::int[]) AS number, unnest(@shipment_locations::text[]) AS location,
               unnest(@shipment_statuses::text[]) AS status, unnest(@shipment_carriers::text[]) AS carrier,
               unnest(@shipment_tracking_numbers::text[]) AS tracking_number, unnest(@shipment_promises::text[]) AS promised_on
    ) n
    ON CONFLICT (order_id, number) DO UPDATE
    SET location = excluded.location, status = excluded.status, carrier = excluded.carrier,
        tracking_number = excluded.tracking_number, updated_at = excluded.updated_at
    WHERE (s.location, s.status, s.carrier, s.tracking_number)
        IS DISTINCT FROM (excluded.location, excluded.status, excluded.carrier, excluded.tracking_number)
), unshipped AS (
    DELETE FROM shipments USING advanced
    WHERE shipments.order_id = advanced.order_id AND shipments.number > cardinality(@shipment_numbers::int[])
), contents AS (
    INSERT INTO shipment_lines AS l (order_id, number, line_no, reservation, quantity, cancelled, short, rerouting, restocked)
    SELECT advanced.order_id, n.number, n.line_no, n.reservation, n.quantity, n.cancelled, n.short, n.rerouting, n.restocked
    FROM advanced CROSS JOIN (
        SELECT unnest(@content_numbers::int[]) AS number, unnest(@content_line_nos::int[]) AS line_no,
               unnest(@content_reservations::int[]) AS reservation, unnest(@content_quantities::bigint[]) AS quantity,
               unnest(@content_cancelled::bigint[]) AS cancelled, unnest(@content_short::bigint[]) AS short,
               unnest(@content_rerouting::bigint[]) AS rerouting, unnest(@content_restocked::bigint[]) AS restocked
    ) n
    ON CONFLICT (order_id, number, line_no, reservation) DO UPDATE
    SET quantity = excluded.quantity, cancelled = excluded.cancelled, short = excluded.short, rerouting = excluded.rerouting,
        restocked = excluded.restocked
    WHERE (l.quantity, l.cancelled, l.short, l.rerouting, l.restocked)
        IS DISTINCT FROM (excluded.quantity, excluded.cancelled, excluded.short, excluded.rerouting, excluded.restocked)
), unpacked AS (
    -- A lost execution may have put a line into a shipment that does not have it in this execution.
    DELETE FROM shipment_lines USING advanced
    WHERE shipment_lines.order_id = advanced.order_id
      AND shipment_lines.number <= cardinality(@shipment_numbers::int[])
      AND NOT EXISTS (
          SELECT FROM (
              SELECT unnest(@content_numbers::int[]) AS number, unnest(@content_line_nos::int[]) AS line_no,
                     unnest(@content_reservations::int[]) AS reservation
          ) n WHERE (n.number, n.line_no, n.reservation)
              = (shipment_lines.number, shipment_lines.line_no, shipment_lines.reservation))
), sent_back AS (
    INSERT INTO returns AS r (order_id, number, status, reason, note, key, receive_by, created_at, updated_at)
    SELECT advanced.order_id, n.number, n.status, n.reason, n.note, n.key, nullif(n.receive_by, @no_time::timestamptz),
           @updated_at, @updated_at
    FROM advanced CROSS JOIN (
        SELECT unnest(@return_numbers::int[]) AS number, unnest(@return_statuses::text[]) AS status,
               unnest(@return_reasons::text[]) AS reason, unnest(@return_notes::text[]) AS note,
               unnest(@return_keys::text[]) AS key, unnest(@return_deadlines::timestamptz[]) AS receive_by
    ) n
    ON CONFLICT (order_id, number) DO UPDATE
    SET status = excluded.status, reason = excluded.reason, note = excluded.note, key = excluded.key,
        receive_by = excluded.receive_by, updated_at = excluded.updated_at
    WHERE (r.status, r.reason, r.note, r.key, r.receive_by)
        IS DISTINCT FROM (excluded.status, excluded.reason, excluded.note, excluded.key, excluded.receive_by)
), kept AS (
    DELETE FROM returns USING advanced
    WHERE returns.order_id = advanced.order_id AND returns.number > cardinality(@return_numbers::int[])
), arrived AS (
    INSERT INTO return_lines AS l (order_id, number, line_no, quantity, restocked, damaged, refund_minor)
    SELECT advanced.order_id, n.number, n.line_no, n.quantity, n.restocked, n.damaged, n.refund_minor
    FROM advanced CROSS JOIN (
        SELECT unnest(@returned_numbers::int[]) AS number, unnest(@returned_line_nos::int[]) AS line_no,
               unnest(@returned_quantities::bigint[]) AS quantity, unnest(@returned_restocked::bigint[]) AS restocked,
               unnest(@returned_damaged::bigint[]) AS damaged, unnest(@returned_refunds::bigint[]) AS refund_minor
    ) n
    ON CONFLICT (order_id, number, line_no) DO UPDATE
    SET quantity = excluded.quantity, restocked = excluded.restocked, damaged = excluded.damaged,
        refund_minor = excluded.refund_minor
    WHERE (l.quantity, l.restocked, l.damaged, l.refund_minor)
        IS DISTINCT FROM (excluded.quantity, excluded.restocked, excluded.damaged, excluded.refund_minor)
), resolved AS (
    -- This record has the outcome of these payments.
    DELETE FROM payment_intents USING advanced
    WHERE payment_intents.order_id = advanced.order_id AND payment_intents.attempt = ANY (@ended_attempts::int[])
), published AS (
    INSERT INTO outbox (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, schema_version, payload,
                        headers, created_at)
    SELECT e.event_id, 'order', advanced.order_id, e.version, e.event_type, @schema_version,
           (e.payload::jsonb || jsonb_build_object('orderNumber', advanced.number))::json, e.headers, e.created_at
    FROM advanced CROSS JOIN (
        SELECT unnest(@event_ids::uuid[]) AS event_id, unnest(@event_versions::bigint[]) AS version,
               unnest(@event_types::text[]) AS event_type, unnest(@event_payloads::json[]) AS payload,
               unnest(@event_headers::json[]) AS headers, unnest(@event_times::timestamptz[]) AS created_at
    ) e
    ON CONFLICT ON CONSTRAINT outbox_aggregate_key DO NOTHING
)
SELECT count(*) > 0 AS advanced FROM advanced;

-- The orders that wait for their workflow.

-- name: LeaseStarts :many
-- Leases the orders that have waited longest. It passes over the orders that another process has leased. Without
-- MATERIALIZED, PostgreSQL may evaluate the sub-select more than once, and each evaluation locks other rows.
WITH longest AS MATERIALIZED (
    SELECT waiting.order_id FROM order_starts waiting WHERE waiting.available_at <= now()
    ORDER BY waiting.position LIMIT @size FOR UPDATE SKIP LOCKED
)
UPDATE order_starts SET attempts = attempts + 1, available_at = now() + make_interval(secs => @lease_seconds::float8)
FROM longest JOIN orders ON orders.order_id = longest.order_id
WHERE order_starts.order_id = longest.order_id
RETURNING order_starts.order_id, order_starts.position, order_starts.input, order_starts.attempts, orders.number;

-- name: LeaseStart :one
-- Leases one order, also if another process has leased it.
UPDATE order_starts SET attempts = attempts + 1, available_at = now() + make_interval(secs => @lease_seconds::float8)
FROM orders
WHERE order_starts.order_id = @order_id AND orders.order_id = order_starts.order_id
RETURNING order_starts.input, order_starts.attempts, orders.number;

-- name: DeferStart :exec
UPDATE order_starts SET available_at = now() + make_interval(secs => @delay_seconds::float8) WHERE order_id = @order_id;

-- name: ForgetStart :exec
DELETE FROM order_starts WHERE order_id = @order_id;

-- name: CountStarts :one
-- Counts the waiting orders, up to a limit, and returns whether one of them is not leased.
SELECT (SELECT count(*) FROM (SELECT 1 FROM order_starts LIMIT @size) counted) AS waiting,
       EXISTS (SELECT FROM order_starts WHERE available_at <= now()) AS available;

-- name: PositionInLine :one
-- Returns how many orders must start until this order has started, itself included, up to a limit; 0 if it does not wait.
SELECT count(*) FROM (
    SELECT 1 FROM order_starts
    WHERE position <= (SELECT waiting.position FROM order_starts waiting WHERE waiting.order_id = @order_id)
    ORDER BY position LIMIT @size
) ahead;

-- Orders whose workflow was ended from outside.

-- name: UnendedOrders :many
-- Returns open orders that stand still since a time: nothing has changed them, their deadline has passed, and they do not
-- wait for their first start.
SELECT * FROM orders
WHERE state = ANY (@states::text[]) AND updated_at < @since::timestamptz
  AND coalesce(expires_at, '-infinity') < @since::timestamptz
  AND NOT EXISTS (SELECT FROM order_starts WHERE order_starts.order_id = orders.order_id)
ORDER BY created_at, order_id
LIMIT @size;

-- name: PaidBefore :one
-- What a rule for review asks of a customer's earlier orders: whether one was paid, and where the last one went.
SELECT EXISTS (
    SELECT FROM orders o WHERE o.customer_id = @customer_id AND o.issuer = @issuer AND o.state = ANY (@paid::text[])
) AS paid,
coalesce((
    SELECT o.ship_to ->> 'country' FROM orders o
    WHERE o.customer_id = @customer_id AND o.issuer = @issuer AND o.state = ANY (@paid::text[]) AND o.ship_to IS NOT NULL
    ORDER BY o.created_at DESC LIMIT 1
), '')::text AS country;

-- name: FindRecordedOrder :one
-- Returns the last record of an order, and the run of its workflow that wrote it.
SELECT o.run_id, o.seq, o.state, o.reason, o.reservation_id, o.expires_at, o.payment_attempts, o.request_hash, o.updated_at,
       o.hold_reason, o.hold_note, o.currency, o.total_minor, o.reservation_number,
       -- The captured payment that paid for the order: rather one that was not refunded as a whole.
       coalesce((SELECT p.attempt FROM payments p WHERE p.order_id = o.order_id AND p.step = 'capture' AND p.state = 'captured'
                 ORDER BY EXISTS (SELECT FROM payments r WHERE r.order_id = p.order_id AND r.attempt = p.attempt
                                  AND r.step = 'refund' AND r.state = 'refunded' AND r.number = 0), p.attempt DESC
                 LIMIT 1), 0)::int AS captured_attempt,
       coalesce((SELECT max(p.number) FROM payments p WHERE p.order_id = o.order_id AND p.step = 'refund' AND p.state = 'refunded' AND p.number > 0), 0)::int AS refunds,
       coalesce((SELECT sum(p.amount_minor) FROM payments p WHERE p.order_id = o.order_id AND p.step = 'refund' AND p.state = 'refunded' AND p.number > 0), 0)::bigint AS refunded_minor,
       (SELECT count(*) FROM payments p WHERE p.order_id = o.order_id AND p.step = 'authorise' AND p.state = 'declined')::int AS declines,
       -- Payments that were begun or authorised and have no end, or that were captured although the order was not carried out.
       ARRAY(
           SELECT i.attempt FROM payment_intents i WHERE i.order_id = o.order_id
           UNION
           SELECT a.attempt FROM payments a
           WHERE a.order_id = o.order_id AND a.state = 'authorised' AND NOT EXISTS (
               SELECT FROM payments e
               WHERE e.order_id = a.order_id AND e.attempt = a.attempt AND e.state IN ('captured', 'voided', 'refunded'))
           UNION
           SELECT c.attempt FROM payments c
           WHERE c.order_id = o.order_id AND c.state = 'captured' AND o.state IN ('rejected', 'expired', 'cancelled', 'failed')
             AND NOT EXISTS (SELECT FROM shipments s WHERE s.order_id = o.order_id)
             AND NOT EXISTS (
               SELECT FROM payments e WHERE e.order_id = c.order_id AND e.attempt = c.attempt AND e.state = 'refunded')
           ORDER BY 1)::int[] AS unended,
       -- Payments that an operator has voided or refunded by hand as a whole.
       ARRAY(
           SELECT p.attempt FROM payments p
           WHERE p.order_id = o.order_id AND p.provider = 'by_hand' AND p.number = 0 ORDER BY 1)::int[] AS by_hand
FROM orders o WHERE o.order_id = $1;

-- name: GetOrder :one
SELECT * FROM orders WHERE order_id = $1;

-- name: GetOrderByNumber :one
SELECT * FROM orders WHERE number = @number;

-- name: GetOrderOfReservation :one
SELECT * FROM orders WHERE reservation_id = @reservation_id::uuid;

-- The lists are newest first. The cursor is the last row of the previous page.

-- name: ListOrders :many
SELECT * FROM orders
WHERE (created_at, order_id) < (@before_created_at::timestamptz, @before_id::uuid) AND created_at >= @since::timestamptz
ORDER BY created_at DESC, order_id DESC
LIMIT @page_size;

-- name: ListOrdersOfRequest :many
-- The orders that a request created, or on which a later request acted. An empty customer or issuer means any.
SELECT * FROM orders
WHERE (@customer_id::text = '' OR customer_id = @customer_id) AND (@issuer::text = '' OR issuer = @issuer) AND order_id IN (
    SELECT o.order_id FROM orders o WHERE o.correlation_id = @correlation_id::text AND o.correlation_id <> ''
    UNION SELECT t.order_id FROM order_timeline t WHERE t.correlation_id = @correlation_id::text AND t.correlation_id <> ''
)
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
-- A customer's own orders. An operator may ask for any issuer.
SELECT * FROM orders
WHERE customer_id = @customer_id AND (@any_issuer::boolean OR issuer = @issuer)
  AND (created_at, order_id) < (@before_created_at::timestamptz, @before_id::uuid) AND created_at >= @since::timestamptz
ORDER BY created_at DESC, order_id DESC
LIMIT @page_size;

-- name: ListOrdersOfCustomerInStates :many
-- It reads the index once per state, so that a list of a rare state does not read all of the customer's orders.
SELECT o.* FROM unnest(@states::text[]) AS wanted (state)
CROSS JOIN LATERAL (
    SELECT * FROM orders
    WHERE orders.customer_id = @customer_id AND orders.state = wanted.state AND (@any_issuer::boolean OR issuer = @issuer)
      AND (created_at, order_id) < (@before_created_at::timestamptz, @before_id::uuid) AND created_at >= @since::timestamptz
    ORDER BY created_at DESC, order_id DESC
    LIMIT @page_size
) o
ORDER BY o.created_at DESC, o.order_id DESC
LIMIT @page_size;

-- name: OrdersOfProduct :many
-- The orders with a line of a product, in the order of the index.
SELECT DISTINCT order_id FROM order_lines WHERE sku = @sku LIMIT @size;

-- name: SearchOrders :many
-- Orders by amount, and by the filters of the lists above. A filter that is not given is constant for the planner, because
-- the caller forces a plan for the values at hand: it begins with the orders of a rare amount, and goes through the
-- newest orders for a common one. order_ids are those of a rare product.
SELECT o.* FROM orders o
WHERE (o.created_at, o.order_id) < (@before_created_at::timestamptz, @before_id::uuid) AND o.created_at >= @since::timestamptz
  AND (@customer_id::text = '' OR o.customer_id = @customer_id::text AND (@any_issuer::boolean OR o.issuer = @issuer::text))
  AND (cardinality(@states::text[]) = 0 OR o.state = ANY (@states::text[]))
  AND (@currency::char(3) = '' OR o.currency = @currency::char(3)
       AND o.total_minor >= @amount_min::bigint AND o.total_minor <= @amount_max::bigint)
  AND (@any_product::boolean OR o.order_id = ANY (@order_ids::uuid[]))
ORDER BY o.created_at DESC, o.order_id DESC
LIMIT @page_size;

-- name: SearchOrdersOfProduct :many
-- SearchOrders for a common product: it goes through the newest orders. The condition stands alone: within an OR, PostgreSQL
-- would find all orders of the product first.
SELECT o.* FROM orders o
WHERE (o.created_at, o.order_id) < (@before_created_at::timestamptz, @before_id::uuid) AND o.created_at >= @since::timestamptz
  AND (@customer_id::text = '' OR o.customer_id = @customer_id::text AND (@any_issuer::boolean OR o.issuer = @issuer::text))
  AND (cardinality(@states::text[]) = 0 OR o.state = ANY (@states::text[]))
  AND (@currency::char(3) = '' OR o.currency = @currency::char(3)
       AND o.total_minor >= @amount_min::bigint AND o.total_minor <= @amount_max::bigint)
  AND EXISTS (SELECT FROM order_lines l WHERE l.sku = @sku::text AND l.order_id = o.order_id)
ORDER BY o.created_at DESC, o.order_id DESC
LIMIT @page_size;

-- name: LinesOfOrders :many
SELECT * FROM order_lines WHERE order_id = ANY (@order_ids::uuid[]) ORDER BY order_id, line_no;

-- name: ListTimeline :many
SELECT * FROM order_timeline WHERE order_id = $1 ORDER BY seq;

-- name: BeginPayment :one
-- The lock makes this and the record of the order's end follow one another: either the end finds the intent, or the
-- intent finds the order ended.
WITH found AS (
    SELECT orders.order_id, orders.state <> ALL (@closed::text[]) AS open FROM orders
    WHERE orders.order_id = @order_id AND orders.run_id <> '' FOR NO KEY UPDATE
), begun AS (
    INSERT INTO payment_intents (order_id, attempt) SELECT found.order_id, @attempt FROM found WHERE found.open
    ON CONFLICT (order_id, attempt) DO NOTHING
)
SELECT found.open FROM found;

-- name: IntentsOfOrder :many
SELECT attempt FROM payment_intents WHERE order_id = @order_id ORDER BY attempt;

-- name: PaymentsOfOrders :many
SELECT * FROM payments WHERE order_id = ANY (@order_ids::uuid[]) ORDER BY order_id, attempt, created_at, step, number;

-- name: ShipmentsOfOrders :many
SELECT * FROM shipments WHERE order_id = ANY (@order_ids::uuid[]) ORDER BY order_id, number;

-- name: ShipmentLinesOfOrders :many
SELECT * FROM shipment_lines WHERE order_id = ANY (@order_ids::uuid[]) ORDER BY order_id, number, line_no, reservation;

-- name: ReturnsOfOrders :many
SELECT * FROM returns WHERE order_id = ANY (@order_ids::uuid[]) ORDER BY order_id, number;

-- name: ReturnLinesOfOrders :many
SELECT * FROM return_lines WHERE order_id = ANY (@order_ids::uuid[]) ORDER BY order_id, number, line_no;

-- name: ListReturns :many
-- The returns in some statuses, oldest first, each row with one line. The cursor is the last return of the previous page.
WITH page AS (
    SELECT r.* FROM unnest(@statuses::text[]) AS wanted (status)
    CROSS JOIN LATERAL (
        SELECT * FROM returns
        WHERE returns.status = wanted.status
          AND (created_at, order_id, number) > (@after_created_at::timestamptz, @after_id::uuid, @after_number::int)
        ORDER BY created_at, order_id, number
        LIMIT @page_size
    ) r
    ORDER BY r.created_at, r.order_id, r.number
    LIMIT @page_size
)
SELECT page.order_id, page.number, page.status, page.reason, page.note, page.receive_by, page.created_at, page.updated_at,
       o.number AS order_number, o.customer_id, rl.line_no, rl.quantity, rl.restocked, rl.damaged, rl.refund_minor, ol.product_id, ol.sku, ol.name
FROM page
JOIN orders o ON o.order_id = page.order_id
JOIN return_lines rl ON rl.order_id = page.order_id AND rl.number = page.number
JOIN order_lines ol ON ol.order_id = page.order_id AND ol.line_no = rl.line_no
ORDER BY page.created_at, page.order_id, page.number, rl.line_no;

-- name: DeliveredAt :one
-- When the last delivered shipment of an order was delivered.
SELECT at FROM order_timeline WHERE order_id = @order_id AND event = 'delivered' ORDER BY seq DESC LIMIT 1;

-- name: ListShipments :many
-- The pick list: the shipments of a location in some statuses, oldest first, each row with one line. The cursor is the
-- last shipment of the previous page.
WITH page AS (
    SELECT s.* FROM unnest(@statuses::text[]) AS wanted (status)
    CROSS JOIN LATERAL (
        SELECT * FROM shipments
        WHERE shipments.location = @location AND shipments.status = wanted.status
          AND (created_at, order_id, number) > (@after_created_at::timestamptz, @after_id::uuid, @after_number::int)
        ORDER BY created_at, order_id, number
        LIMIT @page_size
    ) s
    ORDER BY s.created_at, s.order_id, s.number
    LIMIT @page_size
)
SELECT page.order_id, page.number, page.location, page.status, page.carrier, page.tracking_number, page.promised_on,
       page.created_at, page.updated_at, o.number AS order_number, o.ship_to, o.hold_reason, sl.line_no, sl.quantity,
       ol.product_id, ol.sku, ol.name
FROM page
JOIN orders o ON o.order_id = page.order_id
JOIN shipment_lines sl ON sl.order_id = page.order_id AND sl.number = page.number
JOIN order_lines ol ON ol.order_id = page.order_id AND ol.line_no = sl.line_no
ORDER BY page.created_at, page.order_id, page.number, sl.line_no;

-- name: FindShipment :one
-- Finds the shipment that a carrier reports on.
SELECT order_id, number FROM shipments WHERE tracking_number = @tracking_number AND carrier = @carrier
ORDER BY created_at DESC LIMIT 1;

