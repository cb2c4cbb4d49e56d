-- +goose Up
-- A payment may wait for an action of the customer, at an address with a secret token. The reference is the caller's
-- order, so that the books can be audited per order.
ALTER TABLE charges
    ADD COLUMN reference text NOT NULL DEFAULT '',
    ADD COLUMN return_url text NOT NULL DEFAULT '',
    ADD COLUMN void_reason text NOT NULL DEFAULT '',
    ADD COLUMN action_token text,
    DROP CONSTRAINT charges_state_check,
    ADD CONSTRAINT charges_state_known
        CHECK (state IN ('requires_action', 'authorised', 'declined', 'captured', 'voided'));
CREATE UNIQUE INDEX charges_action_token_key ON charges (action_token) WHERE action_token IS NOT NULL;
CREATE INDEX charges_reference_idx ON charges (reference);
CREATE INDEX refunds_payment_key_idx ON refunds (payment_key);

-- Webhooks commit with the change that they tell of. A row is due until it is delivered as often as it should be, or
-- given up.
CREATE TABLE webhooks (
    event_id   uuid PRIMARY KEY,
    body       text NOT NULL, -- as it is signed: the same bytes in every delivery
    due_at     timestamptz NOT NULL,
    copies     integer NOT NULL DEFAULT 1 CHECK (copies >= 0), -- deliveries still to make
    attempts   integer NOT NULL DEFAULT 0, -- since the last delivery
    last_error text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz -- delivered or given up
);
CREATE INDEX webhooks_due_idx ON webhooks (due_at) WHERE ended_at IS NULL;
CREATE INDEX webhooks_ended_idx ON webhooks (ended_at) WHERE ended_at IS NOT NULL;

-- +goose Down
DROP TABLE webhooks;
DROP INDEX refunds_payment_key_idx;
DROP INDEX charges_reference_idx;
DROP INDEX charges_action_token_key;
UPDATE charges SET state = 'voided' WHERE state = 'requires_action';
ALTER TABLE charges
    DROP CONSTRAINT charges_state_known,
    ADD CONSTRAINT charges_state_check CHECK (state IN ('authorised', 'declined', 'captured', 'voided')),
    DROP COLUMN reference,
    DROP COLUMN return_url,
    DROP COLUMN void_reason,
    DROP COLUMN action_token;
