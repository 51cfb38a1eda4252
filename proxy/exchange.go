package proxy

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/promfence/promfence/auth"
)

// An exchange is one request and its answer: what the access line tells of it.
// It is the ResponseWriter of everything below, so that status and bytes are
// those that the caller got.
type exchange struct {
	http.ResponseWriter
	proxy     *Proxy
	id        string
	idHeader  [1]string // the same, as a header's value
	origin    string    // the page that asks, for CORS
	docs      bool      // the answer is the same for all, and may be kept
	method    string
	start     time.Time
	took      time.Duration // until it was accounted for
	route     *Route
	identity  auth.Identity
	matcher   *tenantMatcher // the identity's tenants', once it is proven
	params    params         // the caller's own, for the row's filter
	scoped    scopedRequest  // what goes to the upstream
	forwarded time.Time
	upstream  time.Duration // to the upstream's response header
	answer    answerBody
	warnings  warningReader
	record    record
	span      *Span // nil = not traced
	status    int
	bytes     int64
	stall     time.Duration // how long the caller may take nothing
	armed     time.Time     // when that began last
	http2     bool
	room      int64 // taken of the proxy's room for large bodies
	unread    bool  // the request's body, or a part of it
	gone      bool  // the caller left before an answer began
	err       error // why the answer is what it is
}

// exchangeKey finds the exchange on ReverseProxy's way to the transport and back.
type exchangeKey struct{}

func exchangeOf(r *http.Request) (*exchange, error) {
	x, ok := r.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		return nil, internal(errors.New("a request without its exchange"))
	}
	return x, nil
}

// WriteHeader takes the first status, and adds what is on every answer.
func (x *exchange) WriteHeader(status int) {
	if x.status != 0 {
		return
	}
	x.status = status
	x.proxy.commonHeaders(x)
	if x.unread {
		// net/http reads what is left of a body before it sends an answer, and that
		// is not worth waiting for.
		_ = http.NewResponseController(x.ResponseWriter).SetReadDeadline(time.Now().Add(time.Second))
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	x.arm()
	n, err := x.ResponseWriter.Write(b)
	x.disarm()
	x.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// ServeHTTP is the outermost layer: an id, a panic guard, and one log line.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{
		ResponseWriter: w, proxy: p, start: time.Now(), id: requestID(r), origin: r.Header.Get("Origin"),
		method: methodName(r.Method), stall: p.stall, http2: r.ProtoMajor > 1, unread: r.ContentLength != 0,
	}
	x.idHeader[0] = x.id
	if x.unread && r.Header["Expect"] != nil {
		x.arm() // for net/http's own "100 Continue"
		x.disarm()
	}
	p.metrics.inFlight.Inc()
	defer func() {
		p.metrics.inFlight.Dec()
		v := recover()
		if v != nil && v != http.ErrAbortHandler { //nolint:errorlint // net/http panics with this very value
			p.fail(x, internal(fmt.Errorf("panic: %v\n%s", v, debug.Stack())))
		}
		p.account(x)
		x.arm() // for what net/http still has to send
		if v != nil || x.gone {
			// The answer, if any was begun, is incomplete: only a broken connection
			// tells the caller so. net/http would make an empty 200 of none.
			panic(http.ErrAbortHandler)
		}
	}()
	if p.spans != nil {
		x.span = newSpan(r.Header)
	}
	if err := p.serve(x, r); err != nil {
		p.fail(x, err)
	}
}

// commonHeaders are on every answer, whoever makes it.
func (p *Proxy) commonHeaders(x *exchange) {
	h := x.Header()
	h["X-Request-Id"] = x.idHeader[:]
	if !x.docs {
		h["Cache-Control"] = p.noStore
		h["Vary"] = p.vary
	}
	p.cors.allow(h, x.origin)
}

// fail answers with an error, unless an answer has begun.
func (p *Proxy) fail(x *exchange, err error) {
	x.err = err
	e := asAPIError(err)
	p.metrics.failure(e)
	switch {
	case x.status != 0:
	case errors.Is(err, context.Canceled): // the caller has left
		x.status, x.gone = e.Status, true
	default:
		e.Write(x)
	}
}

// routeName is how metrics, logs and traces call the row.
func (x *exchange) routeName() string {
	if x.route == nil {
		return "none"
	}
	return x.route.full
}

// account makes the records of the request: at once those that must be there
// before its caller has the answer. The others wait until it has it, unless they
// are worth attention.
func (p *Proxy) account(x *exchange) {
	x.took = time.Since(x.start)
	p.audit(x)
	p.trace(x)
	p.later(x.tell, x.level() > zerolog.InfoLevel)
}

// tell counts the request and writes its access line.
func (x *exchange) tell() {
	x.proxy.metrics.request(x)
	x.proxy.logLine(x)
}

// logLine writes the access line.
func (p *Proxy) logLine(x *exchange) {
	e := p.log.WithLevel(x.level())
	x.describe(e)
	e.Int("status", x.status).Dur("ms", x.took).Int64("bytes", x.bytes)
	if x.upstream > 0 {
		e.Dur("upstream_ms", x.upstream)
	}
	if hidden := x.warnings.hidden; len(hidden) > 0 {
		e.Bytes("upstream_warning", hidden)
	}
	if x.err != nil {
		e.Str("error", clipLog(x.err.Error()))
	}
	e.Msg("request")
}

// level keeps probes that find what they hope for out of the log: there are two
// every few seconds. That promfence is not ready is no error of a request.
func (x *exchange) level() zerolog.Level {
	switch probe := strings.HasPrefix(x.routeName(), "/-/"); {
	case probe && x.status < http.StatusBadRequest:
		return zerolog.DebugLevel
	case !probe && x.status >= http.StatusInternalServerError:
		return zerolog.ErrorLevel
	default:
		return zerolog.InfoLevel
	}
}

// clipLog bounds what an upstream's or a caller's text may add to the log.
func clipLog(s string) string {
	if len(s) > 4096 {
		return s[:4096] + "…"
	}
	return s
}

// requestID takes the caller's X-Request-Id if it is harmless, or makes one.
func requestID(r *http.Request) string {
	if v := r.Header["X-Request-Id"]; len(v) == 1 && harmlessID(v[0]) {
		return strings.Clone(v[0])
	}
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails, by its documentation
	var text [16]byte
	base64.RawURLEncoding.Encode(text[:], b[:])
	return string(text[:])
}

// methods are those that clients of this API send.
var methods = [...]string{http.MethodGet, http.MethodPost, http.MethodHead, http.MethodOptions}

// methodName is a method to keep: net/http's is a part of the request line, all
// of which a label, a span or a line that waits would keep.
func methodName(sent string) string {
	for _, m := range methods {
		if m == sent {
			return m
		}
	}
	return strings.Clone(clip(sent))
}

func harmlessID(s string) bool {
	for i := range len(s) {
		if !isWord(s[i]) && s[i] != '-' && s[i] != '.' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// statusText is a metric label: a bounded set.
func statusText(status int) string {
	if status < 100 || status > 599 {
		return "other"
	}
	return strconv.Itoa(status)
}
