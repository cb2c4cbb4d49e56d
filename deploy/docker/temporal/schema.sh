#!/bin/sh
# Makes Temporal's two databases and brings their schema to the version of this image. It may run again at any time.
# The connection is in the environment: SQL_PLUGIN, SQL_HOST, SQL_PORT, SQL_USER, and SQL_PASSWORD or SQL_PASSWORD_FILE.
set -eu
if [ -n "${SQL_PASSWORD_FILE:-}" ]; then
  SQL_PASSWORD=$(cat "$SQL_PASSWORD_FILE")
  export SQL_PASSWORD
fi
log=$(mktemp)

# tool runs the tool and shows what it says only if it fails, because it prints every statement.
tool() {
  temporal-sql-tool "$@" > "$log" 2>&1 || { cat "$log" >&2; return 1; }
}

prepare() {
  tool --db "$1" create
  # Only a database without a version is set up: the tool would set an existing version back to 0.0.
  if ! temporal-sql-tool --db "$1" update-schema --schema-name "postgresql/v12/$2" > "$log" 2>&1; then
    if ! grep -q 'schema_version.* does not exist' "$log"; then
      cat "$log" >&2
      exit 1
    fi
    tool --db "$1" setup-schema -v 0.0
    tool --db "$1" update-schema --schema-name "postgresql/v12/$2"
  fi
  echo "the schema of $1 is current"
}
prepare temporal temporal
prepare temporal_visibility visibility
