#!/bin/bash
# Builds the images of docker-compose.yml's default profile without a container registry: a minimal Debian by
# debootstrap, PostgreSQL, Redis and RabbitMQ from Debian's packages, Temporal from its published modules, and our own
# image by ./Dockerfile. Each image gets the tag that docker-compose.yml names. It needs a Docker engine, debootstrap
# (which needs root), and access to Debian's packages and Go's modules, or to mirrors of them.
#   BUILD_FLAGS  flags of docker build, as in --network=host for an engine without a working bridge
#   WORK         where the files are kept between runs (default: .holdfast/offline)
set -euo pipefail
cd "$(dirname "$0")/../../.."
offline=deploy/docker/offline
work=$(realpath -m "${WORK:-.holdfast/offline}")
mkdir -p "$work"
export DOCKER_BUILDKIT=0 # the classic builder needs no plugin
read -ra flags <<< "${BUILD_FLAGS:-}"

say() { printf '[%4ds] %s\n' $SECONDS "$*"; }

# tag prints the image of a name as docker-compose.yml pins it.
tag() { sed -n "s#^ *image: \($1:[^ ]*\).*#\1#p" docker-compose.yml | head -1; }

# build makes an image from a Dockerfile of this folder and the given files.
build() {
  local name=$1 image=$2 context=$work/context
  shift 2
  rm -rf "$context" && mkdir "$context"
  cp "$offline/$name.Dockerfile" "$context/Dockerfile"
  local file
  for file in "$@"; do cp -al "$file" "$context/" 2> /dev/null || cp -a "$file" "$context/"; done
  if ! docker build "${flags[@]}" -q -t "$image" "$context" > "$work/$name.log" 2>&1; then
    cat "$work/$name.log" >&2
    exit 1
  fi
  rm -rf "$context"
  say "$image"
}

for suite in bookworm trixie; do
  image=holdfast-offline/debian:$suite
  docker image inspect "$image" > /dev/null 2>&1 && continue
  rm -rf "$work/$suite"
  debootstrap --variant=minbase "$suite" "$work/$suite" ${DEBIAN_MIRROR:-} > "$work/$suite.log" || { tail "$work/$suite.log" >&2; exit 1; }
  tar -C "$work/$suite" -c --exclude=./var/cache/apt/archives/* --exclude=./var/lib/apt/lists/* . | docker import - "$image" > /dev/null
  rm -rf "$work/$suite"
  say "$image"
done

build postgres "$(tag postgres)" $offline/postgres-entrypoint.sh
build redis "$(tag redis)" $offline/redis-entrypoint.sh
build rabbitmq "$(tag rabbitmq)"

# Temporal's own programs; the tags of the images are the versions of the modules.
tools=tools/temporal-server
for program in temporal-server:go.temporal.io/server/cmd/server temporal-sql-tool:go.temporal.io/server/cmd/tools/sql \
  ui-server:github.com/temporalio/ui-server/v2/cmd/server; do
  (cd $tools && CGO_ENABLED=0 GOTOOLCHAIN=local go build -trimpath -ldflags '-s -w' -o "$work/${program%%:*}" "${program#*:}")
done
cp "$(cd $tools && go list -m -f '{{.Dir}}' github.com/temporalio/ui-server/v2)/config/docker.yaml" "$work/docker.yaml"
build temporal-server "$(tag temporalio/server)" "$work/temporal-server" $offline/temporal-entrypoint.sh
build temporal-admin-tools "$(tag temporalio/admin-tools)" "$work/temporal-sql-tool"
build temporal-ui "$(tag temporalio/ui)" "$work/ui-server" "$work/docker.yaml"

# Our own image is built by the Dockerfile of everybody else, on a stand-in for its golang image.
golang=$(sed -n 's/^FROM \(golang:[^ ]*\).*/\1/p' Dockerfile)
if [ "golang:$(go env GOVERSION | sed 's/^go//')-bookworm" != "$golang" ]; then
  echo "the Dockerfile builds with $golang, and this machine has $(go env GOVERSION)" >&2
  exit 1
fi
proxy="file://$(go env GOMODCACHE)/cache/download,$(go env GOPROXY)"
chmod -R u+w "$work/mod" 2> /dev/null || true
rm -rf "$work/mod" && mkdir "$work/mod"
GOMODCACHE=$work/mod GOPROXY=$proxy GOFLAGS=-modcacherw go mod download
delve=$(grep -o 'github.com/go-delve/delve/cmd/dlv@[^ ]*' Dockerfile.dev) # for Dockerfile.dev
GOMODCACHE=$work/mod GOPROXY=$proxy GOFLAGS=-modcacherw GOBIN=$work/bin go install "$delve"
rm -rf "$work/modules" && mkdir "$work/modules"
mv "$work/mod/cache/download" "$work/modules/mod"
cp -a "$(go env GOROOT)" "$work/modules/go"
build golang "$golang" "$work/modules/go" "$work/modules/mod"

image=$(tag holdfast)
image=${image/'${HOLDFAST_VERSION:-dev}'/${HOLDFAST_VERSION:-dev}}
docker build "${flags[@]}" -q -t "$image" \
  --build-arg VERSION="$(git rev-parse --short=12 HEAD 2> /dev/null || echo unknown)" \
  --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct 2> /dev/null || echo 0)" \
  --build-arg CREATED="$(git log -1 --format=%cI 2> /dev/null || echo 1970-01-01T00:00:00Z)" . > "$work/holdfast.log" 2>&1 ||
  { cat "$work/holdfast.log" >&2; exit 1; }
say "$image, $(docker image inspect -f '{{.Size}}' "$image") bytes"

# Debian decides which version a package has. The tags say what docker-compose.yml wants.
version() { docker run --rm --network none --entrypoint "$2" "$1" "${@:3}" | grep -oE '[0-9]+\.[0-9]+(\.[0-9]+)?' | head -1; }
compare() {
  local wanted=${1#*:}
  [ "${wanted%%-*}" = "$2" ] || say "note: $1 contains version $2, which is Debian's"
}
compare "$(tag postgres)" "$(version "$(tag postgres)" /usr/lib/postgresql/15/bin/postgres --version)"
compare "$(tag redis)" "$(version "$(tag redis)" redis-server --version)"
compare "$(tag rabbitmq)" "$(version "$(tag rabbitmq)" dpkg-query -W -f '${Version}' rabbitmq-server)"
