-- Proposals to order more stock. Triggers open them, and close them when stock is received.

-- name: ReorderProposalPage :many
-- Returns the proposals in a status, newest first, with the present stock. For an open proposal it also sums up what was
-- sold lately. It reads at most @sample entries of the item's ledger, backwards through the index, so that a hot item
-- costs no more than others.
SELECT p.proposal_id, i.product_id, l.code AS location, p.cause, p.status, p.opened_at, p.closed_at, p.closed_by, p.reason,
       p.received_quantity, i.quantity, i.reserved, i.low_stock_threshold, s.sold, s.entries, s.since,
       statement_timestamp()::timestamptz AS at
FROM reorder_proposals p
JOIN items i USING (item_id)
JOIN locations l USING (location_id)
CROSS JOIN LATERAL (
    SELECT coalesce(-sum(r.quantity_delta) FILTER (WHERE r.kind IN ('confirmed', 'returned')), 0)::bigint AS sold,
           count(*) AS entries, coalesce(min(r.created_at), statement_timestamp())::timestamptz AS since
    FROM (
        SELECT e.kind, e.quantity_delta, e.created_at
        FROM stock_ledger e
        WHERE e.item_id = p.item_id AND p.status = 'open'
        ORDER BY e.ledger_id DESC
        LIMIT @sample::integer
    ) r
    WHERE r.created_at > statement_timestamp() - make_interval(secs => @window_seconds::float8)
) s
WHERE p.status = @status AND (p.opened_at, p.proposal_id) < (@before_opened_at::timestamptz, @before_id::uuid)
ORDER BY p.opened_at DESC, p.proposal_id DESC
LIMIT @page_size::integer;

-- name: GetReorderProposal :one
SELECT p.proposal_id, i.product_id, l.code AS location, p.cause, p.status, p.opened_at, p.closed_at, p.closed_by, p.reason,
       p.received_quantity, i.quantity, i.reserved, i.low_stock_threshold
FROM reorder_proposals p
JOIN items i USING (item_id)
JOIN locations l USING (location_id)
WHERE p.proposal_id = @proposal_id::uuid;

-- name: DismissReorderProposal :execrows
UPDATE reorder_proposals
SET status = 'dismissed', closed_at = now(), closed_by = @actor, reason = @reason,
    silent_until = now() + make_interval(secs => @silent_seconds::float8)
WHERE proposal_id = @proposal_id::uuid AND status = 'open';

-- name: CountOpenReorderProposals :one
SELECT count(*) FROM reorder_proposals WHERE status = 'open';
