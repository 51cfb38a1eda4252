package proxy

import (
	"context"
	"errors"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/promfence/promfence/proxy/answer"
	"github.com/promfence/promfence/proxy/scope"
	"github.com/promfence/promfence/proxy/upstream"
)

// A scopedRequest is what the upstream is sent of a scope.Request.
type scopedRequest struct {
	r *http.Request
}

// forward is a caller's only way to the upstream. ReverseProxy gets a request that
// holds nothing: what it copies, adds or passes on of one (X-Forwarded-For,
// upgrades, informational answers) has nothing to work on, and the transport
// sends the scoped request as it was spelled.
func (p *Proxy) forward(x *exchange, s scopedRequest) {
	x.forwarded, x.scoped = time.Now(), s
	shell := &http.Request{URL: p.target, Header: noAgent}
	p.reverse.ServeHTTP(x, shell.WithContext(context.WithValue(s.r.Context(), exchangeKey{}, x)))
}

// noAgent keeps ReverseProxy from adding one.
var noAgent = http.Header{"User-Agent": nil}

// formType is what a POST to the upstream carries.
var formType = []string{form}

// forwardedHeaders are the request headers that reach the upstream as the
// caller sent them; what is not named here the upstream does not see. Accept is
// forwarded where the row's answers come in several formats.
var forwardedHeaders = []string{"Cache-Control", "User-Agent", "Traceparent", "Tracestate", "X-Prometheus-Use-Start-Timestamps"}

// spell spells the upstream request of a caller's.
func (p *Proxy) spell(x *exchange, r *http.Request, labelName string, req scope.Request) scopedRequest {
	out := p.upstreamRequest(x, r, labelName)
	if body, ok := req.Body(); ok {
		setBody(out, string(body))
		out.Header.Set("Content-Type", protobuf)
		out.Header.Set("Content-Encoding", "snappy")
		out.Header.Set("X-Prometheus-Remote-Read-Version", "0.1.0")
		return scopedRequest{out}
	}
	encoded := req.Form()
	if e := p.log.Debug(); e.Enabled() {
		e.Str("req_id", x.id).Str("params", clipLog(encoded)).Msg("scoped")
	}
	if r.Method == http.MethodPost {
		setBody(out, encoded)
		out.Header["Content-Type"] = formType
	} else {
		out.URL.RawQuery = encoded
	}
	return scopedRequest{out}
}

// ownRequest spells a request on behalf of an exchange's tenants, in plain
// encoding. Its only parameter is the tenants' own selector; where a path has none,
// selector is empty, and the answer must be read through a filter.
func (p *Proxy) ownRequest(ctx context.Context, x *exchange, path, selector string) (scopedRequest, error) {
	req, err := scope.Everything(x.matcher.enforcer, selector)
	if selector == "" {
		req, err = scope.LeaveToFilter(nil).Narrow(scope.Input{Enforcer: x.matcher.enforcer})
	}
	if err != nil {
		return scopedRequest{}, err
	}
	u := url.URL{Scheme: p.target.Scheme, Host: p.target.Host}
	u.RawPath = p.prefix + apiBase + path
	u.Path, u.RawQuery = unescaped(u.RawPath), req.Form()
	out, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return scopedRequest{}, err
	}
	out.Header["Accept-Encoding"] = plain
	p.setOwnHeaders(out.Header, x)
	return scopedRequest{out}, nil
}

// upstreamRequest spells what all rows share: the path from the row, the
// headers from the allow list.
func (p *Proxy) upstreamRequest(x *exchange, r *http.Request, labelName string) *http.Request {
	out := (&http.Request{
		Method: r.Method, URL: &url.URL{Scheme: p.target.Scheme, Host: p.target.Host}, Host: p.target.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header, 8), // a map of more is twice as large, and rarely needed
	}).WithContext(r.Context())
	out.URL.Path = p.prefix + x.route.upstreamPath(labelName)
	if p.prefix != "" || labelName != "" { // they are escaped
		out.URL.Path, out.URL.RawPath = unescaped(out.URL.Path), out.URL.Path
	}
	for _, name := range forwardedHeaders {
		if v := r.Header[name]; len(v) > 0 && len(v[0]) <= maxHeaderValue {
			out.Header[name] = v[:1:1]
		}
	}
	if accept := r.Header["Accept"]; x.route.Formats && len(accept) > 0 && len(accept[0]) <= maxHeaderValue {
		out.Header["Accept"] = accept[:1:1]
	}
	encoding := acceptEncoding(r.Header)
	if x.route.Guard.filter != nil {
		encoding = plain // a filter's answer is small, and read whole
	}
	out.Header["Accept-Encoding"] = encoding
	x.span.propagate(r.Header, out.Header)
	p.setOwnHeaders(out.Header, x)
	return out
}

// setOwnHeaders says what is asked and who promfence is, and names the tenants to
// an upstream that wants to know. The authenticator has refused names that this
// header cannot carry.
func (p *Proxy) setOwnHeaders(h http.Header, x *exchange) {
	if h["User-Agent"] == nil {
		h["User-Agent"] = nil // present and empty: net/http does not add its own
	}
	h["X-Request-Id"] = x.idHeader[:]
	maps.Copy(h, p.ownHeader)
	if p.tenantHeader != "" {
		h.Set(p.tenantHeader, x.matcher.names)
	}
}

// maxHeaderValue bounds a forwarded header.
const maxHeaderValue = 4 << 10

func unescaped(path string) string {
	s, err := url.PathUnescape(path)
	if err != nil { // it was escaped by us
		panic(err)
	}
	return s
}

func setBody(out *http.Request, body string) {
	out.ContentLength = int64(len(body))
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
	out.Body, _ = out.GetBody()
}

// A transport is how ReverseProxy reaches the upstream.
type transport struct{ client *upstream.Client }

// RoundTrip sends the scoped request of the exchange to which r belongs. It
// hands over a copy of the response, so that trailers, which arrive after the
// headers were narrowed, are filled into one that nobody reads.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	x, err := exchangeOf(r)
	if err != nil {
		return nil, err
	}
	kind := upstream.Streamed
	if x.route.Guard.filter != nil {
		kind = upstream.Filtered
	}
	resp, err := t.client.Send(x.scoped.r, kind)
	if err != nil {
		return nil, err
	}
	detached := *resp
	detached.Request, detached.Trailer = r, nil
	return &detached, nil
}

// newReverse makes the only ReverseProxy.
func (p *Proxy) newReverse() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        func(*httputil.ProxyRequest) {}, // one is wanted; the scoped request is ready
		Transport:      transport{p.upstream},
		BufferPool:     &bufferPool{},
		ModifyResponse: p.handOver,
		ErrorLog:       log.New(io.Discard, "", 0), // the access line has it all
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			x, ok := w.(*exchange)
			if !ok { // forward hands over nothing else
				panic(http.ErrAbortHandler)
			}
			p.fail(x, upstreamError(err))
		},
	}
}

// handOver narrows an answer and gives the caller those of its headers that are
// on the list. ReverseProxy, which would copy all, finds none.
func (p *Proxy) handOver(resp *http.Response) error {
	x, err := exchangeOf(resp.Request)
	if err != nil {
		return err
	}
	if err := p.narrow(resp, x); err != nil {
		return err
	}
	if x.route.Guard.filter == nil { // a filtered answer is ready as far as it is held
		if err := answer.Hold(resp); err != nil {
			return cutShort(err)
		}
	}
	h := x.Header()
	for _, name := range answerHeaders {
		if v := resp.Header[name]; len(v) > 0 {
			h[name] = v[:1:1]
		}
	}
	if h["Content-Type"] == nil && resp.StatusCode != http.StatusNoContent {
		h["Content-Type"] = answer.Unnamed(x.route.Formats) // net/http would guess, and might find HTML
	}
	h["X-Content-Type-Options"] = nosniff
	resp.Header = nil
	return nil
}

// cutShort is an answer that broke off before its caller got anything of it.
func cutShort(err error) error {
	var e *apiError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, answer.ErrUnfiltered):
		return unfilterable(err)
	case errors.Is(err, errStalled):
		e = failure(http.StatusGatewayTimeout, "the upstream stopped in the middle of its answer")
	default:
		e = failure(http.StatusBadGateway, "the upstream broke off its answer")
	}
	e.Err = err
	return e
}

// upstreamError says what went wrong in words that name no address.
func upstreamError(err error) error {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e
	}
	var e *apiError
	switch {
	case errors.Is(err, context.Canceled):
		e = &apiError{Status: statusClientGone, Type: "canceled", Message: "the request was canceled"}
	case upstream.IsTimeout(err) && !errors.Is(err, upstream.ErrUnreached):
		e = failure(http.StatusGatewayTimeout, "the upstream did not answer in time")
	default:
		e = failure(http.StatusBadGateway, "the upstream could not be reached")
	}
	e.Err = err
	return e
}

// statusClientGone is what the log says of a caller who left, when nobody reads
// it, and what Prometheus says of a query that was canceled.
const statusClientGone = 499
