#!/bin/sh
# Does what our compose files need of the entrypoint of the image postgres: POSTGRES_USER, POSTGRES_PASSWORD or
# POSTGRES_PASSWORD_FILE, POSTGRES_DB, and POSTGRES_HOST_AUTH_METHOD, each for an empty volume only.
set -eu
[ "$1" = postgres ] || exec "$@"
if [ "$(id -u)" = 0 ]; then
  chown -R postgres:postgres "$PGDATA"
  chmod 0700 "$PGDATA"
  export HOME=/var/lib/postgresql
  exec setpriv --reuid postgres --regid postgres --init-groups /bin/sh "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  user=${POSTGRES_USER:-postgres}
  password=${POSTGRES_PASSWORD:-}
  [ -z "${POSTGRES_PASSWORD_FILE:-}" ] || password=$(cat "$POSTGRES_PASSWORD_FILE")
  method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
  if [ -z "$password" ] && [ "$method" != trust ]; then
    echo "POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE is not set" >&2
    exit 1
  fi
  secret=$(mktemp)
  printf '%s\n' "${password:-unused}" > "$secret"
  # A first run that was killed leaves no half of a cluster.
  rm -rf "$PGDATA/new"
  initdb -D "$PGDATA/new" -U "$user" --pwfile "$secret" --auth-local trust --auth-host "$method" > /dev/null
  rm "$secret"
  echo "host all all all $method" >> "$PGDATA/new/pg_hba.conf"
  echo "listen_addresses = '*'" >> "$PGDATA/new/postgresql.conf"
  version=$(cat "$PGDATA/new/PG_VERSION")
  rm "$PGDATA/new/PG_VERSION"
  (cd "$PGDATA/new" && for f in * ; do mv "$f" "$PGDATA/"; done)
  rmdir "$PGDATA/new"
  echo "$version" > "$PGDATA/PG_VERSION"
  if [ -n "${POSTGRES_DB:-}" ] && [ "$POSTGRES_DB" != postgres ]; then
    echo "CREATE DATABASE \"$POSTGRES_DB\"" | postgres --single -D "$PGDATA" postgres > /dev/null
  fi
  echo "PostgreSQL init process complete; ready for start up."
fi
exec "$@"
