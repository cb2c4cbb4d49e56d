-- What `holdfast audit` reads, page by page in one snapshot. Ids come first, so that the audit can look at single orders
-- again by the same query.

-- name: AuditOrderIDs :many
SELECT order_id FROM orders WHERE order_id > @after ORDER BY order_id LIMIT @size;

-- name: AuditOrders :many
-- given is what the customer gets back of the lines: the price of the units that no shipment brings, rounded half up,
-- and what was granted for returns. kept are the units that have left the stock for good. with_customer are the units
-- that have come to the customer, or still will, less those that came back.
SELECT o.order_id, o.state, o.currency, o.total_minor, o.shipping_minor, o.expires_at, o.updated_at,
       EXISTS (SELECT FROM order_starts s WHERE s.order_id = o.order_id) AS waits_for_start,
       EXISTS (SELECT FROM returns r WHERE r.order_id = o.order_id AND r.status IN ('requested', 'approved')) AS returning,
       (SELECT coalesce(sum(l.quantity), 0) FROM order_lines l WHERE l.order_id = o.order_id)::bigint AS ordered,
       p.captures, p.captured, p.refunded, p.by_hand, p.unended, p.attempts, p.hand_attempts, p.hand_numbers,
       s.lines AS shipped_lines, s.given, s.kept, s.with_customer, s.excess,
       greatest(s.last_reservation, o.reservation_number)::int AS last_reservation
FROM orders o
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE x.state = 'captured') AS captures,
           coalesce(sum(x.amount_minor) FILTER (WHERE x.state = 'captured'), 0)::bigint AS captured,
           coalesce(sum(x.amount_minor) FILTER (WHERE x.state = 'refunded'), 0)::bigint AS refunded,
           coalesce(sum(x.amount_minor) FILTER (WHERE x.state = 'refunded' AND x.provider = 'by_hand'), 0)::bigint AS by_hand,
           -- payments that were begun and have no outcome, or that were authorised and neither captured nor voided
           (SELECT count(*) FROM (
               SELECT i.attempt FROM payment_intents i WHERE i.order_id = o.order_id
               UNION
               SELECT a.attempt FROM payments a
               WHERE a.order_id = o.order_id AND a.state = 'authorised' AND NOT EXISTS (
                   SELECT FROM payments e
                   WHERE e.order_id = a.order_id AND e.attempt = a.attempt AND e.state IN ('captured', 'voided', 'refunded'))
           ) u) AS unended,
           ARRAY(SELECT a.attempt FROM payments a WHERE a.order_id = o.order_id
                 UNION
                 SELECT i.attempt FROM payment_intents i WHERE i.order_id = o.order_id ORDER BY 1)::int[] AS attempts,
           -- the refunds that an operator made by hand: the numbers of their payments, and their own
           ARRAY(SELECT h.attempt FROM payments h
                 WHERE h.order_id = o.order_id AND h.state = 'refunded' AND h.provider = 'by_hand'
                 ORDER BY h.attempt, h.number)::int[] AS hand_attempts,
           ARRAY(SELECT h.number FROM payments h
                 WHERE h.order_id = o.order_id AND h.state = 'refunded' AND h.provider = 'by_hand'
                 ORDER BY h.attempt, h.number)::int[] AS hand_numbers
    FROM payments x WHERE x.order_id = o.order_id
) p
CROSS JOIN LATERAL (
    SELECT count(*) AS lines,
           coalesce(sum(least(l.total, (l.total * (l.quantity - l.brought) + l.quantity / 2) / l.quantity + l.granted)), 0)::bigint
               AS given,
           coalesce(sum(l.kept), 0)::bigint AS kept,
           coalesce(sum(l.brought - l.arrived), 0)::bigint AS with_customer,
           coalesce(sum(greatest(l.brought - l.quantity, 0)), 0)::bigint AS excess,
           coalesce(max(l.last_reservation), 1)::int AS last_reservation
    FROM (
        SELECT ol.line_total_minor AS total, ol.quantity,
               sum(sl.rerouting + CASE WHEN sh.status = 'lost' THEN 0 ELSE sl.quantity END)::bigint AS brought,
               sum(sl.quantity + sl.short - sl.restocked)::bigint AS kept,
               max(sl.reservation) AS last_reservation,
               (SELECT coalesce(sum(rl.refund_minor), 0) FROM return_lines rl
                WHERE rl.order_id = ol.order_id AND rl.line_no = ol.line_no)::bigint AS granted,
               (SELECT coalesce(sum(rl.restocked + rl.damaged), 0) FROM return_lines rl
                WHERE rl.order_id = ol.order_id AND rl.line_no = ol.line_no)::bigint AS arrived
        FROM order_lines ol
        JOIN shipment_lines sl USING (order_id, line_no)
        JOIN shipments sh USING (order_id, number)
        WHERE ol.order_id = o.order_id
        GROUP BY ol.order_id, ol.line_no
    ) l
) s
WHERE o.order_id = ANY (@orders::uuid[])
ORDER BY o.order_id;

-- name: AuditOwners :many
SELECT order_id FROM orders WHERE order_id = ANY (@orders::uuid[])
UNION ALL
SELECT reservation_id FROM customer_reservations WHERE reservation_id = ANY (@reservations::uuid[]);
