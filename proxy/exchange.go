package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/promfence/promfence/proxy/answer"
	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/body"
	"github.com/promfence/promfence/proxy/promql"
	"github.com/promfence/promfence/proxy/record"
	"github.com/promfence/promfence/proxy/scope"
)

// An exchange is one request and its answer. It is the ResponseWriter of everything
// below, so that status and bytes are those that the caller got.
type exchange struct {
	http.ResponseWriter
	proxy    *Proxy
	record   *record.Record
	route    *Route           // nil = none was found
	enforcer *promql.Enforcer // of the caller's label policy, once it is proven
	silence  string           // the id of the silence that the request is about
	idHeader [1]string        // the request's id, as a header's value
	origin   string           // the page that asks, for CORS
	limits   Limits           // the identity's
	params   scope.Params     // the caller's own, for the row's filter
	answer   answerBody
	warnings answer.Warnings
	warning  string             // of promfence's own, to be added to the answer
	limited  []answer.SentLimit // what the upstream's engine was asked to enforce
	stall    stallGuard
	body     body.Body
	gone     bool // the caller left before an answer began
}

// WriteHeader takes the first status, and adds what is on every answer. Nothing of
// an answer leaves before the record of its decision is written.
func (x *exchange) WriteHeader(status int) {
	if x.record.Status() != 0 {
		return
	}
	x.record.Began(status)
	_ = x.record.Await() // where there must be one, Allow has waited for it
	x.proxy.commonHeaders(x)
	if x.body.Unread() {
		// net/http reads what is left of a body before it sends an answer, and that
		// is not worth waiting for.
		_ = http.NewResponseController(x.ResponseWriter).SetReadDeadline(time.Now().Add(time.Second))
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(b []byte) (int, error) {
	if x.record.Status() == 0 {
		x.WriteHeader(http.StatusOK)
	}
	x.arm()
	n, err := x.ResponseWriter.Write(b)
	x.disarm()
	x.record.Sent(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// ServeHTTP serves the query API.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handle(w, r, p.serve) }

// handle is the outermost layer: an id, a panic guard, and one log line.
func (p *Proxy) handle(w http.ResponseWriter, r *http.Request, serve func(*exchange, *http.Request) error) {
	x := &exchange{
		ResponseWriter: w, proxy: p, record: p.recorder.Begin(r), origin: r.Header.Get("Origin"),
		stall: stallGuard{limit: p.stall, http2: r.ProtoMajor > 1}, body: p.bodies.Of(w, r),
	}
	x.idHeader[0] = x.record.ID()
	if x.body.Unread() && r.Header["Expect"] != nil {
		x.arm() // for net/http's own "100 Continue"
		x.disarm()
	}
	old := r.ProtoMajor == 1 && r.ProtoMinor == 0 // the guard below must not hold the request
	defer func() {
		v := recover()
		if v != nil && v != http.ErrAbortHandler { //nolint:errorlint // net/http panics with this very value
			p.fail(x, apierr.Internal(fmt.Errorf("panic: %v\n%s", v, debug.Stack())))
		}
		x.record.End(x.warnings.Hidden(), x.warnings.Samples())
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
	if err := serve(x, r); err != nil {
		p.fail(x, err)
	}
}

// commonHeaders are on every answer, whoever makes it.
func (p *Proxy) commonHeaders(x *exchange) {
	h := x.Header()
	h["X-Request-Id"] = x.idHeader[:]
	if x.route == nil || !x.route.static {
		h["Cache-Control"] = p.noStore
		h["Vary"] = p.vary
	}
	p.cors.Allow(h, x.origin)
}

// fail answers with an error, unless an answer has begun.
func (p *Proxy) fail(x *exchange, err error) {
	x.record.Failed(err)
	e := apierr.From(err)
	switch {
	case x.record.Status() != 0:
	case errors.Is(err, context.Canceled): // the caller has left
		x.record.Began(e.Status)
		x.gone = true
		_ = x.record.Refuse(e) // nobody is there to be told otherwise
	default:
		told := x.record.Refuse(e)
		if told != e {
			x.record.Failed(told)
		}
		told.WithID(x.record.ID()).Write(x)
	}
}

// asks keeps which row the request is for.
func (x *exchange) asks(row *Route) {
	x.route = row
	if row != nil {
		x.record.Route(row.full, row.Guard.writes)
	}
}
