-- An import sets the counts of many items from one file.

-- name: GetImport :one
SELECT content_hash, settled_rows FROM stock_imports WHERE import_id = @import_id;

-- name: SettleImportRows :execrows
-- Two runs of one import at the same time add to the same row. If the import id stands for another file, no row
-- changes.
INSERT INTO stock_imports (import_id, content_hash, settled_rows)
VALUES (@import_id, @content_hash, @settled_rows::integer[])
ON CONFLICT (import_id) DO UPDATE
SET settled_rows = stock_imports.settled_rows || excluded.settled_rows, updated_at = now()
WHERE stock_imports.content_hash = excluded.content_hash;
