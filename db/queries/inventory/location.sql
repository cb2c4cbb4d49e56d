-- A location is a place that keeps stock. Allocation prefers a lower priority number.

-- name: Locations :many
-- It returns all locations: a company has few.
SELECT code, name, priority FROM locations ORDER BY priority, code;
