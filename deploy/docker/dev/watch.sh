#!/bin/sh
# Rebuild on save, for compose.dev.yml. It looks at the files' times, because a mounted folder of another operating system
# sends no notices.
#   watch.sh build         builds /out/holdfast, and again whenever a source is newer
#   watch.sh run PROCESS…  runs the process under the debugger (port 2345), and again whenever the binary is new
set -eu
# Docker stops this script; it passes the signal on. Without a trap the first process of a container ignores it.
child=
trap '[ -z "$child" ] || kill "$child" 2> /dev/null; exit 0' TERM INT
case $1 in
build)
  while :; do
    if [ ! -e /out/built ] || [ -n "$(find . -path ./bin -prune -o -path ./.holdfast -prune -o \
      \( -name '*.go' -o -name '*.sql' -o -name '*.lua' -o -name '*.yaml' -o -name go.mod \) -newer /out/built -print -quit)" ]; then
      touch /out/building
      if go build -gcflags 'all=-N -l' -o /out/holdfast.new ./cmd/holdfast; then
        mv /out/holdfast.new /out/holdfast
        echo "built"
      fi
      # A source that was saved during the build is newer than its begin. A build that failed waits for the next save.
      mv /out/building /out/built
    fi
    sleep 1
  done
  ;;
run)
  shift
  while :; do
    if [ ! -x /out/holdfast ]; then
      sleep 1
      continue
    fi
    binary=$(stat -c %i /out/holdfast)
    dlv exec --headless --listen=:2345 --accept-multiclient --continue --api-version=2 /out/holdfast -- "$@" &
    child=$!
    while [ "$(stat -c %i /out/holdfast)" = "$binary" ] && kill -0 "$child" 2> /dev/null; do sleep 1; done
    kill "$child" 2> /dev/null || true
    wait "$child" || true
    sleep 1 # a process that ends at once
  done
  ;;
esac
