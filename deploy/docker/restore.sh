#!/bin/sh
# Restores every database of BACKUP_DATABASES from the dumps with one stamp, as in: restore.sh 20261128T013000Z
# It restores them beside the present ones, and only when all are complete it puts them in their place. The present ones
# are kept as NAME_before_STAMP. If it fails, the present ones keep their names, and it can be run again. Stop the
# processes first: their sessions are ended. Without a stamp it lists the stamps.
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
named() { sql --tuples-only --no-align --command "SELECT datname FROM pg_database WHERE datname = '$1'"; }
for database in $BACKUP_DATABASES; do
  kept=$(named "${database}_before_$stamp")
  [ -z "$kept" ] || { echo "$kept exists from an earlier restore: drop or rename it; nothing was changed" >&2; exit 1; }
done
for database in $BACKUP_DATABASES; do
  sql --command "DROP DATABASE IF EXISTS \"${database}_restoring\" WITH (FORCE)"
  sql --command "CREATE DATABASE \"${database}_restoring\" TEMPLATE template0"
  pg_restore --exit-on-error --no-owner --dbname "${database}_restoring" "$folder/$database-$stamp.dump"
done

# Sessions that come back would stop a rename, so connections are refused until all databases are renamed. The renames are
# one transaction: if one fails, every database keeps its name, and connections are allowed again.
present=
for database in $BACKUP_DATABASES; do
  [ -z "$(named "$database")" ] || present="$present $database"
done
allow() {
  for database in $present; do
    sql --command "ALTER DATABASE \"$database\" ALLOW_CONNECTIONS true" || true
  done
}
trap 'allow; echo "the restore failed; the present databases are unchanged" >&2' EXIT
trap 'exit 1' HUP INT TERM
for database in $present; do
  sql --command "ALTER DATABASE \"$database\" ALLOW_CONNECTIONS false"
  sql --command "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '$database'" > /dev/null
done
{
  for database in $present; do echo "ALTER DATABASE \"$database\" RENAME TO \"${database}_before_$stamp\";"; done
  for database in $BACKUP_DATABASES; do echo "ALTER DATABASE \"${database}_restoring\" RENAME TO \"$database\";"; done
} | sql --single-transaction --file -
trap - EXIT HUP INT TERM

for database in $present; do
  sql --command "ALTER DATABASE \"${database}_before_$stamp\" ALLOW_CONNECTIONS true"
done
for database in $BACKUP_DATABASES; do echo "$database is restored from $stamp"; done
