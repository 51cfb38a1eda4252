# Redoc renders /docs. It is fetched once, checked, and embedded compressed; a
# build without it works too and serves a plain page.

REDOC_VERSION = 2.5.4
REDOC_SHA256  = 44922df4d0eb45c1b066c09ec251e6bd9bd7ded16bc69e87613337b9d911a56e
REDOC_FILE    = openapi/redoc/redoc.standalone.js.gz
REDOC_BLANK   = data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==
REDOCLY       = @redocly/cli@2.77.0

redoc: $(REDOC_FILE) ## fetch Redoc, which renders /docs

# The logo is taken out because it comes from another server. The licenses go in
# front. Without npm or a network there is a note and no file.
$(REDOC_FILE): openapi/redoc.mk
	@tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && \
	if ! npm pack --silent --pack-destination "$$tmp" redoc@$(REDOC_VERSION) >/dev/null 2>"$$tmp/log"; then \
		echo 'redoc: npm could not fetch it, so /docs will be a plain list'; exit 0; \
	fi && \
	echo "$(REDOC_SHA256)  $$tmp/redoc-$(REDOC_VERSION).tgz" | sha256sum --check --quiet - && \
	tar -xzf "$$tmp/redoc-$(REDOC_VERSION).tgz" -C "$$tmp" && cd "$$tmp/package" && \
	sed -e 's#https://cdn.redoc.ly/redoc/logo-mini.svg#$(REDOC_BLANK)#' -e 's#\(\\n\|^\)//\# sourceMappingURL=[a-z0-9.]*##' \
		bundles/redoc.standalone.js > script && \
	{ echo '/*'; cat LICENSE; echo '*/'; } > license && \
	cat license bundles/redoc.standalone.js.LICENSE.txt bundles/*.worker.js.LICENSE.txt script > all && gzip -9 -n all && \
	mv all.gz "$(CURDIR)/$@" && echo "redoc: fetched $(REDOC_VERSION), $$(wc -c < "$(CURDIR)/$@") bytes compressed"

lint-openapi: ## openapi.yaml against redocly's recommended rules
	@REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true npx --yes $(REDOCLY) lint openapi/openapi.yaml

.PHONY: redoc lint-openapi
