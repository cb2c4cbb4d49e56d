-- +goose Up
-- The payment sandbox stands in for a provider that keeps its own books. The books outlive its process, so that a crash
-- test can check which payments were captured.
CREATE TABLE charges (
    payment_key        text PRIMARY KEY, -- chosen by the caller; the same key is the same payment
    provider_ref       text NOT NULL CONSTRAINT charges_provider_ref_key UNIQUE,
    method             text NOT NULL,
    amount_minor       bigint NOT NULL CHECK (amount_minor >= 0),
    captured_minor     bigint NOT NULL DEFAULT 0 CHECK (captured_minor BETWEEN 0 AND amount_minor),
    refunded_minor     bigint NOT NULL DEFAULT 0 CHECK (refunded_minor BETWEEN 0 AND captured_minor),
    currency           char(3) NOT NULL,
    state              text NOT NULL CHECK (state IN ('authorised', 'declined', 'captured', 'voided')),
    decline_reason     text NOT NULL DEFAULT '',
    authorised_until   timestamptz,
    authorise_requests integer NOT NULL DEFAULT 0,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now()
);
-- A refund is idempotent by its own key.
CREATE TABLE refunds (
    refund_key   text PRIMARY KEY,
    payment_key  text NOT NULL REFERENCES charges,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    created_at   timestamptz NOT NULL DEFAULT now()
);

-- +goose Down
DROP TABLE refunds;
DROP TABLE charges;
