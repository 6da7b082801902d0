# Usher. `make` alone lists the targets.

GO       ?= go
# What needs a real Redis installs one where the system can.
SUDO     := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)
LINT     := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X main.version=$(VERSION)
export GOTOOLCHAIN = local
# What make chaos runs on: single, sentinel or cluster.
REDIS    ?= single

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build ./bin/usher
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/usher ./cmd/usher

.PHONY: demo
demo: ## the page to play customer and agent on; no Facebook account, no Redis
	$(GO) run ./cmd/usher demo

.PHONY: test
test: redis chromium node ## every test, race detector on; then Usher without each of its mechanisms
	$(GO) mod verify
	$(GO) vet ./...
	$(GO) test -race -shuffle=on -timeout 10m ./...
	USHER_TEST_FULL=1 $(GO) test -timeout 10m -run '^TestMutants$$' ./cmd/usher-bench

.PHONY: redis
redis: # a redis-server on PATH, for the tests that want a real one
	@command -v redis-server >/dev/null || command -v valkey-server >/dev/null || \
	{ command -v apt-get >/dev/null && $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends redis-server; } || \
	echo "no redis-server on PATH: its tests are skipped"

.PHONY: chromium
chromium: # a Chromium on PATH, for the tests of the demo's page
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
	{ command -v apt-get >/dev/null && $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends chromium; } || \
	echo "no Chromium on PATH: its tests are skipped"

.PHONY: node
node: # Node.js and npm on PATH, for the test with a client that is not ours; and Python, for the bot that is not
	@{ command -v npm && command -v python3; } >/dev/null || \
	{ command -v apt-get >/dev/null && $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends nodejs npm python3; } || \
	echo "no npm or no python3 on PATH: their tests are skipped"

.PHONY: screenshots
screenshots: chromium ## pictures of the demo's page, into docs/images
	@mkdir -p docs/images
	DEMO_SCREENSHOTS=$(CURDIR)/docs/images $(GO) test ./cmd/usher -count=1 -run '^TestBrowser(Pictures|SituationsHold)$$'

.PHONY: lint
lint: ## the linters of .golangci.yml, and a tidy go.mod
	$(GO) mod tidy -diff
	$(GO) run $(LINT) run ./...

.PHONY: fmt
fmt: ## format
	$(GO) run $(LINT) fmt ./...

.PHONY: bench
bench: redis ## benchmarks with allocations
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: chaos
chaos: redis ## a million events under 500 faults, judged; 15 minutes. REDIS=sentinel or cluster for these
	CGO_ENABLED=0 $(GO) build -trimpath -tags failpoints -ldflags '$(LDFLAGS)' -o bin/chaos/usher ./cmd/usher
	$(GO) build -trimpath -o bin/chaos/usher-bench ./cmd/usher-bench
	bin/chaos/usher-bench chaos --redis $(REDIS) --seed 42 --events 1000000 --faults 500 --customers 400 --pace 0 --json bin/chaos/$(REDIS).json

.PHONY: fuzz
fuzz: ## each fuzz target for 30 seconds
	@$(GO) list ./... | while read -r p; do \
	  for f in $$($(GO) test -list '^Fuzz' "$$p" | grep '^Fuzz'); do \
	    echo "$$p $$f" && $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime 30s "$$p" || exit 1; \
	  done; \
	done

.PHONY: mutants
mutants: redis ## Usher and its simulator without each of their mechanisms: runs and scenes must fail; minutes
	USHER_TEST_FULL=1 $(GO) test -v -timeout 10m -run TestMutants ./cmd/usher-bench
	USHER_TEST_FULL=1 $(GO) test -v -timeout 60m -run TestMutants ./messenger/simulator/scene

.PHONY: golden
golden: ## rewrite the transcripts and goldens; read the diff before committing it
	$(GO) test ./handover ./bot ./messenger/webhook ./messenger/simulator/scene -update

.PHONY: image
image: ## build the container image
	docker build --build-arg VERSION=$(VERSION) -t usher:$(VERSION) .
