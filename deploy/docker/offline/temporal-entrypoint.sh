#!/bin/sh
# The services of the server find each other at an address that is not 0.0.0.0.
set -eu
own=$(getent hosts "$(hostname)" | awk '{print $1; exit}')
export BIND_ON_IP="${BIND_ON_IP:-$own}" TEMPORAL_BROADCAST_ADDRESS="${TEMPORAL_BROADCAST_ADDRESS:-$own}"
exec temporal-server start
