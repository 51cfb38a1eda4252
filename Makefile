# The tools are pinned in .tools.mod, out of the way of what promfence itself
# depends on. test/ is a module of its own, because the demo and the
# end-to-end tests need a whole Prometheus.

.DEFAULT_GOAL = help

TOOL     = go tool -modfile=$(CURDIR)/.tools.mod
FUZZTIME = 20s

DEMO_ADDRESS ?= 127.0.0.1:8080

# The race detector needs a C compiler and the C library's headers.
HASH := \#
RACE := $(shell printf '$(HASH)include <stdlib.h>\nint main(void) { return 0; }\n' | $$(go env CC) -x c - -o /dev/null 2>/dev/null && echo -race)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

build: redoc console ## bin/promfence, static and stripped
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o bin/promfence ./cmd/promfence

# Version, commit and its time, for what is published.
VERSION   = $(shell git describe --tags --always --dirty --match 'v*')
COMMIT    = $(shell git rev-parse HEAD)
COMMITTED = $(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd)

# What is published holds Redoc and the console: without npm the bytes are others.
binaries: redoc console
	@[ -e $(REDOC_FILE) ] && [ -e $(CONSOLE_FILE) ] || { echo 'make: what is published takes npm: apt-get install npm'; exit 1; }
	@for platform in linux-amd64 linux-arm64 darwin-amd64 darwin-arm64; do \
		CGO_ENABLED=0 GOOS=$${platform%-*} GOARCH=$${platform#*-} GOFLAGS= go build -trimpath -buildvcs=true -ldflags='-s -w -buildid=' -o bin/binaries/promfence-$$platform ./cmd/promfence || exit 1; \
	done

image: binaries ## bin/image: the container image for Linux on amd64 and arm64, as an OCI layout, without a daemon
	rm -rf bin/image
	cd test && go run ./harness/image -out ../bin/image -binaries ../bin/binaries/promfence-linux- -version $(VERSION) -revision $(COMMIT) -created $(COMMITTED)
	@echo "sha256:$$(sha256sum <bin/image/index.json | cut -d' ' -f1)"

push: ## bin/image to REFERENCE, such as registry.example.com/promfence:v0.1.0, as docker login lets you
	@cd test && go run ./harness/image -out ../bin/image -push '$(REFERENCE)'

# A chart's version has no v, and begins with a number, also without a tag.
CHART = $(shell echo '$(VERSION)' | sed -E 's/^v//; t; s/^/0.0.0-g/')

# What helm package would write, with the commit's time.
chart:
	@rm -rf bin/chart && mkdir -p bin/chart bin/release && cp -RL cmd/promfence/deploy/chart bin/chart/promfence && rm -rf bin/chart/promfence/ci
	@sed -i.orig -e 's/^version: .*/version: $(CHART)/' -e 's/^appVersion: .*/appVersion: $(VERSION)/' bin/chart/promfence/Chart.yaml && rm bin/chart/promfence/Chart.yaml.orig
	@$(ARCHIVE) -C bin/chart promfence | gzip -9 -n >bin/release/promfence-$(CHART).tgz

# What the program for Linux is made of, with licenses. A clone,
# because the tool reads the version from a repository that is nobody's worktree; and
# without what differs by who runs it, the time and the hash of the tool.
sbom:
	@rm -rf bin/sbom && mkdir -p bin/release && git clone --quiet --no-hardlinks . bin/sbom && go build -modfile=.sbom.mod -o bin/cyclonedx-gomod github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
	@cd bin/sbom && CGO_ENABLED=0 GOOS=linux GOARCH=amd64 GOFLAGS= ../cyclonedx-gomod app -json -std -licenses -noserial -main cmd/promfence -output ../sbom.json . 2>../sbom.log || { cat ../sbom.log; exit 1; }
	@sed -e '/"tools": \[/,/"externalReferences"/{/"hashes": \[/,/\],/d' -e '}' -e 's/"timestamp": "[^"]*"/"timestamp": "$(COMMITTED)"/' bin/sbom.json >bin/release/promfence-$(VERSION).cdx.json
	@rm -rf bin/sbom bin/sbom.json bin/sbom.log

release: image ## bin/release: archives, image, chart, SBOM and checksums, the same bytes from the same commit; KEY=FILE signs them
	rm -rf bin/release && mkdir -p bin/release
	@$(MAKE) --no-print-directory chart sbom
	@for platform in linux-amd64 linux-arm64 darwin-amd64 darwin-arm64; do \
		dir=promfence-$(VERSION)-$$platform && mkdir -p bin/archive/$$dir && \
		cp bin/binaries/promfence-$$platform bin/archive/$$dir/promfence && cp LICENSE CHANGELOG.md README.md cmd/promfence/deploy/promfence.service bin/archive/$$dir && \
		$(ARCHIVE) -C bin/archive $$dir | gzip -9 -n >bin/release/$$dir.tar.gz && rm -rf bin/archive || exit 1; \
	done
	@$(ARCHIVE) -C bin/image . | gzip -9 -n >bin/release/promfence-$(VERSION)-image.tar.gz
	@cd bin/release && sha256sum * >../SHA256SUMS && mv ../SHA256SUMS . && cat SHA256SUMS
	@[ -z '$(KEY)' ] || ssh-keygen -q -Y sign -n promfence -f '$(KEY)' bin/release/SHA256SUMS

# GNU tar, without anything of this machine in it.
ARCHIVE = tar --create --sort=name --mtime=$(COMMITTED) --owner=0 --group=0 --numeric-owner --mode=go+rX,go-w --format=gnu

demo: ## promfence in front of a Prometheus with two tenants, on DEMO_ADDRESS (127.0.0.1:8080)
	@cd test && CGO_ENABLED=0 DEMO_ADDRESS=$(DEMO_ADDRESS) go run ./harness/prebuild free
	@$(MAKE) --no-print-directory redoc console
	@cd test && CGO_ENABLED=0 go run ./harness/prebuild demo
	@DEMO_ADDRESS=$(DEMO_ADDRESS) bin/demo

test: redoc console ## all tests of both modules, with the race detector
	@[ -n '$(RACE)' ] || [ -z "$$CI" ] || { echo 'make test: no C compiler for -race: apt-get install gcc libc6-dev'; exit 1; }
	@cd test && CGO_ENABLED=0 go run ./harness/prebuild plan
	@$(MAKE) --no-print-directory left-out
	go test $(RACE) -shuffle=on ./...
	cd test && CGO_ENABLED=0 go run ./harness/prebuild
	cd test && go test $(RACE) -shuffle=on -timeout 40m $$(go list ./... | grep -v /isolation/property)
	cd test && go test -shuffle=on -timeout 40m ./isolation/property # with the race detector, minutes become a quarter of an hour
	@$(MAKE) --no-print-directory left-out

quick: ## the quick tests beside the code, without the race detector, in a minute
	go test -short -p 4 ./... # four packages at a time, as some of their tests wait

left-out:
	@[ -n '$(RACE)' ] || echo 'left out: the race detector, for want of a C compiler: apt-get install gcc libc6-dev'
	@command -v curl >/dev/null || echo 'left out: the lines of the demo, for want of curl: apt-get install curl'
	@command -v openssl >/dev/null || echo "left out: the README's way to mint a token, for want of openssl: apt-get install openssl"
	@command -v nginx >/dev/null || [ -e /usr/sbin/nginx ] || echo 'left out: the decision endpoint behind nginx, for want of it: apt-get install nginx-light'
	@command -v npm >/dev/null || echo 'left out: the typed client, for want of npm: apt-get install npm'
	@command -v systemd-analyze >/dev/null || echo 'left out: the systemd unit, for want of systemd-analyze: apt-get install systemd'
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || [ -n '$(CHROMIUM)' ] || echo 'left out: /docs and CORS in a browser, for want of one: apt-get install chromium'

mutants: redoc ## takes every guard out, one at a time: does the test beside it notice? (5 minutes)
	cd test && go run ./mutants

# The database is a module too, so that the answer is the same everywhere and
# offline. govulncheck fails on what it finds: the list decides here.
VULN = go tool -modfile=$(CURDIR)/.vuln.mod govulncheck

vuln: ## known vulnerabilities in what promfence calls; .ci/vulnerabilities lists those that may be there
	@go mod download -modfile=.vuln.mod golang.org/x/vulndb
	@db=$$(go list -modfile=.vuln.mod -m -f '{{.Dir}}' golang.org/x/vulndb) && out=$$(mktemp) && trap 'rm -f "$$out"' EXIT && \
	{ $(VULN) -db "file://$$db/data/osv" ./... >"$$out" 2>&1 || [ $$? = 3 ] || { cat "$$out"; exit 1; }; } && \
	for id in $$(sed -n 's/^Vulnerability #[0-9]*: //p' "$$out"); do \
		grep -q "^$$id go" .ci/vulnerabilities || { echo "make vuln: $$id is not in .ci/vulnerabilities: update what it is in"; sed -n "/: $$id\$$/,/^$$/p" "$$out"; exit 1; }; \
	done && echo "vuln: $$(grep -c '^Vulnerability #' "$$out") known, all of them listed"

lint: vuln ## gofumpt, go vet, golangci-lint, go mod tidy and known vulnerabilities, nothing changed
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

bench: build ## what promfence costs, in ratios to other proxies (7 minutes); make bench -- curves: how that grows (4 minutes)
	cd test && CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o ../bin/ github.com/prometheus-community/prom-label-proxy ./bench ./bench/peer
	@bin/bench $(filter curves,$(MAKECMDGOALS))

curves: bench
	@:

include openapi/redoc.mk
include openapi/console.mk

.PHONY: help build binaries image push chart sbom release demo test quick left-out mutants vuln lint fuzz bench curves
