-- +goose Up
-- A payment that has begun and whose outcome is not recorded yet. The row is written before the provider is asked, so
-- that an order that ends otherwise finds every payment that a lost execution of its workflow may have made.
CREATE TABLE payment_intents (
    order_id uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
    attempt  integer NOT NULL CHECK (attempt > 0),
    begun_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, attempt)
);

-- +goose Down
DROP TABLE payment_intents;
