-- +goose Up
-- The orders of a customer that are open and not paid.
CREATE INDEX orders_open_idx ON orders (customer_id, issuer)
WHERE state IN ('pending', 'reserved', 'paying', 'in_review', 'backordered');

-- open_holds counts the open unpaid orders of a customer and their units. It lets one transaction at a time count the
-- same customer's, so that a caller can insert an order by the answer: the statement inside reads what the transaction
-- before has committed.
-- +goose StatementBegin
CREATE FUNCTION open_holds(of_issuer text, of_customer text, OUT orders bigint, OUT units bigint)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(of_issuer || ' ' || of_customer, 0));
    SELECT count(*), coalesce(sum(l.quantity), 0) INTO orders, units FROM (
        SELECT (SELECT sum(order_lines.quantity) FROM order_lines WHERE order_lines.order_id = o.order_id) AS quantity
        FROM orders o
        WHERE o.customer_id = of_customer AND o.issuer = of_issuer
          AND o.state IN ('pending', 'reserved', 'paying', 'in_review', 'backordered')
          AND (o.expires_at IS NULL OR o.expires_at > now())
    ) l;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION open_holds;
DROP INDEX orders_open_idx;
