-- +goose Up

-- A location is a place that keeps stock. Allocation prefers a lower priority number.
CREATE TABLE locations (
    location_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code        text        NOT NULL,
    name        text        NOT NULL,
    priority    integer     NOT NULL DEFAULT 100,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT locations_code_key UNIQUE (code), -- clients and operators name a location by its code
    CONSTRAINT locations_code_format CHECK (code ~ '^[a-z0-9][a-z0-9-]{0,63}$')
);

-- An item is the stock of one product at one location; available = quantity - reserved. Every committed change
-- increases the version, and every update checks it, so that an update from a stale read fails.
CREATE TABLE items (
    item_id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id          uuid        NOT NULL,
    location_id         integer     NOT NULL,
    quantity            bigint      NOT NULL DEFAULT 0,
    reserved            bigint      NOT NULL DEFAULT 0,
    low_stock_threshold bigint      NOT NULL DEFAULT 10,
    version             bigint      NOT NULL DEFAULT 0,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),
    -- One row per product and location. Every read by product uses this index too.
    CONSTRAINT items_product_location_key UNIQUE (product_id, location_id),
    CONSTRAINT items_location_fkey FOREIGN KEY (location_id) REFERENCES locations (location_id),
    CONSTRAINT items_quantity_not_negative CHECK (quantity >= 0),
    CONSTRAINT items_reserved_within_quantity CHECK (reserved >= 0 AND reserved <= quantity),
    CONSTRAINT items_threshold_not_negative CHECK (low_stock_threshold >= 0)
) WITH (fillfactor = 50); -- no indexed column ever changes, so with room on the page updates are heap-only

-- +goose Down
DROP TABLE items;
DROP TABLE locations;
