# feedlake: `make` lists the targets. Everything that is downloaded lies in .deps and in Go's own caches.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules

DEPS := $(CURDIR)/.deps
TF   := $(DEPS)/libtensorflow

GOLANGCI_LINT := v2.15.0
GOVULNCHECK   := v1.9.0
VERSION       := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

FUZZTIME ?= 10s
BENCH    ?= .
LAKE     ?= ./demo-lake

# One set of flags for building, linting and measuring, so that nothing is compiled twice; tests differ only by -race.
# The binary looks for TensorFlow beside itself (../lib) and in .deps.
export GOFLAGS := -trimpath -buildvcs=false -tags=duckdb_arrow
export CGO_ENABLED := 1
export CGO_CFLAGS := -O2 -g -I$(TF)/include
export CGO_LDFLAGS := -O2 -g -L$(TF)/stub -Wl,-rpath,$$ORIGIN/../lib -Wl,-rpath,$(TF)/lib
export TF_CPP_MIN_LOG_LEVEL ?= 2
# A program with the race detector sleeps a second before it ends, unless it is told otherwise; a race that was met is told before.
export GORACE ?= atexit_sleep_ms=10
export FEEDLAKE_SHARED ?= $(abspath ../shared)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: deps
deps: ## what a build needs: compilers, and TensorFlow's C library in .deps
	@infra/dev/checks.sh
	@infra/dev/tensorflow.sh $(TF)

.PHONY: build
build: deps ## bin/feedlake
	@echo "==> building bin/feedlake ($(VERSION))"
	@go build -ldflags '-X main.version=$(VERSION)' -o bin/feedlake ./cmd/feedlake

.PHONY: demo
demo: build ## the whole path on simulated posts, then the dashboard on http://localhost:5002
	@bin/feedlake demo --lake $(LAKE)

.PHONY: demo-sources
demo-sources: build ## the same over six simulated networks, as over the real ones
	@bin/feedlake demo --sources

# Tests run with the race detector, but for those that could only be slower by it: TestWhole…, which run the whole path, all
# real data, several processes or every point of failure as people have them; and packages that start no goroutine
# (plain_test.go looks).
PLAIN    := sql training
WHOLE     = $(sort $(dir $(addprefix ./,$(shell git grep --untracked -l '^func TestWhole' '*_test.go'))))
# The packages that take longest begin first, so that no core is without work at the end.
LONG     := cmd/feedlake/command transforms schedules lake ingest/files ingest ingest/reddit ingest/bluesky training/tensorflow serving/dashboard
# Packages of tests that need services: only these are built for them.
SERVICES  = $(sort $(dir $(addprefix ./,$(shell git ls-files -co --exclude-standard '*_services_test.go'))))

.PHONY: test
test: deps ## vet, format, the import rule and all tests, with the race detector
	@infra/dev/postgres.sh install
	@infra/dev/chromium.sh install
	@bad=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l); [ -z "$$bad" ] || { echo "error: not formatted, run make fmt:" $$bad >&2; exit 1; }
	@echo "==> testing"
	@all="$$(go list ./...)" && plain="$$(go list $(addprefix ./,$(PLAIN)))" && long="$$(go list $(addprefix ./,$(LONG)))" && \
		race="$$(echo "$$long"; grep -vxF "$$plain"$$'\n'"$$long" <<<"$$all")" && \
		infra/dev/gotest.py $(DEPS)/test.log \
		-race -vet=all -timeout 20m -skip '^TestWhole' $$race + \
		-vet=all -timeout 20m $$plain + \
		-vet=off -timeout 20m -run '^TestWhole' $(WHOLE)

.PHONY: services-up
services-up: deps ## install and start PostgreSQL, MinIO, versitygw and Spark on this machine
	@infra/dev/services.sh install
	@infra/dev/services.sh up

.PHONY: services-down
services-down: ## stop them
	@infra/dev/services.sh down

.PHONY: test-services
test-services: services-up ## the tests that need real services
	@echo "==> testing on services"
	@eval "$$(infra/dev/services.sh env)" && infra/dev/gotest.py $(DEPS)/test-services.log -tags duckdb_arrow,services -run '^TestService' -vet=all -timeout 20m $(SERVICES)

.PHONY: run-service
run-service: build services-up ## examples/service.yaml on these services: S3, a catalog in PostgreSQL, Spark at hand
	@eval "$$(infra/dev/services.sh env)" && bin/feedlake run --config examples/service.yaml

.PHONY: lint
lint: deps $(DEPS)/bin/golangci-lint-$(GOLANGCI_LINT) ## golangci-lint, with the linters of .golangci.yml
	@$(DEPS)/bin/golangci-lint-$(GOLANGCI_LINT) run --build-tags duckdb_arrow,services ./...

.PHONY: fmt
fmt: $(DEPS)/bin/golangci-lint-$(GOLANGCI_LINT) ## format the code (gofumpt, imports)
	@$(DEPS)/bin/golangci-lint-$(GOLANGCI_LINT) fmt

.PHONY: vuln
vuln: deps $(DEPS)/bin/govulncheck-$(GOVULNCHECK) ## known vulnerabilities in what is built; asks Go's vulnerability database
	@$(DEPS)/bin/govulncheck-$(GOVULNCHECK) ./...

.PHONY: verify
verify: ## compare the downloaded modules with go.sum
	@go mod verify

.PHONY: generate
generate: deps ## write generated files anew
	@go generate ./...
	@git status --short

.PHONY: golden
golden: deps ## write the expected results of golden tests anew; read the difference before you commit it
	@go test ./sql -run 'Golden|TablesDoc' -update
	@git status --short sql docs

.PHONY: fuzz
fuzz: deps ## every fuzz target for FUZZTIME (10s)
	@infra/dev/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: deps ## benchmarks, BENCH=regexp to choose; figures that are ratios compare with a peer in the same run
	@go test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 60m ./... | grep -vE '^(PASS|ok .*\[no test files\]|\?)'

.PHONY: bench-services
bench-services: services-up ## benchmarks that need real services, such as DuckDB against Spark
	@eval "$$(infra/dev/services.sh env)" && go test -tags duckdb_arrow,services -run '^$$' -bench '$(BENCH)' -timeout 60m ./transforms/spark ./lake/objects | grep -vE '^(PASS|ok .*\[no test files\]|\?)'

.PHONY: clean
clean: ## remove bin and the demo's lake
	rm -rf bin $(LAKE)

.PHONY: distclean
distclean: clean ## remove .deps, too
	rm -rf $(DEPS)

# Tools are built without the project's C flags, once per version.
TOOL = tmp=$$(mktemp -d $(DEPS)/tool.XXXXXX) && trap "rm -rf $$tmp" EXIT && \
	env -u CGO_CFLAGS -u CGO_LDFLAGS GOFLAGS=-trimpath GOBIN=$$tmp go install $(1) && mkdir -p $(@D) && mv $$tmp/* $@

$(DEPS)/bin/golangci-lint-$(GOLANGCI_LINT):
	@mkdir -p $(DEPS) && echo "==> building golangci-lint $(GOLANGCI_LINT) (about two minutes, once)"
	@$(call TOOL,github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT))

$(DEPS)/bin/govulncheck-$(GOVULNCHECK):
	@mkdir -p $(DEPS) && echo "==> building govulncheck $(GOVULNCHECK)"
	@$(call TOOL,golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK))
