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

	"github.com/promfence/promfence/proxy/answer"
	"github.com/promfence/promfence/proxy/scope"
)

// An exchange is one request and its answer. It is the ResponseWriter of everything
// below, so that status and bytes are those that the caller got.
type exchange struct {
	http.ResponseWriter
	*record
	span      *spanUnderWay // nil = not traced
	idHeader  [1]string     // the record's id, as a header's value
	origin    string        // the page that asks, for CORS
	docs      bool          // the answer is the same for all, and may be kept
	limits    Limits        // the identity's
	params    scope.Params  // the caller's own, for the row's filter
	forwarded time.Time
	answer    answerBody
	warnings  answer.Warnings
	warning   string // of promfence's own, to be added to the answer
	stall     stallGuard
	room      int64 // taken of the proxy's room for large bodies
	unread    bool  // the request's body, or a part of it
	gone      bool  // the caller left before an answer began
}

// WriteHeader takes the first status, and adds what is on every answer. Nothing of
// an answer leaves before the record of its decision is written.
func (x *exchange) WriteHeader(status int) {
	if x.answered.status != 0 {
		return
	}
	x.answered.status = status
	_ = x.awaitRecord() // where it must not fail, allow has asked
	x.proxy.commonHeaders(x)
	if x.unread {
		// net/http reads what is left of a body before it sends an answer, and that
		// is not worth waiting for.
		_ = http.NewResponseController(x.ResponseWriter).SetReadDeadline(time.Now().Add(time.Second))
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(b []byte) (int, error) {
	if x.answered.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	x.arm()
	n, err := x.ResponseWriter.Write(b)
	x.disarm()
	x.answered.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// ServeHTTP serves the query API.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handle(w, r, p.serve) }

// handle is the outermost layer: an id, a panic guard, and one log line.
func (p *Proxy) handle(w http.ResponseWriter, r *http.Request, serve func(*exchange, *http.Request) error) {
	x := &exchange{
		ResponseWriter: w, record: p.newRecord(r), origin: r.Header.Get("Origin"),
		stall: stallGuard{limit: p.stall, http2: r.ProtoMajor > 1}, unread: r.ContentLength != 0,
	}
	x.idHeader[0] = x.id
	if x.unread && r.Header["Expect"] != nil {
		x.arm() // for net/http's own "100 Continue"
		x.disarm()
	}
	p.metrics.inFlight.Inc()
	old := r.ProtoMajor == 1 && r.ProtoMinor == 0 // the guard below must not hold the request
	defer func() {
		p.metrics.inFlight.Dec()
		v := recover()
		if v != nil && v != http.ErrAbortHandler { //nolint:errorlint // net/http panics with this very value
			p.fail(x, internal(fmt.Errorf("panic: %v\n%s", v, debug.Stack())))
		}
		p.account(x)
		x.arm() // for what net/http still has to send
		if v != nil || x.gone {
			if old {
				reset(w)
			}
			// The answer, if any was begun, is incomplete: only a broken connection
			// tells the caller so. net/http would make an empty 200 of none.
			panic(http.ErrAbortHandler)
		}
	}()
	if p.spans != nil {
		x.span = newSpan(r.Header)
	}
	if err := serve(x, r); err != nil {
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
	x.failedWith(err)
	e := asAPIError(err)
	p.metrics.failure(e)
	switch {
	case x.answered.status != 0:
	case errors.Is(err, context.Canceled): // the caller has left
		x.answered.status, x.gone = e.Status, true
		_ = p.refuse(x, e) // nobody is there to be told otherwise
	default:
		told := p.refuse(x, e)
		if told != e {
			x.failedWith(told)
		}
		told.WithID(x.id).Write(x)
	}
}

// account makes the records of the request. The audit record and the span are made
// at once; counting and the access line wait until the caller has the answer, unless
// the line is worth attention.
func (p *Proxy) account(x *exchange) {
	r := x.record
	r.answered.took, r.upstream.hidden = time.Since(r.start), x.warnings.Hidden()
	p.complete(r)
	p.trace(x)
	p.deferred(r.count, r.level() > zerolog.InfoLevel)
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
var methods = [...]string{http.MethodGet, http.MethodPost, http.MethodHead, http.MethodOptions, http.MethodDelete}

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

// clip keeps a caller's long text out of our answers.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

func isWord(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
}
