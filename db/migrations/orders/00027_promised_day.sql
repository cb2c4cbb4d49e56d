-- +goose Up
-- The day on which the shipment is promised to arrive, fixed when the shipment is planned; NULL if none is promised.
ALTER TABLE shipments ADD COLUMN promised_on date;

-- +goose Down
ALTER TABLE shipments DROP COLUMN promised_on;
