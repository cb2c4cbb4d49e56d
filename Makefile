# Holdfast. `make` lists the commands; the most important are `make up` and `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VERSION := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
GOTOOLCHAIN ?= local
export GOTOOLCHAIN
TOOLS := $(CURDIR)/bin/tools

# testcontainers-go removes the containers of a killed run with it. Without it only a run that ends removes its containers.
REAPER := testcontainers/ryuk:0.14.0

# make builds the binaries each time, because only Go knows whether they are stale; an unchanged binary costs a second.
.PHONY: help writable up observe test test-load test-order-life test-short build bin/holdfast bin/holdfast-dev generate verify lint vet workflowcheck replay cover smoke bench-orders bench-inventory bench-events bench-gateway bench-seed plans-inventory test-rollback test-restore pictures images images-offline test-containers test-compose security scan-secrets vulnerabilities sbom ci clean

help: ## List the commands
	@grep -hE '^[a-zA-Z_-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  \033[1m%-16s\033[0m %s\n", $$1, $$2}'

up: build ## Run the whole platform here until Ctrl-C (ARGS=--exit stops after the first order)
	@exec bin/holdfast-dev up $(ARGS)

observe: build ## The same with a Prometheus that collects all metrics and has the alerts (port 9095)
	@exec bin/holdfast-dev up --observe $(ARGS)

# tests/chaos takes as long as all other packages together and mostly waits. go starts packages in the given order, so the
# others run beside it.
test: build $(TOOLS)/gotestsum $(TOOLS)/temporal $(TOOLS)/stripe-mock $(TOOLS)/kustomize $(TOOLS)/k8scheck ## Run every test on real PostgreSQL, Redis, RabbitMQ and Temporal
	bin/holdfast-dev testenv -- $(TOOLS)/gotestsum --format pkgname-and-test-fails -- -race -timeout 40m ./tests/chaos ./... $(ARGS)
	cd dev && ../bin/holdfast-dev testenv -- $(TOOLS)/gotestsum --format pkgname-and-test-fails -- -timeout 15m ./...

test-order-life: build $(TOOLS)/temporal $(TOOLS)/stripe-mock ## Run the tests of an order: its table, its workflow, every path through the gateway, kills
	bin/holdfast-dev testenv -- go test ./internal/order/... ./workflows/... ./activities/... ./internal/orderstore/... \
		./internal/payment/... ./api/... ./tests/e2e/...
	bin/holdfast-dev testenv -- go test ./tests/chaos -run 'Fulfilment|Paying|Reset|Operators|Races'

test-short: $(TOOLS)/kustomize $(TOOLS)/k8scheck ## Run the tests that need no server, in a minute
	go test -short ./... $(ARGS)
	cd dev && go test -short ./... $(ARGS)

# tests/chaos and tests/e2e run the binaries as processes of their own, in which go test measures nothing.
cover: build $(TOOLS)/temporal $(TOOLS)/stripe-mock $(TOOLS)/kustomize $(TOOLS)/k8scheck ## Report the coverage; fail below 80 % of the domain, application or messaging code
	bin/holdfast-dev testenv -- go test -timeout 40m -coverpkg=./... -coverprofile=bin/cover.out \
		$$(go list ./... | grep -Ev '^holdfast/tests/(chaos|e2e)$$')
	go tool cover -html=bin/cover.out -o bin/cover.html
	go tool cover -func=bin/cover.out | tail -1
	go run ./tests/coverage bin/cover.out docs/pictures/coverage.svg | tee bin/cover.txt

test-load: build $(TOOLS)/k6 ## Build k6 and run its example script on a platform of its own
	bin/holdfast-dev testenv -- go test -count=1 -run TestLoadExample ./tests/e2e

build: bin/holdfast bin/holdfast-dev ## Build both binaries into bin/

# Files that `sudo make` built belong to root, so another user cannot overwrite them.
writable:
	@{ mkdir -p bin && test -w bin; } 2>/dev/null || { echo "$$(id -un) may not write $(CURDIR)/bin, which belongs to $$(stat -c %U bin 2>/dev/null || stat -c %U .): work in a clone of your own, or run: sudo chown -R $$(id -un) $(CURDIR)" >&2; exit 1; }

# -ldflags sets the version. Without -buildvcs=false the build fails when root builds a user's clone.
bin/holdfast: writable
	@echo "building bin/holdfast"
	@go build -buildvcs=false -ldflags "-X main.buildVersion=$(VERSION)" -o $@ ./cmd/holdfast

bin/holdfast-dev: writable
	@echo "building bin/holdfast-dev"
	@test $@ -nt dev/go.sum || test "$$(cd dev && go list -f '{{.Stale}}' go.temporal.io/server/temporal)" = false || \
		echo "it compiles a Temporal server: a few minutes"
	@cd dev && go build -buildvcs=false -o ../$@ .

# Each tool is a separate module below tools/ and is built on first use.
bin/tools/temporal: $(TOOLS)/temporal

bin/tools/docker-compose: $(TOOLS)/docker-compose

bin/tools/stripe-mock: $(TOOLS)/stripe-mock

bin/tools/kustomize: $(TOOLS)/kustomize

bin/tools/k8scheck: $(TOOLS)/k8scheck

$(TOOLS)/k8scheck: tools/k8scheck/main.go

# Temporal's command prints the version that its build gives it; its modules of the server are those of dev/go.mod.
$(TOOLS)/temporal: TOOL_FLAGS = -ldflags "-X github.com/temporalio/cli/temporalcli.Version=$$(awk '$$1 == "github.com/temporalio/cli" {print substr($$2, 2)}' go.mod)"

$(TOOLS)/%: tools/%/go.mod tools/%/go.sum
	@echo "building the tool $*"
	@mkdir -p $(TOOLS)
	@cd tools/$* && go build $(TOOL_FLAGS) -o $@ $$(awk '$$1 == "tool" {print $$2}' go.mod)

generate: $(TOOLS)/sqlc $(TOOLS)/oapi-codegen ## Generate the code for SQL and OpenAPI
	$(TOOLS)/sqlc generate
	go generate ./api ./inventory ./internal/deadletter ./internal/merchantwebhook ./internal/notification ./internal/order ./internal/eventcatalogue ./internal/apireference

verify: generate ## Fail when generated code is not what its sources say
	@git diff --exit-code -- db api inventory docs/api-reference.md docs/architecture docs/events internal/deadletter internal/merchantwebhook internal/notification || { echo "generated code is stale: run make generate and commit the result" >&2; exit 1; }

	@test -z "$$(git status --porcelain -- db/ordersdb db/inventorydb db/inboxdb db/outboxdb db/sandboxdb)" || { echo "generated files are not committed: git add db" >&2; exit 1; }

lint: $(TOOLS)/golangci-lint workflowcheck ## Check style, import rules and the workflows' determinism
	$(TOOLS)/golangci-lint run ./...
	cd dev && $(TOOLS)/golangci-lint run --config ../.golangci.yml ./...
	cd examples/consumer-go && $(TOOLS)/golangci-lint run --config ../../.golangci.yml ./...
	cd examples/client-go && $(TOOLS)/golangci-lint run --config ../../.golangci.yml ./...
	cd tools/k8scheck && $(TOOLS)/golangci-lint run --config ../../.golangci.yml ./...

vet: ## Run go vet on every module
	go vet ./...
	cd dev && go vet ./...
	cd examples/consumer-go && go vet ./...
	cd examples/client-go && go vet ./...
	cd tools/k8scheck && go vet ./...

workflowcheck: $(TOOLS)/workflowcheck ## Check that workflows are deterministic
	$(TOOLS)/workflowcheck ./workflows/...

replay: bin/holdfast workflowcheck ## Replay every recorded history, and check that workflows are deterministic
	bin/holdfast replay --file workflows/testdata/*.json

bench-orders: build ## Measure orders per second; results in bench/results/orders.json (ARGS='-only pairs -pairs 5')
	go run ./bench/orders -out bench/results/orders.json $(ARGS)

bench-inventory: build ## Measure the inventory service; results in bench/results/inventory.json (ARGS=-only hot)
	go run ./bench/inventory -out bench/results/inventory.json $(ARGS)

bench-events: ## Measure the relay of the events; results in bench/results/events.json (ARGS='-rows 100000')
	go run ./bench/events -out bench/results/events.json $(ARGS)

bench-gateway: build ## Measure what the gateway costs; results in bench/results/gateway.json (ARGS='-only throughput')
	go run ./bench/gateway -out bench/results/gateway.json $(ARGS)

bench-seed: build ## Measure how long the example data takes; fails above half a second
	bin/holdfast-dev testenv -- go test -run '^$$' -bench SeedDev -benchtime 5x ./internal/seed $(ARGS)

pictures: ## Export the diagrams of the documentation as SVG (needs npm and chromium)
	cd tools/pictures && npm ci --ignore-scripts --no-audit --no-fund > /dev/null
	node tools/pictures/render.mjs

plans-inventory: ## Look at every plan with 10,000,000 reservations: 15 minutes, 16 GB (ARGS='-reservations 300000 -products 3000')
	go run ./bench/plans -out docs/architecture/inventory-plans-table.md $(ARGS)

test-rollback: build ## Take every migration back and apply it again, on filled databases, and drill the commands for it
	bin/holdfast-dev testenv -- go test -count=1 ./internal/database ./cmd/holdfast -run 'Migrat|UpDownUp|FromEveryVersion|OldRefusals|OldOrders' $(ARGS)

test-restore: build ## Back up a running platform, lose its databases, restore them, and compare the books
	bin/holdfast-dev testenv -- go test -count=1 ./tests/e2e -run 'TestRestoredBackup' $(ARGS)

smoke: build ## Bring everything up, place the first order, stop; fails unless it is confirmed
	bin/holdfast-dev up --exit

images: ## Build the container image of every process (needs a Docker engine and a registry)
	docker build -t holdfast:dev --build-arg VERSION=$(VERSION) --build-arg SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) .

images-offline: ## Build every image of docker-compose.yml from Debian's packages, without a registry
	deploy/docker/offline/build.sh

test-containers: build ## Run the store's and inventory's tests on containers, through testcontainers-go
	docker image inspect $(REAPER) > /dev/null 2>&1 || docker pull -q $(REAPER) 2> /dev/null || export TESTCONTAINERS_RYUK_DISABLED=true; \
	HOLDFAST_TEST_CONTAINERS=required bin/holdfast-dev testenv -- go test -count=1 ./internal/orderstore ./internal/database ./inventory/... $(ARGS)

test-compose: $(TOOLS)/docker-compose ## Run docker-compose.yml, kill each container while orders run, and check the books
	HOLDFAST_TEST_COMPOSE=$(TOOLS)/docker-compose go test -count=1 -timeout 20m -run TestContainersKilled -v ./tests/chaos $(ARGS)

security: scan-secrets vulnerabilities sbom ## Look for secrets, known vulnerabilities and licences

# What cannot be done without a network says SKIPPED and does not fail. The scanner must find a secret made up for it, so
# that it cannot pass because it looks at nothing.
scan-secrets: ## Look for secrets in the whole history
	@$(MAKE) -s $(TOOLS)/gitleaks 2> /dev/null || { echo "SKIPPED scan-secrets: gitleaks cannot be built here"; exit 0; }; \
	if printf 'token = "ghp_%s"\n' "$$(od -An -tx1 -N18 /dev/urandom | tr -d ' \n')" | $(TOOLS)/gitleaks stdin --no-banner --log-level fatal; then \
		echo "the scanner does not find a secret" >&2; exit 1; fi; \
	$(TOOLS)/gitleaks git --no-banner --no-color --redact -v .

vulnerabilities: bin/holdfast ## Look for known vulnerabilities in the binary (needs vuln.go.dev)
	@$(MAKE) -s $(TOOLS)/govulncheck 2> /dev/null || { echo "SKIPPED vulnerabilities: govulncheck cannot be built here"; exit 0; }; \
	out=$$($(TOOLS)/govulncheck -mode=binary bin/holdfast 2>&1) && echo "$$out" || { \
		if [[ $$out == *"fetching vulnerabilities"* ]]; then echo "SKIPPED vulnerabilities: vuln.go.dev does not answer"; \
		else echo "$$out" >&2; exit 1; fi; }

# Licences that oblige the one who runs or distributes the platform to publish its source are refused.
sbom: ## List the modules that we build on with their licences (bin/sbom.json, CycloneDX)
	@mkdir -p bin; $(MAKE) -s $(TOOLS)/cyclonedx-gomod 2> /dev/null || { echo "SKIPPED sbom: cyclonedx-gomod cannot be built here"; exit 0; }; \
	$(TOOLS)/cyclonedx-gomod mod -licenses -json -output bin/sbom.json . 2> bin/sbom.log || { cat bin/sbom.log >&2; exit 1; }; \
	sed -n '/"components"/,$$s/.*"id": "\(.*\)".*/\1/p' bin/sbom.json | sort | uniq -c | sort -rn; \
	if grep -E '"id": "(A?L?GPL|SSPL|BUSL|CC-BY-NC)' bin/sbom.json; then echo "a module has a licence that we cannot use" >&2; exit 1; fi

ci: verify lint security test smoke ## What CI runs where no Docker engine is

clean: ## Remove what was built; data of `make up` stays (.holdfast)
	rm -rf bin
