#!/bin/sh
set -eu
[ "$1" = redis-server ] || exec "$@"
shift
exec redis-server --protected-mode no --bind '* -::*' "$@"
