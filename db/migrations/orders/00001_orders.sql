-- +goose Up
CREATE TABLE products (
    product_id  uuid PRIMARY KEY,
    sku         text NOT NULL CONSTRAINT products_sku_key UNIQUE CHECK (sku ~ '^[A-Z0-9][A-Z0-9._-]{0,63}$'),
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    description text NOT NULL DEFAULT '',
    category    text NOT NULL DEFAULT '',
    active      boolean NOT NULL DEFAULT true,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);
-- For the list of active products, newest first, by cursor over (created_at, product_id).
CREATE INDEX products_listing_idx ON products (created_at DESC, product_id DESC) WHERE active;

-- A product can be ordered only in the currencies in which it has a price.
CREATE TABLE product_prices (
    product_id   uuid NOT NULL REFERENCES products ON DELETE CASCADE,
    currency     char(3) NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    PRIMARY KEY (product_id, currency)
);

-- The orders table is a projection. The order's workflow is its only writer. seq is the number of the last recorded
-- transition; it prevents that a late or repeated write changes the row.
CREATE TABLE orders (
    order_id         uuid PRIMARY KEY,
    seq              bigint NOT NULL CHECK (seq > 0),
    state            text NOT NULL CONSTRAINT orders_state_check CHECK (state IN (
        'pending', 'reserved', 'paying', 'confirmed', 'fulfilling', 'completed', 'rejected', 'expired',
        'cancelled', 'failed', 'backordered', 'in_review', 'refunded')),
    reason           text NOT NULL DEFAULT '',
    refusal          jsonb, -- for a rejected order: the requested and the available quantity of each short line
    request_hash     bytea NOT NULL CHECK (length(request_hash) = 32),
    customer_id      text NOT NULL,
    issuer           text NOT NULL DEFAULT '',
    total_minor      bigint NOT NULL CHECK (total_minor >= 0),
    currency         char(3) NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    reservation_id   uuid,
    expires_at       timestamptz,
    payment_attempts integer NOT NULL DEFAULT 0 CHECK (payment_attempts >= 0),
    ship_to          jsonb,
    email            text NOT NULL DEFAULT '',
    metadata         jsonb NOT NULL DEFAULT '{}',
    workflow_id      text NOT NULL,
    run_id           text NOT NULL,
    correlation_id   text NOT NULL DEFAULT '',
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL
);
-- For the list of a customer's own orders, newest first, by cursor over (created_at, order_id).
CREATE INDEX orders_customer_idx ON orders (customer_id, created_at DESC, order_id DESC);
-- For an operator's list by state, newest first, by the same cursor.
CREATE INDEX orders_state_idx ON orders (state, created_at DESC, order_id DESC);

-- Lines are a snapshot of the catalogue at the time of ordering and never change.
CREATE TABLE order_lines (
    order_id         uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
    line_no          integer NOT NULL CHECK (line_no > 0),
    product_id       uuid NOT NULL, -- no foreign key: if a product is deleted, its orders stay
    sku              text NOT NULL,
    name             text NOT NULL,
    quantity         bigint NOT NULL CHECK (quantity > 0),
    unit_price_minor bigint NOT NULL CHECK (unit_price_minor >= 0),
    tax_minor        bigint NOT NULL DEFAULT 0 CHECK (tax_minor >= 0),
    discount_minor   bigint NOT NULL DEFAULT 0 CHECK (discount_minor >= 0),
    line_total_minor bigint NOT NULL CHECK (line_total_minor >= 0),
    currency         char(3) NOT NULL,
    PRIMARY KEY (order_id, line_no)
);

CREATE TABLE order_timeline (
    order_id      uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
    seq           bigint NOT NULL CHECK (seq > 0),
    event         text NOT NULL,
    state         text NOT NULL,
    at            timestamptz NOT NULL,
    actor         text NOT NULL,
    reason        text NOT NULL DEFAULT '',
    attempt       integer NOT NULL DEFAULT 0,
    next_deadline timestamptz,
    PRIMARY KEY (order_id, seq)
);

-- One row per step and attempt of a payment. Only a later outcome of a step replaces its row.
CREATE TABLE payments (
    order_id         uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
    step             text NOT NULL CHECK (step IN ('authorise', 'capture', 'void', 'refund')),
    attempt          integer NOT NULL CHECK (attempt > 0),
    provider         text NOT NULL,
    provider_ref     text NOT NULL DEFAULT '',
    amount_minor     bigint NOT NULL CHECK (amount_minor >= 0),
    currency         char(3) NOT NULL,
    state            text NOT NULL CHECK (state IN ('authorised', 'declined', 'captured', 'voided', 'refunded', 'failed')),
    reason           text NOT NULL DEFAULT '',
    authorised_until timestamptz,
    created_at       timestamptz NOT NULL,
    CONSTRAINT payments_step_key PRIMARY KEY (order_id, step, attempt)
);

CREATE TABLE outbox (
    event_id          uuid PRIMARY KEY,
    aggregate_type    text NOT NULL,
    aggregate_id      uuid NOT NULL,
    aggregate_version bigint NOT NULL,
    event_type        text NOT NULL,
    schema_version    integer NOT NULL,
    payload           jsonb NOT NULL,
    headers           jsonb NOT NULL DEFAULT '{}',
    created_at        timestamptz NOT NULL DEFAULT now(),
    available_at      timestamptz NOT NULL DEFAULT now(),
    published_at      timestamptz,
    attempts          integer NOT NULL DEFAULT 0,
    lease_until       timestamptz,
    last_error        text,
    CONSTRAINT outbox_aggregate_key UNIQUE (aggregate_id, aggregate_version, event_type)
);
-- The relay leases unpublished rows, oldest first. Published rows leave this index.
CREATE INDEX outbox_unpublished_idx ON outbox (available_at, event_id) WHERE published_at IS NULL;

-- The inbox: a consumer processes an event once. Its row commits together with the effect of the event.
CREATE TABLE processed_events (
    consumer     text NOT NULL,
    event_id     uuid NOT NULL,
    processed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);

-- +goose Down
DROP TABLE processed_events;
DROP TABLE outbox;
DROP TABLE payments;
DROP TABLE order_timeline;
DROP TABLE order_lines;
DROP TABLE orders;
DROP TABLE product_prices;
DROP TABLE products;
