-- A location is a place that stock lies in; allocation prefers a lower priority number.

-- name: Locations :many
-- All of them: there are as many as a company has warehouses.
SELECT code, name, priority FROM locations ORDER BY priority, code;
