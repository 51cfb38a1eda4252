// Package record keeps what a request leaves behind: its audit record, its access
// line, its span and its counts.
//
// It stops three threats. The first is an answer that nobody can account for: the
// decision on a request is on record before the first byte of its answer, and a request
// whose record is required and cannot be written is refused. The second is a caller's
// text that keeps a whole request in memory: a Record may outlive its request, so it
// holds no part of it, and every text in it is a copy, a constant, or one that is kept
// anyway. The third is metrics that grow without end because of a caller's text or a
// token's tenant: every label has a bounded set of values. No token is recorded
// anywhere, and a query in two places only: at the level debug, and where slow queries
// are logged.
package record

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/scope"
)

// Options are where what requests leave behind goes.
type Options struct {
	Logger         zerolog.Logger // one line per request
	SlowQuery      time.Duration  // from when on a query is logged, with its text; 0 = never
	AuditRequired  bool           // what cannot be recorded is not answered
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed

	// Audit keeps the records of decisions; nil = there is only the line above. Append
	// takes a line, of which it keeps a copy. The function that it returns returns nil
	// once the line is on record, or why it is not.
	Audit interface {
		Append(line []byte) (written func() error)
	}

	// Deferred runs work that must not delay an answer: counting and the access
	// line. Urgent tasks run before it returns. Nil runs every task at once.
	Deferred func(task func(), urgent bool)

	Spans      func(Span)            // takes each request's span, at once; nil = nothing is traced
	Registerer prometheus.Registerer // nil = metrics are kept nowhere
}

// A Recorder begins the records of requests, and counts what is no request's.
type Recorder struct {
	Options
	metrics *metrics
}

// New makes a Recorder.
func New(o Options) *Recorder {
	if o.Deferred == nil {
		o.Deferred = func(task func(), _ bool) { task() }
	}
	return &Recorder{o, newMetrics(o.Registerer)}
}

// A Record is what one request leaves behind. Whoever serves the request fills it,
// and ends it.
type Record struct {
	recorder *Recorder
	id       string
	client   netip.Addr // who asked, as far as that is known
	grafana  [len(grafanaHeaders)]string
	method   string
	route    route
	identity auth.Identity
	tenants  tenants
	decision decision
	query    query
	conflict bool // a matcher of the caller's can select nothing of what they may see
	start    time.Time
	upstream upstreamPart
	answered answered
	failed   failure
	span     *spanUnderWay // nil = not traced, or at its end
}

// A route is what a request asks for.
type route struct {
	name    string // the row's path; empty = none
	changes bool   // a silence
	path    string // of a request that has no route
	silence string // the id of the silence
}

// A query is what is kept of the text of a query.
type query struct {
	hashed bool     // there is one
	sum    [32]byte // SHA-256 of it
	text   string   // for the line about a slow one; empty = there is none
}

// An upstreamPart is what the upstream had to do with an answer.
type upstreamPart struct {
	asked  time.Time
	status int           // 0 = it was not asked, or did not answer
	took   time.Duration // to its response header
	hidden []byte        // a warning that the caller did not get
	read   int64         // samples, by what its answer tells
}

// An answered is what the caller got.
type answered struct {
	status int
	bytes  int64
	took   time.Duration // until it was accounted for
}

// A failure is why the answer is an error, in words that hold nothing else.
type failure struct{ text, reason, limit string }

// tenants are those whose data a request is about, once they are proven.
type tenants struct {
	proven bool
	all    bool // none of whom is named
	names  []string
	one    [1]string // room for the names, as nearly all have one
}

// grafanaHeaders say which of its panels and rules Grafana asks for, and
// grafanaFields how the log calls that.
var (
	grafanaHeaders = [...]string{"X-Dashboard-Uid", "X-Panel-Id", "X-Rule-Uid"}
	grafanaFields  = [...]string{"dashboard", "panel", "rule"}
)

// Begin takes of a request what its records need.
func (p *Recorder) Begin(r *http.Request) *Record {
	rec := &Record{recorder: p, start: time.Now(), id: requestID(r), client: p.client(r), method: methodName(r.Method)}
	for i, name := range grafanaHeaders {
		if v := r.Header[name]; len(v) == 1 && harmlessID(v[0]) {
			rec.grafana[i] = strings.Clone(v[0])
		}
	}
	if p.Spans != nil {
		rec.span = newSpan(r.Header)
	}
	p.metrics.inFlight.Inc()
	return rec
}

// ID is the request's X-Request-Id, which may be promfence's own.
func (r *Record) ID() string { return r.id }

// Method is the request's.
func (r *Record) Method() string { return r.method }

// Span is the request's span as the parent of what the upstream records, and nobody's
// where none is recorded.
func (r *Record) Span() trace.SpanContext { return r.span.context() }

// Identity is who was proven to call.
func (r *Record) Identity() auth.Identity { return r.identity }

// Status is the status of the answer; 0 = none was begun.
func (r *Record) Status() int { return r.answered.status }

// Identify keeps who was proven to call.
func (r *Record) Identify(id auth.Identity) { r.identity = id }

// NameTenants keeps that the identity's tenants can be enforced: from now on it is
// their data that the request is about.
func (r *Record) NameTenants() {
	names, all := r.identity.Labels.AppendTenants(r.tenants.one[:0])
	r.tenants.proven, r.tenants.all, r.tenants.names = true, all, names
}

// Route keeps which row the request asks for, and whether that changes a silence.
func (r *Record) Route(name string, changes bool) { r.route.name, r.route.changes = name, changes }

// Path keeps the path of a request that has no route.
func (r *Record) Path(path string) { r.route.path = strings.Clone(apierr.Clip(path)) }

// Silence keeps the id of the silence that a request is about.
func (r *Record) Silence(id string) { r.route.silence = id }

// Conflict keeps whether a matcher of the caller's own can select nothing of what they
// may see.
func (r *Record) Conflict(found bool) { r.conflict = found }

// Query keeps the hash of a query as it was sent, or of several selectors with line
// breaks between them, and the text itself where slow queries are logged.
func (r *Record) Query(ps scope.Params) {
	var room [2 << 10]byte // most queries fit: no allocation for a copy
	all := room[:0]
	for _, p := range ps {
		if p.Name != "query" && p.Name != "match[]" {
			continue
		}
		if r.query.hashed {
			all = append(all, '\n')
		}
		all, r.query.hashed = append(all, p.Value...), true
	}
	if !r.query.hashed {
		return
	}
	r.query.sum = sha256.Sum256(all)
	if r.recorder.SlowQuery > 0 {
		r.query.text = clipLog(string(all))
	}
}

// Body keeps the hash of a body in the place of a query's, as it came.
func (r *Record) Body(body []byte) {
	r.query.hashed, r.query.sum = true, sha256.Sum256(body)
}

// Asked keeps that the upstream is asked now.
func (r *Record) Asked() { r.upstream.asked = time.Now() }

// Responded keeps that the upstream responds now, with a status.
func (r *Record) Responded(status int) {
	r.upstream.took, r.upstream.status = time.Since(r.upstream.asked), status
}

// Began keeps that an answer begins, with a status.
func (r *Record) Began(status int) { r.answered.status = status }

// Sent keeps that the caller was sent so many bytes more.
func (r *Record) Sent(bytes int) { r.answered.bytes += int64(bytes) }

// Failed keeps why a request failed, and counts that.
func (r *Record) Failed(err error) {
	if a, ok := errors.AsType[*auth.Error](err); ok && r.identity.Issuer == "" {
		r.identity.Subject, r.identity.Issuer = a.Subject, a.Issuer // of a good token without a tenant
	}
	e := apierr.From(err)
	r.failed = failure{clipLog(err.Error()), reason(err), e.Limit}
	r.recorder.metrics.failure(e)
}

// End makes the records of the request, of whose answer so much was hidden, and whose
// query read so many samples. The audit record and the span are made at once; counting
// and the access line wait until the caller has the answer, unless the line is worth
// attention.
func (r *Record) End(hidden []byte, read int64) {
	r.recorder.metrics.inFlight.Dec()
	r.answered.took, r.upstream.hidden, r.upstream.read = time.Since(r.start), hidden, read
	r.complete()
	r.trace()
	r.recorder.Deferred(r.count, r.level() > zerolog.InfoLevel)
}

// count counts the request and writes its lines. It is what no answer waits for.
func (r *Record) count() {
	r.recorder.metrics.request(r)
	r.logLine()
	r.logSlow()
}
