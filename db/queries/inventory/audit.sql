-- What `holdfast audit` reads, page by page in one snapshot. Ids come first, so that the audit can look at single rows
-- again by the same queries.

-- name: AuditItemIDs :many
SELECT item_id FROM items WHERE item_id > @after ORDER BY item_id LIMIT @size;

-- name: AuditItems :many
-- Counters beside what they follow from: the ledger, of which archived entries are in the balance, and the open lines of
-- pending reservations.
SELECT i.item_id, i.product_id, p.code AS location, i.quantity, i.reserved,
       (coalesce(b.quantity, 0) + l.quantity)::bigint AS ledger_quantity,
       (coalesce(b.reserved, 0) + l.reserved)::bigint AS ledger_reserved,
       h.held
FROM items i
JOIN locations p USING (location_id)
LEFT JOIN ledger_balances b USING (item_id)
CROSS JOIN LATERAL (
    SELECT coalesce(sum(s.quantity_delta), 0)::bigint AS quantity, coalesce(sum(s.reserved_delta), 0)::bigint AS reserved
    FROM stock_ledger s WHERE s.item_id = i.item_id
) l
CROSS JOIN LATERAL (
    SELECT coalesce(sum(rl.quantity), 0)::bigint AS held
    FROM reservation_lines rl JOIN reservations r USING (reservation_id)
    WHERE rl.item_id = i.item_id AND rl.open AND r.status = 'pending'
) h
WHERE i.item_id = ANY (@ids::bigint[])
ORDER BY i.item_id;

-- name: AuditReservationIDs :many
SELECT reservation_id FROM reservations WHERE reservation_id > @after ORDER BY reservation_id LIMIT @size;

-- name: AuditReservations :many
-- wrong_lines are lines that are open although the reservation has ended, or closed although it is pending. overdue says
-- that it is pending and its deadline passed more than the grace ago, by the database's clock.
SELECT r.reservation_id, r.owner_kind, r.owner_id, r.number, r.status, r.workflow_id,
       (r.status = 'pending' AND r.expires_at < now() - make_interval(secs => @grace_seconds::float8))::boolean AS overdue,
       (SELECT count(*) FROM reservation_lines l
        WHERE l.reservation_id = r.reservation_id AND l.open <> (r.status = 'pending')) AS wrong_lines
FROM reservations r
WHERE r.reservation_id = ANY (@reservations::uuid[])
ORDER BY r.reservation_id;

-- name: AuditHoldings :many
-- What orders hold or have taken, and the stock that they wait for. Archived reservations are found by their ids,
-- because the archive has no index of owners.
SELECT r.owner_id, r.reservation_id, r.status, coalesce(sum(l.quantity), 0)::bigint AS quantity,
       coalesce(sum(l.returned), 0)::bigint AS returned
FROM reservations r LEFT JOIN reservation_lines l USING (reservation_id)
WHERE r.owner_kind = 'order' AND r.owner_id = ANY (@owners::uuid[])
GROUP BY r.reservation_id
UNION ALL
SELECT r.owner_id, r.reservation_id, r.status, coalesce(sum(l.quantity), 0)::bigint, coalesce(sum(l.returned), 0)::bigint
FROM archive.reservations r LEFT JOIN archive.reservation_lines l USING (reservation_id)
WHERE r.reservation_id = ANY (@reservations::uuid[])
GROUP BY r.reservation_id, r.owner_id, r.status
UNION ALL
SELECT b.owner_id, b.backorder_id, b.status, 0, 0
FROM backorders b
WHERE b.owner_kind = 'order' AND b.owner_id = ANY (@owners::uuid[]) AND b.status = 'waiting';
