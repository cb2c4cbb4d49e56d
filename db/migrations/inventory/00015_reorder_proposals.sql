-- +goose Up

-- A proposal to order more of a product for a location. The database opens it in the transaction in which the item's
-- stock becomes low or runs out, and closes it in the transaction of the next receipt. Triggers do both, because every
-- write of stock passes here, also one of the version before this one, and because a batch that crosses no threshold
-- pays only for the comparison.
CREATE TABLE reorder_proposals (
    proposal_id       uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    item_id           bigint      NOT NULL REFERENCES items,
    cause             text        NOT NULL,
    status            text        NOT NULL DEFAULT 'open',
    opened_at         timestamptz NOT NULL DEFAULT now(),
    closed_at         timestamptz,
    closed_by         text        NOT NULL DEFAULT '', -- the actor of the receipt, or who dismissed it
    reason            text        NOT NULL DEFAULT '', -- why it was dismissed
    received_quantity bigint      NOT NULL DEFAULT 0,  -- of the receipt that closed it
    silent_until      timestamptz, -- a dismissal keeps the item from being proposed again for the same cause until then
    CONSTRAINT reorder_proposals_cause_known CHECK (cause IN ('low_stock', 'depleted')),
    CONSTRAINT reorder_proposals_status_known CHECK (status IN ('open', 'received', 'dismissed')),
    CONSTRAINT reorder_proposals_closed CHECK ((status = 'open') = (closed_at IS NULL)),
    CONSTRAINT reorder_proposals_received CHECK ((status = 'received') = (received_quantity > 0)),
    CONSTRAINT reorder_proposals_dismissed_with_reason CHECK (status <> 'dismissed' OR reason <> '')
);
-- An item has one open proposal. The trigger that opens proposals finds it here.
CREATE UNIQUE INDEX reorder_proposals_open_key ON reorder_proposals (item_id) WHERE status = 'open';
-- For the trigger, which looks for a dismissal that still holds.
CREATE INDEX reorder_proposals_silent_idx ON reorder_proposals (item_id) WHERE silent_until IS NOT NULL;
-- For the list of operators by status, newest first.
CREATE INDEX reorder_proposals_list_idx ON reorder_proposals (status, opened_at, proposal_id);

-- +goose StatementBegin
-- Opens a proposal for an item that has just become low or run out. If one is open, it only learns that the stock has
-- run out. A product that the catalogue does not sell is not proposed.
CREATE FUNCTION reorder_propose(item items) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    why text := CASE WHEN item.quantity = item.reserved THEN 'depleted' ELSE 'low_stock' END;
BEGIN
    IF EXISTS (SELECT FROM products p WHERE p.product_id = item.product_id AND NOT p.sellable)
       OR EXISTS (SELECT FROM reorder_proposals r WHERE r.item_id = item.item_id AND r.silent_until IS NOT NULL
                  AND r.silent_until > now() AND (r.cause = 'depleted' OR why = 'low_stock')) THEN
        RETURN;
    END IF;
    INSERT INTO reorder_proposals AS r (item_id, cause) VALUES (item.item_id, why)
    ON CONFLICT (item_id) WHERE status = 'open' DO UPDATE SET cause = 'depleted'
    WHERE excluded.cause = 'depleted' AND r.cause <> 'depleted';
END
$$;
CREATE FUNCTION items_propose_reorder() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM reorder_propose(NEW);
    RETURN NULL;
END
$$;
-- A receipt answers the open proposal and ends dismissals. If the stock is still low, the next proposal opens at once.
CREATE FUNCTION stock_ledger_answer_proposal() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    item items;
BEGIN
    UPDATE reorder_proposals SET silent_until = NULL WHERE item_id = NEW.item_id AND silent_until IS NOT NULL;
    UPDATE reorder_proposals
    SET status = 'received', closed_at = now(), closed_by = NEW.actor, received_quantity = NEW.quantity_delta
    WHERE item_id = NEW.item_id AND status = 'open';
    IF FOUND THEN
        SELECT * INTO item FROM items i WHERE i.item_id = NEW.item_id;
        IF item.quantity - item.reserved <= item.low_stock_threshold THEN
            PERFORM reorder_propose(item);
        END IF;
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
-- The condition is that of the events low_stock and depleted: an item crosses its threshold, or its last unit goes.
CREATE TRIGGER items_low_stock_proposes AFTER UPDATE ON items
    FOR EACH ROW WHEN (NEW.quantity - NEW.reserved <= NEW.low_stock_threshold AND NEW.deleted_at IS NULL
        AND (OLD.quantity - OLD.reserved > OLD.low_stock_threshold
             OR NEW.quantity = NEW.reserved AND OLD.quantity > OLD.reserved))
    EXECUTE FUNCTION items_propose_reorder();
CREATE TRIGGER stock_ledger_receipt_answers AFTER INSERT ON stock_ledger
    FOR EACH ROW WHEN (NEW.kind = 'received') EXECUTE FUNCTION stock_ledger_answer_proposal();

-- +goose Down
DROP TRIGGER stock_ledger_receipt_answers ON stock_ledger;
DROP TRIGGER items_low_stock_proposes ON items;
DROP FUNCTION stock_ledger_answer_proposal();
DROP FUNCTION items_propose_reorder();
DROP FUNCTION reorder_propose(items);
DROP TABLE reorder_proposals;
