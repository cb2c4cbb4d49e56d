-- +goose Up
-- When the customer's personal data was erased; its lines and amounts stay.
ALTER TABLE orders ADD COLUMN erased_at timestamptz;

-- Who has asked for the erasure of a customer's data, and what it reached. One row for each request that was carried out.
CREATE TABLE customer_erasures (
    erasure_id  uuid        PRIMARY KEY,
    issuer      text        NOT NULL,
    customer_id text        NOT NULL,
    actor       text        NOT NULL,
    reason      text        NOT NULL,
    orders      bigint      NOT NULL CHECK (orders >= 0), -- that had data which was not erased yet
    erased_at   timestamptz NOT NULL DEFAULT now()
);

-- +goose Down
DROP TABLE customer_erasures;
ALTER TABLE orders DROP COLUMN erased_at;
