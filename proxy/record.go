package proxy

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/proxy/scope"
)

// A record is what a request leaves behind: its access line, its audit record, its
// span and its counts are made of it. It may outlive the request, so it holds no part
// of one: every text in it is a copy, a constant, or one that is kept anyway.
type record struct {
	proxy    *Proxy
	id       string
	client   netip.Addr // who asked, as far as that is known
	grafana  [len(grafanaHeaders)]string
	method   string
	path     string // of a request that has no route
	route    *Route
	identity auth.Identity
	matcher  *tenantMatcher // the identity's tenants', once it is proven
	decision decision
	asked
	start    time.Time
	upstream upstreamPart
	answered answered
	failed   failedPart
}

// An asked is what the request is about, as far as it is recorded.
type asked struct {
	conflict bool   // a matcher of the caller's can select nothing of what they may see
	silence  string // the id of the silence
	query    string // for the line about a slow one; empty = there is none
}

// An upstreamPart is what the upstream had to do with an answer.
type upstreamPart struct {
	status int           // 0 = it was not asked, or did not answer
	took   time.Duration // to its response header
	hidden []byte        // a warning that the caller did not get
}

// An answered is what the caller got.
type answered struct {
	status int
	bytes  int64
	took   time.Duration // until it was accounted for
}

// A failedPart is why the answer is an error, in words that hold nothing else.
type failedPart struct{ text, reason, limit string }

// grafanaHeaders say which of its panels and rules Grafana asks for, and
// grafanaFields how the log calls that.
var (
	grafanaHeaders = [...]string{"X-Dashboard-Uid", "X-Panel-Id", "X-Rule-Uid"}
	grafanaFields  = [...]string{"dashboard", "panel", "rule"}
)

// newRecord takes of a request what its records need.
func (p *Proxy) newRecord(r *http.Request) *record {
	rec := &record{proxy: p, start: time.Now(), id: requestID(r), client: p.client(r), method: methodName(r.Method)}
	for i, name := range grafanaHeaders {
		if v := r.Header[name]; len(v) == 1 && harmlessID(v[0]) {
			rec.grafana[i] = strings.Clone(v[0])
		}
	}
	return rec
}

// hash keeps the hash of a query as it was sent, or of several selectors with line
// breaks between them, and the text itself where slow queries are logged.
func (r *record) hash(ps scope.Params) {
	var room [2 << 10]byte // most queries fit: no allocation for a copy
	all := room[:0]
	for _, p := range ps {
		if p.Name != "query" && p.Name != "match[]" {
			continue
		}
		if r.decision.hashed {
			all = append(all, '\n')
		}
		all, r.decision.hashed = append(all, p.Value...), true
	}
	if !r.decision.hashed {
		return
	}
	r.decision.query = sha256.Sum256(all)
	if r.proxy.slowQuery > 0 {
		r.query = clipLog(string(all))
	}
}

// hashBody is hash for a remote-read request, as it came.
func (r *record) hashBody(body []byte) {
	r.decision.hashed, r.decision.query = true, sha256.Sum256(body)
}

// routeName is how metrics, logs and traces call the row.
func (r *record) routeName() string {
	if r.route == nil {
		return "none"
	}
	return r.route.full
}

// describe adds who asked for what, and what was decided.
func (r *record) describe(e *zerolog.Event) {
	e.Str("req_id", r.id)
	if r.client.IsValid() {
		var room [48]byte // the longest address, without a zone
		e.Bytes("client", r.client.AppendTo(room[:0]))
	}
	r.describeTenants(e)
	if r.identity.Issuer != "" {
		e.Str("subject", r.identity.Subject).Str("issuer", r.identity.Issuer)
	}
	e.Str("route", r.routeName()).Str("method", r.method)
	if r.path != "" {
		e.Str("path", r.path)
	}
	if r.silence != "" {
		e.Str("silence", r.silence)
	}
	for i, v := range r.grafana {
		if v != "" {
			e.Str(grafanaFields[i], v)
		}
	}
	switch {
	case r.decision.allowed:
		e.Str("decision", "allowed")
	case r.decision.made:
		e.Str("decision", "refused").Str("reason", r.failed.reason)
	}
	if r.decision.hashed {
		e.Hex("query_sha256", r.decision.query[:])
	}
	if r.conflict {
		e.Bool("conflict", true)
	}
}

// describeTenants adds whose data it is about, and which policies say so. Where all
// tenants are meant it is a text and no array, so that it cannot be taken for a tenant
// with this name.
func (r *record) describeTenants(e *zerolog.Event) {
	switch {
	case r.matcher == nil:
		return
	case r.matcher.all:
		e.Str("tenants", allTenants)
	case r.identity.AllTenants:
		e.Strs("tenants", r.matcher.list).Str("narrowed_from", allTenants)
	default:
		e.Strs("tenants", r.matcher.list)
	}
	if r.identity.Policies != nil {
		e.Strs("policy", r.identity.Policies)
	}
}

// describeAnswer adds what the caller got.
func (r *record) describeAnswer(e *zerolog.Event) {
	if r.upstream.status != 0 {
		e.Int("upstream_status", r.upstream.status)
	}
	e.Int("status", r.answered.status).Dur("ms", r.answered.took).Int64("bytes", r.answered.bytes)
	if r.upstream.took > 0 {
		e.Dur("upstream_ms", r.upstream.took)
	}
}

// failedWith keeps why a request failed.
func (r *record) failedWith(err error) {
	if a, ok := errors.AsType[*auth.Error](err); ok && r.identity.Issuer == "" {
		r.identity.Subject, r.identity.Issuer = a.Subject, a.Issuer // of a good token without a tenant
	}
	r.failed = failedPart{clipLog(err.Error()), reason(err), asAPIError(err).Limit}
}

// count counts the request and writes its lines. It is what no answer waits for.
func (r *record) count() {
	r.proxy.metrics.request(r)
	r.logLine()
	r.logSlow()
}

// logLine writes the access line.
func (r *record) logLine() {
	e := r.proxy.log.WithLevel(r.level())
	r.describe(e)
	r.describeAnswer(e)
	if hidden := r.upstream.hidden; len(hidden) > 0 {
		e.Bytes("upstream_warning", hidden)
	}
	if r.failed.text != "" {
		e.Str("error", r.failed.text)
	}
	e.Msg("request")
}

// logSlow warns of a query that took long: its text is what somebody has to change.
func (r *record) logSlow() {
	if slow := r.proxy.slowQuery; slow == 0 || r.answered.took < slow || !r.decision.hashed {
		return
	}
	e := r.proxy.log.Warn().Str("req_id", r.id)
	r.describeTenants(e)
	e.Str("route", r.routeName()).Dur("ms", r.answered.took).Str("query", r.query).Msg("slow query")
}

// level keeps probes that find what they hope for out of the log: there are two
// every few seconds. That promfence is not ready is no error of a request.
func (r *record) level() zerolog.Level {
	switch probe := strings.HasPrefix(r.routeName(), "/-/"); {
	case probe && r.answered.status < http.StatusBadRequest:
		return zerolog.DebugLevel
	case !probe && r.answered.status >= http.StatusInternalServerError:
		return zerolog.ErrorLevel
	default:
		return zerolog.InfoLevel
	}
}

// maxLogged bounds what an upstream's or a caller's text may add to the log.
const maxLogged = 4096

func clipLog(s string) string {
	if len(s) > maxLogged {
		return s[:maxLogged] + "…"
	}
	return s
}
