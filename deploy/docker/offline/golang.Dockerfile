# A stand-in for the image golang of Docker Hub: this machine's Go, and the modules that the build downloads.
FROM holdfast-offline/debian:bookworm
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates git && rm -rf /var/lib/apt/lists/*
COPY go /usr/local/go
COPY mod /go/pkg/mod/cache/download
ENV PATH=/go/bin:/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin GOPATH=/go GOTOOLCHAIN=local
# Nothing is downloaded in a build: a module that is missing here is an error.
ENV GOPROXY=file:///go/pkg/mod/cache/download GOSUMDB=off
WORKDIR /go
