#!/bin/sh
# Dumps each database of BACKUP_DATABASES into BACKUP_FOLDER (/backup), and deletes dumps older than BACKUP_KEEP_DAYS. A dump is
# complete: it gets its name when pg_dump has ended. Its exit status is 0 only if every database was dumped.
set -eu
folder=${BACKUP_FOLDER:-/backup}
if [ -z "${PGPASSWORD:-}" ] && [ -r /run/secrets/postgres_password ]; then
  PGPASSWORD=$(cat /run/secrets/postgres_password)
  export PGPASSWORD
fi
stamp=$(date -u +%Y%m%dT%H%M%SZ)
for database in $BACKUP_DATABASES; do
  file=$folder/$database-$stamp.dump
  pg_dump --format=custom --file="$file.part" "$database"
  mv "$file.part" "$file"
  echo "$file $(wc -c < "$file") bytes"
done
# Only after every dump has succeeded, so that a failing backup never leaves an empty folder.
find "$folder" -name '*.dump' -mtime "+$BACKUP_KEEP_DAYS" -print -delete
