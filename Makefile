# The tools are pinned in .tools.mod, out of the way of what promfence itself
# depends on. test/ is a module of its own, because the demo and the
# end-to-end tests need a whole Prometheus.

.DEFAULT_GOAL = help

TOOL     = go tool -modfile=$(CURDIR)/.tools.mod
FUZZTIME = 20s

# The race detector needs a C compiler and the C library's headers.
HASH := \#
RACE := $(shell printf '$(HASH)include <stdlib.h>\nint main(void) { return 0; }\n' | $$(go env CC) -x c - -o /dev/null 2>/dev/null && echo -race)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

build: redoc console ## bin/promfence, static and stripped
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o bin/promfence ./cmd/promfence

release: redoc console ## bin/release: promfence for Linux on amd64 and arm64, the same bytes from the same commit, with sha256 sums
	@[ -e $(REDOC_FILE) ] && [ -e $(CONSOLE_FILE) ] || { echo 'make release: it takes npm, because without Redoc and the console the bytes are others'; exit 1; }
	rm -rf bin/release && mkdir -p bin/release
	for arch in amd64 arm64; do \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch GOFLAGS= go build -trimpath -buildvcs=true -ldflags='-s -w -buildid=' -o bin/release/promfence-linux-$$arch ./cmd/promfence || exit 1; \
	done
	cd bin/release && sha256sum promfence-linux-* >SHA256SUMS && cat SHA256SUMS

demo: build ## promfence in front of a Prometheus with two tenants, on DEMO_ADDRESS (127.0.0.1:8080)
	@cd test && CGO_ENABLED=0 go run ./harness/prebuild ./demo ../bin/demo
	@bin/demo

test: redoc console ## all tests of both modules, with the race detector
	@[ -n '$(RACE)' ] || [ -z "$$CI" ] || { echo 'make test: no C compiler for -race: apt-get install gcc libc6-dev'; exit 1; }
	go test $(RACE) -shuffle=on ./...
	cd test && CGO_ENABLED=0 go run ./harness/prebuild
	cd test && go test $(RACE) -shuffle=on -timeout 20m ./...
	@[ -n '$(RACE)' ] || echo 'left out: the race detector, for want of a C compiler: apt-get install gcc libc6-dev'
	@command -v curl >/dev/null || echo 'left out: the lines of the demo, for want of curl: apt-get install curl'
	@command -v openssl >/dev/null || echo "left out: the README's way to mint a token, for want of openssl: apt-get install openssl"
	@command -v npm >/dev/null || echo 'left out: the typed client, for want of npm: apt-get install npm'
	@command -v systemd-analyze >/dev/null || echo 'left out: the systemd unit, for want of systemd-analyze: apt-get install systemd'
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || [ -n '$(CHROMIUM)' ] || echo 'left out: /docs and CORS in a browser, for want of one: apt-get install chromium'

lint: ## gofumpt, go vet, golangci-lint and go mod tidy, nothing changed
	@unformatted="$$($(TOOL) gofumpt -l .)" && { [ -z "$$unformatted" ] || { echo "make lint: run gofumpt on"; echo "$$unformatted"; exit 1; }; }
	go mod tidy -diff
	go vet ./...
	$(TOOL) golangci-lint run ./...
	cd test && go mod tidy -diff
	cd test && go vet ./...
	cd test && $(TOOL) golangci-lint run ./...

fuzz: ## every fuzz target for FUZZTIME (20s)
	@grep -rEo '^func Fuzz[A-Za-z0-9_]*' --include='*_test.go' . | while IFS=: read -r file func; do \
		echo "$${func#func } in $$file"; \
		(cd "$$(dirname "$$file")" && go test -run '^$$' -fuzz "^$${func#func }\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime=0x .) || exit 1; \
	done

bench: build ## what promfence costs, in ratios to other proxies (4 minutes)
	cd test && CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o ../bin/ github.com/prometheus-community/prom-label-proxy ./bench ./bench/peer
	@bin/bench

include openapi/redoc.mk
include openapi/console.mk

.PHONY: help build release demo test lint fuzz bench
