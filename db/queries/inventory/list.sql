-- Lists of stock in pages. Each list goes on after the last row of the previous page and reads an index from there, so
-- that a late page costs the same as the first.

-- name: ProductPage :many
-- Returns the products after the given one, by id. The index of products and locations has them in this order.
SELECT DISTINCT i.product_id
FROM items i
WHERE i.product_id > @after_product::uuid AND i.deleted_at IS NULL
ORDER BY i.product_id
LIMIT @page_size::integer;

-- name: ProductHasItems :one
-- It is true also for a product of which no stock is kept any more, so that its history stays readable. An item that
-- was never visible has no history and does not count.
SELECT EXISTS (SELECT 1 FROM items i WHERE i.product_id = @product_id::uuid AND (i.deleted_at IS NULL OR i.version > 0));

-- name: FindLocation :one
SELECT location_id FROM locations WHERE code = @code::text;

-- name: LowStockPage :many
-- Returns the items whose available stock is at or below their threshold, location by location. For one location the
-- range begins and ends with it; for all locations the range has no end. It leaves out products that the catalogue does
-- not sell. It also leaves out an empty location of a product that has stock at another location. A product that has no
-- stock at any location is listed for each location at which it is kept.
SELECT i.item_id, i.location_id, i.product_id, l.code AS location, i.quantity, i.reserved, i.low_stock_threshold
FROM items i
JOIN locations l USING (location_id)
WHERE i.low_stock
  AND coalesce((SELECT p.sellable FROM products p WHERE p.product_id = i.product_id), true)
  AND (i.quantity > 0 OR coalesce((SELECT sum(o.quantity) FROM items o WHERE o.product_id = i.product_id), 0) = 0)
  AND (i.location_id, i.item_id) > (@after_location::integer, @after_item::bigint)
  AND i.location_id <= @last_location::integer
ORDER BY i.location_id, i.item_id
LIMIT @page_size::integer;

-- name: LowStockBelowPage :many
-- LowStockPage with one threshold for all items. It reads every item of the locations: an index of the available
-- quantity would have to change with every reserve.
SELECT i.item_id, i.location_id, i.product_id, l.code AS location, i.quantity, i.reserved, i.low_stock_threshold
FROM items i
JOIN locations l USING (location_id)
WHERE i.quantity - i.reserved <= @threshold::bigint AND i.deleted_at IS NULL
  AND coalesce((SELECT p.sellable FROM products p WHERE p.product_id = i.product_id), true)
  AND (i.quantity > 0 OR coalesce((SELECT sum(o.quantity) FROM items o WHERE o.product_id = i.product_id), 0) = 0)
  AND (i.location_id, i.item_id) > (@after_location::integer, @after_item::bigint)
  AND i.location_id <= @last_location::integer
ORDER BY i.location_id, i.item_id
LIMIT @page_size::integer;

-- name: ReservationPage :many
-- Returns reservations in some statuses by deadline, the latest first, backwards through the index of deadlines. It reads
-- most_rows at most, because a status may be rare; ReservationPageEnd then says where it stopped. An index by status would
-- need an entry more at the end of each reservation.
SELECT r.reservation_id, r.owner_kind, r.owner_id, r.number, r.status, r.workflow_id, r.expires_at, r.created_at,
       r.resolved_at, (r.status = 'pending' AND r.expires_at <= statement_timestamp())::boolean AS overdue
FROM (
    SELECT v.* FROM reservations v
    WHERE (v.expires_at, v.reservation_id) < (@before_expires_at::timestamptz, @before_reservation::uuid)
      AND v.expires_at >= @expires_after::timestamptz
    ORDER BY v.expires_at DESC, v.reservation_id DESC
    LIMIT @most_rows::integer
) r
WHERE r.status = ANY (@statuses::text[])
ORDER BY r.expires_at DESC, r.reservation_id DESC
LIMIT @page_size::integer;

-- name: ReservationPageEnd :many
-- Returns the last row that ReservationPage reads, if skipped is most_rows less one; nothing if it reads fewer.
SELECT v.expires_at, v.reservation_id FROM reservations v
WHERE (v.expires_at, v.reservation_id) < (@before_expires_at::timestamptz, @before_reservation::uuid)
  AND v.expires_at >= @expires_after::timestamptz
ORDER BY v.expires_at DESC, v.reservation_id DESC
LIMIT 1 OFFSET @skipped::integer;

-- name: PendingReservationPage :many
-- ReservationPage for pending reservations only. Among many that have ended they are few, so it finds them by the open
-- lines of each item that has reserved stock, one page at most of each.
SELECT DISTINCT r.reservation_id, r.owner_kind, r.owner_id, r.number, r.status, r.workflow_id, r.expires_at, r.created_at,
       r.resolved_at, (r.expires_at <= statement_timestamp())::boolean AS overdue
FROM items i
CROSS JOIN LATERAL (
    SELECT l.reservation_id
    FROM reservation_lines l
    WHERE l.item_id = i.item_id AND l.open
      AND (l.expires_at, l.reservation_id) < (@before_expires_at::timestamptz, @before_reservation::uuid)
      AND l.expires_at >= @expires_after::timestamptz
    ORDER BY l.expires_at DESC, l.reservation_id DESC
    LIMIT @page_size::integer
) held
CROSS JOIN LATERAL (
    SELECT v.* FROM reservations v WHERE v.reservation_id = held.reservation_id LIMIT 1
) r
WHERE i.reserved > 0
ORDER BY r.expires_at DESC, r.reservation_id DESC
LIMIT @page_size::integer;

-- name: ReservationsOfOrderPage :many
SELECT r.reservation_id, r.owner_kind, r.owner_id, r.number, r.status, r.workflow_id, r.expires_at, r.created_at,
       r.resolved_at, (r.status = 'pending' AND r.expires_at <= statement_timestamp())::boolean AS overdue
FROM reservations r
WHERE r.owner_kind = 'order' AND r.owner_id = @owner_id::uuid
  AND (r.expires_at, r.reservation_id) < (@before_expires_at::timestamptz, @before_reservation::uuid)
  AND r.expires_at >= @expires_after::timestamptz
  AND r.status = ANY (@statuses::text[])
ORDER BY r.expires_at DESC, r.reservation_id DESC
LIMIT @page_size::integer;

-- name: HoldPage :many
-- Returns the reservation lines that hold a product's stock, by deadline. It reads the open lines of the product's
-- items through their partial index, so finished reservations cost nothing. LIMIT 1 makes the planner look up each
-- reservation by its key; without it the planner may choose a hash join over all reservations.
SELECT rl.reservation_id, rl.line_no, rl.item_id, l.code AS location, rl.quantity, r.owner_kind, r.owner_id, r.number,
       r.workflow_id, r.expires_at, r.created_at, (r.expires_at <= statement_timestamp())::boolean AS overdue
FROM items i
JOIN locations l USING (location_id)
JOIN reservation_lines rl ON rl.item_id = i.item_id AND rl.open
CROSS JOIN LATERAL (
    SELECT v.owner_kind, v.owner_id, v.number, v.workflow_id, v.expires_at, v.created_at
    FROM reservations v
    WHERE v.reservation_id = rl.reservation_id
    LIMIT 1
) r
WHERE i.product_id = @product_id::uuid
  AND (r.expires_at, rl.reservation_id, rl.line_no, rl.item_id)
      > (@after_expires_at::timestamptz, @after_reservation::uuid, @after_line::integer, @after_item::bigint)
ORDER BY r.expires_at, rl.reservation_id, rl.line_no, rl.item_id
LIMIT @page_size::integer;

-- name: OverduePage :many
-- Returns the pending reservations whose deadline has passed, by deadline. It reads one page at most of the overdue open
-- lines of each item that has reserved stock, through their partial index.
SELECT DISTINCT r.expires_at, r.reservation_id, r.owner_kind, r.owner_id, r.number, r.workflow_id, r.created_at
FROM items i
CROSS JOIN LATERAL (
    SELECT l.reservation_id
    FROM reservation_lines l
    WHERE l.item_id = i.item_id AND l.open AND l.expires_at <= statement_timestamp()
      AND (l.expires_at, l.reservation_id) > (@after_expires_at::timestamptz, @after_reservation::uuid)
    ORDER BY l.expires_at, l.reservation_id
    LIMIT @page_size::integer
) overdue
CROSS JOIN LATERAL (
    SELECT v.reservation_id, v.owner_kind, v.owner_id, v.number, v.workflow_id, v.expires_at, v.created_at
    FROM reservations v
    WHERE v.reservation_id = overdue.reservation_id
    LIMIT 1
) r
WHERE i.reserved > 0
ORDER BY r.expires_at, r.reservation_id
LIMIT @page_size::integer;

-- name: LedgerPage :many
-- A product's history, newest first. It reads one page at most of each item, backwards through the index, so that it
-- merges a few pages and never the whole history.
SELECT e.*, l.code AS location
FROM items i
JOIN locations l USING (location_id)
CROSS JOIN LATERAL (
    SELECT s.ledger_id, s.operation_id, s.line, s.kind, s.quantity_delta, s.reserved_delta, s.quantity_after,
           s.reserved_after, s.version_after, s.reservation_id, s.actor, s.reason, s.created_at
    FROM stock_ledger s
    WHERE s.item_id = i.item_id AND s.ledger_id < @before_entry::bigint
    ORDER BY s.ledger_id DESC
    LIMIT @page_size::integer
) e
WHERE i.product_id = @product_id::uuid
  AND i.location_id BETWEEN @first_location::integer AND @last_location::integer
ORDER BY e.ledger_id DESC
LIMIT @page_size::integer;
