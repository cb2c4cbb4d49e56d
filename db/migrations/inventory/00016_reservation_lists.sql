-- +goose Up
-- For lists of reservations by deadline. Deadlines of new reservations lie close together, so an insert mostly writes the
-- same last pages of the index. The status is not in it: then the end of a reservation still needs no new index entry.
CREATE INDEX IF NOT EXISTS reservations_deadline_idx ON reservations (expires_at, reservation_id);

-- +goose Down
DROP INDEX reservations_deadline_idx;
