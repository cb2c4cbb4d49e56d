-- Requests and answers of changes to which their callers gave an operation id or a key.

-- name: Operations :many
SELECT operation_id, request_hash, answer FROM stock_operations WHERE operation_id = ANY (@operation_ids::uuid[]);

-- name: InsertOperations :execrows
INSERT INTO stock_operations (operation_id, request_hash, answer)
SELECT unnest(@operation_ids::uuid[]), unnest(@request_hashes::bytea[]), unnest(@answers::text[])::json;

-- name: ClaimOperation :execrows
-- It is for a change outside of a batch. A second transaction with the same id waits at the key and then inserts
-- nothing.
INSERT INTO stock_operations (operation_id, request_hash, answer) VALUES (@operation_id, @request_hash, @answer)
ON CONFLICT (operation_id) DO NOTHING;

-- name: DeleteOperations :execrows
DELETE FROM stock_operations s
WHERE s.operation_id IN (
    SELECT v.operation_id FROM stock_operations v WHERE v.created_at < @before::timestamptz LIMIT @most::integer FOR UPDATE SKIP LOCKED);

-- name: CountOperations :one
SELECT count(*) FROM stock_operations WHERE created_at < @before::timestamptz;
