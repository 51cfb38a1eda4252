# The program of /console: our sources and the packages of package-lock.json,
# bundled by esbuild, checked, and embedded compressed. A build without npm works
# too and serves a plain page.

CONSOLE_SHA256  = 20ba8590850e6a6fccad3546eca3e7fe581d2bdba32ee4955dc0c7303759908b
CONSOLE_FILE    = openapi/console/dist/console.js.gz
CONSOLE_SOURCES = $(wildcard openapi/console/src/*.js) openapi/console/package.json openapi/console/package-lock.json openapi/console.mk

console: $(CONSOLE_FILE) ## bundle the console, which is the page at /console

# The licenses of all packages in the bundle go in front of it.
$(CONSOLE_FILE): $(CONSOLE_SOURCES)
	@tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && \
	cp -r openapi/console/src openapi/console/package.json openapi/console/package-lock.json "$$tmp" && \
	if ! (cd "$$tmp" && npm ci --ignore-scripts --no-audit --no-fund --silent >log 2>&1); then \
		echo 'console: npm could not fetch its packages, so /console will be a plain page'; exit 0; \
	fi && \
	$(TOOL) esbuild --bundle --minify --format=esm --target=es2022 --charset=utf8 --legal-comments=none --log-level=warning \
		--outfile="$$tmp/bundle.js" "$$tmp/src/main.js" && \
	(cd "$$tmp/node_modules" && for license in $$(find . -iname 'LICENSE*' -not -name '*.js' | LC_ALL=C sort); do \
		echo '/*'; echo "$${license#./}"; sed 's#\*/#* /#g' "$$license"; echo '*/'; done; cat "$$tmp/bundle.js") > "$$tmp/console.js" && \
	sum=$$(sha256sum < "$$tmp/console.js" | cut -d' ' -f1) && \
	{ [ "$$sum" = "$(CONSOLE_SHA256)" ] || [ -n "$(CONSOLE_ANY)" ] || { echo "console: the bundle is $$sum, pinned is $(CONSOLE_SHA256): if the change is meant, write the new sum into openapi/console.mk"; exit 1; }; } && \
	gzip -9 -n "$$tmp/console.js" && mv "$$tmp/console.js.gz" "$(CURDIR)/$@" && echo "console: $$(wc -c < "$(CURDIR)/$@") bytes compressed, $$sum"

# The picture in the README is the demo's console, as a browser shows it.
PICTURE = openapi/console/console.png

picture: build ## take the picture of the console that the README shows
	@cd test && CGO_ENABLED=0 go build -o ../bin/demo ./demo
	@tmp=$$(mktemp -d) && DEMO_ADDRESS=127.0.0.1:18080 bin/demo >"$$tmp/log" 2>&1 & demo=$$!; trap 'kill $$demo' EXIT; \
	for i in 1 2 3 4 5 6 7 8 9 10; do curl -sSf -o /dev/null http://127.0.0.1:18080/console 2>/dev/null && break; sleep 1; done; \
	$${CHROMIUM:-chromium} --headless --no-sandbox --disable-gpu --hide-scrollbars --no-first-run --disable-background-networking \
		--window-size=1200,1130 --virtual-time-budget=8000 --screenshot=$(PICTURE) \
		'http://127.0.0.1:18080/console#q=sum+by+%28tenant_id%29+%28rate%28http_requests_total%5B5m%5D%29%29&range=15m' 2>/dev/null && \
	[ $$(wc -c <$(PICTURE)) -le 102400 ] && echo "$(PICTURE): $$(wc -c <$(PICTURE)) bytes"

.PHONY: console picture
