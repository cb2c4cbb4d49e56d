# The one image of every process: docker build --build-arg VERSION=$(git rev-parse --short=12 HEAD) -t holdfast:dev .
# It needs neither BuildKit nor a shell in the end. deploy/docker/offline builds it without a registry.
FROM golang:1.26.8-bookworm AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-trimpath
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# The same sources and VERSION give the same binary: no paths, no time, no version control data.
ARG VERSION=unknown
ARG SOURCE_DATE_EPOCH=0
RUN go build -buildvcs=false -ldflags "-s -w -buildid= -X main.buildVersion=${VERSION}" -o /out/holdfast ./cmd/holdfast \
 && mkdir -p /out/etc/ssl/certs /out/run/holdfast/secrets /out/var/lib/holdfast/secrets \
 && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ \
 && echo 'holdfast:x:65532:65532:holdfast:/:/sbin/nologin' > /out/etc/passwd \
 && echo 'holdfast:x:65532:' > /out/etc/group \
 && chown -R 65532:65532 /out/var/lib/holdfast \
 && find /out -exec touch -h -d "@${SOURCE_DATE_EPOCH}" {} +

FROM scratch
ARG VERSION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="holdfast" \
      org.opencontainers.image.description="Order fulfilment: every order is a durable workflow" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${VERSION}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=build /out/ /
USER 65532:65532
# GATEWAY_LISTEN, API_LISTEN, SANDBOX_LISTEN, INVENTORY_LISTEN, WORKER_LISTEN, EVENTS_LISTEN, CODEC_LISTEN,
# AUDIT_LISTEN
EXPOSE 3000 3001 3003 8080 9090 9091 9092 9093 9094
# It asks the process that the container runs. A command that ends by itself, as migrate, has no health.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/holdfast", "health"]
ENTRYPOINT ["/holdfast"]
CMD ["--help"]
