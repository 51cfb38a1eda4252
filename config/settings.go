package config

import (
	"strings"
	"time"
)

// A Setting is one thing that an operator may set.
type Setting struct {
	Key     string // in YAML, sections before the dots: "upstream.url"
	Default any    // its type is the setting's; an empty string or list is "not set"
	Doc     string // one sentence or two for --help and the README

	check func(any) string // what was expected, or "" for a good value; not asked about "not set"
}

// Env returns the name of the setting's environment variable.
func (s Setting) Env() string {
	return prefix + strings.ToUpper(strings.ReplaceAll(s.Key, ".", "_"))
}

const (
	prefix      = "PROMFENCE_"
	configEnv   = prefix + "CONFIG" // the file, when there is no --config
	issuersKey  = "auth.issuers"    // this and the next one a variable cannot hold
	policyKey   = "policies"
	issuerKey   = "auth.issuer"
	labelKey    = "tenancy.label"
	originsKey  = "cors.allowed_origins" // the one setting for which an empty variable says something
	audienceKey = "auth.audience"        // the one list whose elements may not be split at commas in the file

	defaultTenantClaim = "tenant_id"
)

// Settings is everything that can be set, in the order of --help. A row is here
// only when the program does what it says.
var Settings = []Setting{
	{"server.address", ":8080", "Where callers connect, as host:port; port 0 takes a free one.", address},
	{"server.tls.cert_file", "", "PEM file with the certificate chain; callers then connect by TLS 1.2 or newer. Like all files here it is read again when it changes.", nil},
	{"server.tls.key_file", "", "PEM file with its private key.", nil},
	{"server.tls.client_ca_file", "", "PEM file with authorities: callers must then present a certificate of one of them, beside their token.", nil},
	{"server.idle_timeout", 620 * time.Second, "How long a connection without a request stays open; longer than a load balancer keeps its own.", positive},
	{"server.max_connections", 10000, "Connections of callers. At the limit, the one that has been without a request for the longest time is closed for a new one; while all have a request, new ones wait. Over HTTP/2, requests at a time.", positive},
	{"server.max_header_bytes", 96 << 10, "Bytes of a request's header, its URL included; at most 200 lines. More is answered with 431.", positive},
	{"server.trusted_proxies", []string{}, "Networks of proxies whose `X-Forwarded-For` is believed, as `10.0.0.0/8`: the log and the audit file then name the address that asked them. Empty: the peer's address is named.", networks},
	{"server.shutdown_timeout", 20 * time.Second, "How long requests in flight may go on after a termination signal.", positive},
	{"server.shutdown_delay", time.Duration(0), "How long new requests are still taken after a termination signal, with readiness at 503: the time that load balancers need to notice (5s on Kubernetes).", notNegative},
	{"admin.address", "127.0.0.1:8081", "Where `/metrics`, `/-/healthy` and `/-/ready` are served for operators, as host:port; `off` for nowhere.", adminAddress},
	{"admin.pprof", false, "Serve Go's profiles below `/debug/pprof/` of the admin address.", nil},

	{"decision.address", "off", "Where gateways ask whether a request may pass, at `/auth`, as host:port; `off` for nowhere. For nginx, Envoy, Traefik, Caddy in front of Loki, Tempo or a web page.", adminAddress},
	{"decision.tls.cert_file", "", "PEM file with the certificate chain of that listener.", nil},
	{"decision.tls.key_file", "", "PEM file with its private key.", nil},
	{"decision.tls.client_ca_file", "", "PEM file with authorities: gateways must then present a certificate of one of them.", nil},

	{"upstream.url", "", "Required. The Prometheus, Thanos Query or compatible server, as `http://host:port`; a path prefix is kept. A Unix socket is `unix:///path/to.sock`, without prefix and TLS. It is asked directly, whatever `HTTP_PROXY` and `HTTPS_PROXY` say.", upstreamURL},
	{"upstream.timeout", 130 * time.Second, "How long the upstream may take to begin its answer, and may pause within it; longer than its own query timeout.", positive},
	{"upstream.tenant_header", "", "Header that names the tenant to the upstream as well, such as `THANOS-TENANT` or `X-Scope-OrgID`.", header},
	{"upstream.label_policy", false, "Send `X-Prom-Label-Policy` to an upstream that enforces it, with what policies say of other labels than the tenant's; PromQL is narrowed as well. Each tenant's requests are a 502 until the upstream was seen to hold its policy. `upstream.tenant_header` is then `X-Scope-OrgID`.", nil},
	{"upstream.bearer_token_file", "", "File with a token that promfence shows to the upstream.", nil},
	{"upstream.basic_auth_file", "", "File with `user:password` for the upstream.", nil},
	{"upstream.headers_file", "", "File with headers for every request to the upstream, each a line `Name: value`.", nil},
	{"upstream.tls.ca_file", "", "PEM file with the authorities that an `https` upstream's certificate may come from. Not set: the system's.", nil},
	{"upstream.tls.cert_file", "", "PEM file with the certificate chain that promfence shows to the upstream.", nil},
	{"upstream.tls.key_file", "", "PEM file with its private key.", nil},
	{"upstream.tls.server_name", "", "Name that the upstream's certificate must carry. Not set: the host of `upstream.url`.", plain},
	{"upstream.max_idle_connections", 256, "Connections to the upstream that are kept open for reuse; with 0 no connection serves twice.", notNegative},

	{"alertmanager.url", "", "The Alertmanager whose alerts and silences are served below `/alertmanager`, as `upstream.url`. Empty: none.", upstreamURL},
	{"alertmanager.timeout", 30 * time.Second, "How long it may take to begin its answer, and may pause within it.", positive},
	{"alertmanager.silences", "read", "`read`, or `write`: silences may be created, changed and ended by tokens with a `sub`; beside `policies`, by those whose policy says `silences: write`.", oneOf("read", "write")},
	{"alertmanager.max_silence", 30 * 24 * time.Hour, "How long a silence may last.", positive},
	{"alertmanager.bearer_token_file", "", "File with a token that promfence shows to it.", nil},
	{"alertmanager.basic_auth_file", "", "File with `user:password` for it.", nil},
	{"alertmanager.tls.ca_file", "", "PEM file with the authorities that its certificate may come from. Not set: the system's.", nil},
	{"alertmanager.tls.cert_file", "", "PEM file with the certificate chain that promfence shows to it.", nil},
	{"alertmanager.tls.key_file", "", "PEM file with its private key.", nil},
	{"alertmanager.tls.server_name", "", "Name that its certificate must carry. Not set: the host of `alertmanager.url`.", plain},

	{issuerKey, "", "Required, unless `auth.issuers` is set. The `iss` that tokens must carry; without a key source below, its OpenID Connect discovery tells the keys.", nil},
	{audienceKey, []string{}, "Required. Whom tokens must be meant for: one of these must be their `aud`, or stand in it.", nil},
	{"auth.audience_claim", "aud", "Claim that holds the audience, for providers whose tokens have no `aud`: `client_id` (Cognito), `azp` (Keycloak). Spelled as `auth.tenant_claim`.", plain},
	{"auth.jwks_url", "", "Where the issuer publishes its keys as a JSON Web Key Set.", nil},
	{"auth.jwks_file", "", "File with a JSON Web Key Set.", nil},
	{"auth.public_key_file", "", "PEM file with the issuer's public key.", nil},
	{"auth.hmac_secret_file", "", "File with a shared secret of at least 32 bytes; a trailing newline is not part of it.", nil},
	{"auth.ca_file", "", "PEM file with the authorities that the certificates of the servers of discovery and keys may come from. Not set: the system's.", nil},
	{"auth.bearer_token_file", "", "File with a token that the servers of discovery and keys want, such as a Kubernetes API server. It goes to them only, over https or loopback, and to no redirect.", nil},
	{"auth.algorithms", []string{}, "Signature algorithms that are accepted. Not set: RS, PS and ES with 256, 384 and 512, and EdDSA; with an HMAC secret alone HS256, HS384 and HS512.", nil},
	{"auth.tenant_claim", defaultTenantClaim, "Claim that names the tenant, or the tenants as an array; integers count as their decimal text. Dots lead into nested claims, a name with dots of its own stands in double quotes, and `.*` at the end takes the names of an object's members.", plain},
	{"auth.token_headers", []string{"Authorization"}, "Headers that may carry the token, in order; the first that is present counts, and no later one.", nonEmpty},
	{"auth.leeway", 30 * time.Second, "Difference between the issuer's clock and ours that is tolerated; at most 5m.", nil},
	{"auth.refresh_interval", 5 * time.Minute, "How often published keys are fetched; 1s or more.", nil},
	{"auth.insecure_any_audience", false, "Take tokens that were issued for any other service as well. Logged as a warning at every start.", nil},
	{"auth.allow_all_tenants", false, "Let tokens of `auth.issuer` get policies that grant all tenants. Logged as a warning at every start where there is such a policy.", nil},
	{issuersKey, []Issuer{}, "More issuers, each a table of its own (see below). Only in the file.", nil},

	{labelKey, "tenant_id", "Label of every series that names its tenant.", labelName},
	{"tenancy.on_conflict", "intersect", "A query's own matcher on the label is kept beside ours (`intersect`: another tenant's name finds nothing) or refused with 403 (`reject`).", oneOf("intersect", "reject")},
	{"tenancy.warn_on_conflict", false, "Say in the answers of `/query` and `/query_range`, as a warning, that a query's own matcher can match nothing of what its caller may see. Grafana shows it in an empty panel; a client can tell promfence from the upstream by it.", nil},
	{"tenancy.max_tenants", 20, "How many tenants one token may name, and how many values of each label a policy may list.", positive},
	{"tenancy.shared_rules", false, "Show rules that carry no tenant label to every tenant. Of their alerts, each sees those with its own label.", nil},
	{"tenancy.shared_metadata", false, "Show HELP and UNIT texts to every tenant that has a series of the metric, whoever wrote them.", nil},

	{policyKey, []Policy{}, "Who may see what, each a table of its own (see below), in the place of `auth.tenant_claim`. Only in the file.", nil},

	{"limits.max_query_bytes", 64 << 10, "Bytes of PromQL in one request.", positive},
	{"limits.max_query_depth", 100, "Brackets that may be open at once in a query; at most 1000.", depth},
	{"limits.max_query_terms", 2000, "Names, operators, commas and opening brackets in one request's PromQL.", positive},
	{"limits.max_selectors", 1000, "`match[]` parameters of one request. They do not count among its 1,000 parameters, and each adds 10 to what `limits.max_query_terms` allows.", positive},
	{"limits.max_body_bytes", 1 << 20, "Bytes of a request's body.", positive},
	{"limits.max_range", time.Duration(0), "How much time a query may read: from start to end, with its longest range, the subqueries around it and its lookback_delta; lookups of names, series and exemplars get this range where they ask for more, or for none. 0s: the upstream decides.", notNegative},
	{"limits.max_points", 0, "Steps of a range query, and of a subquery that names its step. 0: the upstream decides.", notNegative},
	{"limits.max_series", 0, "Series that one query may select, each time it selects them. Like the next two it is sent with `/query`, `/query_range` and their `_cost` rows as a parameter, where the caller's own is not stricter, to an upstream whose `/api/v1/features` says `query_cost` (Prometheus 3.16); with others a warning says that nobody enforces it. At most the upstream's own limit, or queries are a 400. 0: the upstream decides.", notNegative},
	{"limits.max_samples_read", 0, "Samples that one query may read, likewise. 0: the upstream decides.", notNegative},
	{"limits.max_query_duration", time.Duration(0), "How long one query may take there, likewise; at most the upstream's `--query.timeout`. 0s: the upstream decides.", notNegative},
	{"limits.requests_per_second", 0, "Requests per second of each tenant (of each set of tenants, for tokens with several), counted by each replica. 0: no limit.", notNegative},
	{"limits.burst", 0, "How many of them may come at once. 0: as many as `limits.requests_per_second`.", notNegative},
	{"limits.concurrent_requests", 0, "Requests of each tenant that are served at a time, by each replica. 0: no limit.", notNegative},

	{"cors.allowed_origins", []string{"*"}, "Web pages that may read answers, as `https://host`; `https://*.host` for those one label below it, `*` for all, empty for none.", origins},

	{"console.enabled", false, "Serve the page at `/console`, where people see who they are, ask queries and see what is made of them. It holds no data without a token.", nil},
	{"console.client_id", "", "Client at the identity provider by which the console's users sign in (authorization code with PKCE, no secret). Empty: they paste a token.", plain},
	{"console.scopes", "openid", "Scopes that the console asks for, separated by spaces.", plain},
	{"console.issuer", "", "Issuer to sign in at, one of those configured. Not set: the only one.", plain},

	{"log.level", "info", "`debug`, `info`, `warn` or `error`; queries are logged at `debug` only.", oneOf("debug", "info", "warn", "error")},
	{"log.format", "json", "`json`, `logfmt` or, for people, `console`.", oneOf("json", "logfmt", "console")},
	{"log.slow_query", time.Duration(0), "How long a query may take before a warning names it, with its tenants, its duration and its text. 0s: never.", notNegative},

	{"audit.file", "", "File that gets a line of JSON for each decision, before the answer begins: who, for which tenants, what, allowed or refused and why. A second line tells what an allowed request was answered. Opened again on SIGHUP. Empty: the log's line of each request has the same.", nil},
	{"audit.required", false, "Answer nothing (503) that cannot be recorded in `audit.file`.", nil},

	{"tracing.endpoint", "", "Collector that gets a span of each request, by OTLP over HTTP, as `http://host:4318`. Requests with a `traceparent` continue its trace, if that is sampled.", collectorURL},
}

// IssuerSettings is what one entry of auth.issuers may hold.
var IssuerSettings = []Setting{
	{"issuer", "", "Required. The `iss` of its tokens.", nil},
	{"audience", []string{}, "Required. As `auth.audience`.", nil},
	{"audience_claim", "", "Claim that holds the audience. Not set: `aud`.", nil},
	{"insecure_any_audience", false, "As `auth.insecure_any_audience`.", nil},
	{"jwks_url", "", "As `auth.jwks_url`.", nil},
	{"jwks_file", "", "As `auth.jwks_file`.", nil},
	{"public_key_file", "", "As `auth.public_key_file`.", nil},
	{"hmac_secret_file", "", "As `auth.hmac_secret_file`.", nil},
	{"ca_file", "", "As `auth.ca_file`, which does not count here.", nil},
	{"bearer_token_file", "", "As `auth.bearer_token_file`, which does not count here.", nil},
	{"algorithms", []string{}, "As `auth.algorithms`.", nil},
	{"allow_all_tenants", false, "As `auth.allow_all_tenants`.", nil},
	{"tenant_claim", "", "Claim that names the tenant. Not set: `auth.tenant_claim`.", plain},
	{"tenant", "", "The tenant of every token of this issuer and audience, whatever it claims: for machines whose tokens name none.", plain},
}
