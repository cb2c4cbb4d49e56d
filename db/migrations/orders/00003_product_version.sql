-- +goose Up

-- Every change of a product or its prices increases the version, and every update checks it: if two operators have read
-- the same version, only the first of them can overwrite it.
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
