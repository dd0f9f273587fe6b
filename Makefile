# One command for each thing that a developer does. `make help` lists them.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1.0-dev)
DESTDIR ?=
PREFIX  ?= /usr/local

export CGO_ENABLED = 0
# The version comes from -ldflags: Go need not ask git, which refuses in a checkout of another user.
export GOFLAGS := $(strip $(GOFLAGS) -buildvcs=false)

LDFLAGS = -s -w -X main.version=$(VERSION)
INIT    = runtime/initprog/bin/stack-init
DAEMON  = cmd/stack/daemonprog/bin
STACK   = bin/stack

# What a test needs and this machine must have: a skip of these is a failure in `make test` as root.
MUST ?= $(if $(filter 0,$(shell id -u)),root$(comma)sandbox$(comma)images$(comma)tools)
comma := ,

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: init ## Build bin/stack, one static binary
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(STACK) ./cmd/stack

.PHONY: init
init: ## Build the programs that bin/stack embeds: the daemon's, and the init program that that one embeds
	$(GO) build -trimpath -ldflags '-s -w' -o $(INIT) ./cmd/stack-init
	@rm -f $(DAEMON)/version
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(DAEMON)/stack-daemon ./cmd/stack-daemon
	@echo '$(VERSION)' >$(DAEMON)/version

.PHONY: test
test: packages lint build testimages ## Run every test that this machine can: as root, and again as an ordinary user
	STACK_TEST_BIN=$(CURDIR)/$(STACK) STACK_TEST_MUST=$(MUST) $(GO) test -timeout 20m ./...
	.ci/as-user

.PHONY: test-long
test-long: packages build testimages ## Run the long form of tests that sample: every crash point, 200 kills, 50 projects, 300 containers
	STACK_TEST_LONG=1 STACK_TEST_BIN=$(CURDIR)/$(STACK) STACK_TEST_MUST=$(MUST) $(GO) test -count=1 -p 1 -v -timeout 2h \
		-run '^(TestKilledAnywhere|TestRandomKills|TestManyProjects|TestManyUpsOfOneProject|TestCostIsLinear|TestCostOfWatch|TestPlansOfRandomHosts|TestRandomDamageConverges|TestPowerCut.*)$$' \
		./reconcile ./reconcile/plan ./internal/store ./runtime ./internal/e2e

.PHONY: test-race
test-race: packages init testimages ## Run the tests with Go's race detector, of the daemon that they start too (needs gcc)
	CGO_ENABLED=1 $(GO) build -race -trimpath -ldflags '$(LDFLAGS)' -o $(DAEMON)/stack-daemon ./cmd/stack-daemon
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/race/stack ./cmd/stack
	$(MAKE) init
	rm -rf bin/race/reports && mkdir bin/race/reports
	GORACE=log_path=$(CURDIR)/bin/race/reports/race CGO_ENABLED=1 STACK_TEST_BIN=$(CURDIR)/bin/race/stack STACK_TEST_MUST=$(MUST) \
		$(GO) test -race -p 1 -timeout 60m $(or $(RACE),./...); tests=$$?; \
		cat bin/race/reports/* 2>/dev/null; test -z "$$(ls bin/race/reports)" && exit $$tests

.PHONY: test-starved
test-starved: packages build testimages ## Run the end-to-end tests on one processor, with a part of all threads starved at a time
	$(GO) build -o bin/starve ./internal/starve
	STACK_TEST_BIN=$(CURDIR)/$(STACK) STACK_TEST_MUST=$(MUST) $(GO) test -count=1 -timeout 60m -exec $(CURDIR)/bin/starve $(or $(STARVED),./internal/e2e)

.PHONY: test-vm
test-vm: ## Run what depends on the kernel in virtual machines, Linux 6.1: systemd and the unit, cgroup v2, hybrid
	@.ci/packages qemu-system-x86 busybox-static kmod systemd
	$(GO) run ./internal/vm -unit
	$(GO) run ./internal/vm
	$(GO) run ./internal/vm -cgroup hybrid ./runtime ./runtime/cgroup ./runtime/monitor './internal/e2e:^TestSmoke$$'

.PHONY: test-arm64
test-arm64: ## Run what depends on the kernel in a virtual machine whose processor is an arm64, Linux 6.1, cgroup v2
	@.ci/packages qemu-system-arm busybox-static kmod
	$(GO) run ./internal/vm -arch arm64

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (10m)
	.ci/fuzz

.PHONY: packages
packages: ## Install the Debian packages that tests use (only what is missing)
	@.ci/packages

.PHONY: testimages
testimages: ## Build the images that tests use from Debian packages (cached)
	@echo "testimages: PostgreSQL, Redis, nginx, Python and busybox from Debian packages"
	$(GO) run ./internal/testimage/cmd/testimages

.PHONY: lint
lint: ## Check formatting, and run go vet, for arm64 too
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	if [ -n "$$unformatted" ]; then printf 'not formatted (run gofmt -w):\n%s\n' "$$unformatted" >&2; exit 1; fi
	$(GO) vet ./...
	GOARCH=arm64 $(GO) vet ./...
	$(GO) vet -tags failpoint ./cmd/... ./internal/failpoint ./reconcile/driver/crash

.PHONY: generate
generate: ## Write the generated files anew
	$(GO) generate ./...

.PHONY: bench
bench: build ## Measure against the peers that are installed and print the table (root; BENCH='-only up -runs 3')
	@.ci/packages e2fsprogs
	$(GO) run ./cmd/stack-bench -bin $(STACK) $(BENCH)

.PHONY: bench-go
bench-go: build ## Run the Go benchmarks of the packages
	STACK_TEST_BIN=$(CURDIR)/$(STACK) $(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: demo
demo: build ## Bring examples/hello up, show its page, logs and ps, take it down; no registry, no network
	examples/hello/demo.sh $(CURDIR)/$(STACK)

.PHONY: install
install: build ## Install the binary, shell completions and the systemd unit below PREFIX
	install -D -m 0755 $(STACK) $(DESTDIR)$(PREFIX)/bin/stack
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	$(STACK) completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/stack
	$(STACK) completion zsh >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_stack
	$(STACK) completion fish >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/stack.fish
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's#@PREFIX@#$(PREFIX)#' cmd/stack/stack.service.in >$(DESTDIR)$(PREFIX)/lib/systemd/system/stack.service

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin $(INIT) $(DAEMON)/stack-daemon $(DAEMON)/version
