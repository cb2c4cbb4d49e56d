#!/bin/sh
# Restores every database of BACKUP_DATABASES from the dumps with one stamp, as in: restore.sh 20261128T013000Z
# It restores them beside the present ones, and only when all are complete it puts them in their place. The present ones
# are kept as NAME_before_STAMP. Stop the processes first: their sessions are ended. Without a stamp it lists the stamps.
set -eu
folder=${BACKUP_FOLDER:-/backup}
if [ -z "${PGPASSWORD:-}" ] && [ -r /run/secrets/postgres_password ]; then
  PGPASSWORD=$(cat /run/secrets/postgres_password)
  export PGPASSWORD
fi
if [ $# -ne 1 ]; then
  echo "usage: restore.sh STAMP; complete backups in $folder:" >&2
  set -- $BACKUP_DATABASES
  for file in "$folder/$1"-*.dump; do
    stamp=${file##*-}
    stamp=${stamp%.dump}
    complete=yes
    for database in "$@"; do [ -f "$folder/$database-$stamp.dump" ] || complete=no; done
    [ $complete = no ] || echo "$stamp" >&2
  done
  exit 2
fi
stamp=$1

# All or nothing: one database alone does not fit the others.
for database in $BACKUP_DATABASES; do
  file=$folder/$database-$stamp.dump
  [ -f "$file" ] || { echo "$file is missing; nothing was changed" >&2; exit 1; }
  pg_restore --list "$file" > /dev/null || { echo "$file is damaged; nothing was changed" >&2; exit 1; }
done

sql() { psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname postgres "$@"; }
for database in $BACKUP_DATABASES; do
  sql --command "DROP DATABASE IF EXISTS \"${database}_restoring\" WITH (FORCE)"
  sql --command "CREATE DATABASE \"${database}_restoring\" TEMPLATE template0"
  pg_restore --exit-on-error --no-owner --dbname "${database}_restoring" "$folder/$database-$stamp.dump"
done

for database in $BACKUP_DATABASES; do
  exists=$(sql --tuples-only --no-align --command "SELECT 1 FROM pg_database WHERE datname = '$database'")
  if [ "$exists" = 1 ]; then
    sql --command "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '$database'" > /dev/null
    sql --command "ALTER DATABASE \"$database\" RENAME TO \"${database}_before_$stamp\""
  fi
  sql --command "ALTER DATABASE \"${database}_restoring\" RENAME TO \"$database\""
  echo "$database is restored from $stamp"
done
