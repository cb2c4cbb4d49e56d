-- +goose Up

-- The version moves with every change of a product or its prices and guards each update, so that of two
-- people who read the same version only one overwrites it.
ALTER TABLE products
    ADD COLUMN version bigint NOT NULL DEFAULT 1,
    ADD CONSTRAINT products_version_positive CHECK (version >= 1),
    ADD CONSTRAINT products_description_length CHECK (length(description) <= 5000),
    ADD CONSTRAINT products_category_length CHECK (length(category) <= 100);

-- +goose Down
ALTER TABLE products
    DROP CONSTRAINT products_category_length,
    DROP CONSTRAINT products_description_length,
    DROP COLUMN version;
