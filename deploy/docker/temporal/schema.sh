#!/bin/sh
# Makes Temporal's two databases and brings their schema to the version of this image. It may run again at any time.
# The connection is in the environment: SQL_PLUGIN, SQL_HOST, SQL_PORT, SQL_USER, and SQL_PASSWORD or SQL_PASSWORD_FILE.
set -eu
if [ -n "${SQL_PASSWORD_FILE:-}" ]; then
  SQL_PASSWORD=$(cat "$SQL_PASSWORD_FILE")
  export SQL_PASSWORD
fi

prepare() {
  temporal-sql-tool --db "$1" create
  # A database with a version has been set up; the tool would set its version back to 0.0.
  temporal-sql-tool --db "$1" update-schema --schema-name "postgresql/v12/$2" 2>/dev/null && return
  temporal-sql-tool --db "$1" setup-schema -v 0.0
  temporal-sql-tool --db "$1" update-schema --schema-name "postgresql/v12/$2"
}
prepare temporal temporal
prepare temporal_visibility visibility
