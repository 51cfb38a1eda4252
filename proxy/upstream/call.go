package upstream

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/scope"
)

// A Call is one request to the upstream: what was narrowed, and where it goes.
type Call struct {
	Request scope.Request     // the zero value is refused
	Streams bool              // the caller reads the answer as it comes; else a filter reads it, or promfence
	Method  string            // with POST the parameters are a form in the body
	Path    string            // below the path of the upstream's URL, escaped
	ID      []string          // the one X-Request-Id
	Caller  http.Header       // of whose headers few pass; nil for a question of promfence's own
	Formats bool              // the answer comes as the caller's Accept asks
	Span    trace.SpanContext // the parent of what the upstream records; zero = the caller's own
}

var (
	errUnscoped   = errors.New("a call that nobody narrowed")
	errUnseen     = errors.New("a silence would be changed unseen")
	errUnfiltered = errors.New("a call whose answer needs a filter, and would stream")
	errNoTenant   = errors.New("a call without a tenant for the upstream's tenant header")
)

// forwardedHeaders are the request headers that reach the upstream as the
// caller sent them; what is not named here the upstream does not see. Accept is
// forwarded where the row's answers come in several formats.
var forwardedHeaders = []string{"Cache-Control", "User-Agent", "Traceparent", "Tracestate", "X-Prometheus-Use-Start-Timestamps"}

// maxHeaderValue bounds a forwarded header.
const maxHeaderValue = 4 << 10

// Constant values of headers.
var (
	formType    = []string{"application/x-www-form-urlencoded"}
	jsonType    = []string{"application/json"}
	readType    = []string{"application/x-protobuf"}
	readVersion = []string{"0.1.0"}
	snappy      = []string{"snappy"}
	zipped      = []string{"gzip"}
	plain       = []string{"identity"}
)

// request spells a call afresh. It is the only place that makes a request to the
// upstream, and nothing of the caller's is in it but what Call and the list above name.
func (c *Client) request(ctx context.Context, call Call) (*http.Request, error) {
	switch {
	case call.Request.IsZero():
		return nil, apierr.Internal(errUnscoped)
	case call.Request.Unseen() != "":
		return nil, apierr.Internal(errUnseen)
	case call.Request.NeedsFilter() && call.Streams:
		return nil, apierr.Internal(errUnfiltered)
	}
	out := (&http.Request{
		Method: call.Method, URL: &url.URL{Scheme: c.target.Scheme, Host: c.target.Host}, Host: c.target.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header, 8), // a map of more is twice as large, and rarely needed
	}).WithContext(ctx)
	out.URL.Path = c.prefix + call.Path
	if c.prefix != "" || strings.Contains(call.Path, "%") {
		path, err := url.PathUnescape(out.URL.Path)
		if err != nil {
			return nil, apierr.Internal(err)
		}
		out.URL.Path, out.URL.RawPath = path, out.URL.Path
	}
	call.setCallersHeaders(out.Header)
	if err := c.setOwnHeaders(out.Header, call); err != nil {
		return nil, err
	}
	call.setContent(out)
	return out, nil
}

// kind is that of the row whose call it is.
func (call Call) kind() rowKind {
	if call.Streams {
		return streamed
	}
	return filtered
}

// setCallersHeaders copies what may pass of the caller's headers.
func (call Call) setCallersHeaders(h http.Header) {
	for _, name := range forwardedHeaders {
		if v := call.Caller[name]; len(v) > 0 && len(v[0]) <= maxHeaderValue {
			h[name] = v[:1:1]
		}
	}
	if accept := call.Caller["Accept"]; call.Formats && len(accept) > 0 && len(accept[0]) <= maxHeaderValue {
		h["Accept"] = accept[:1:1]
	}
	h["Accept-Encoding"] = plain // a filter's answer is small, and read whole
	if call.Streams && takesGzip(call.Caller) {
		h["Accept-Encoding"] = zipped
	}
	call.propagate(h)
}

// setOwnHeaders says what is asked and who promfence is, and names the tenants to
// an upstream that wants to know. The authenticator has refused names that this
// header cannot carry; that there is none, which many servers take for all, is
// looked at here, too.
func (c *Client) setOwnHeaders(h http.Header, call Call) error {
	if h["User-Agent"] == nil {
		h["User-Agent"] = nil // present and empty: net/http does not add its own
	}
	h["X-Request-Id"] = call.ID
	maps.Copy(h, c.header)
	if c.labelPolicy {
		_, others, err := scope.TenantHeaders(call.Request.Labels())
		if err != nil {
			return err
		}
		maps.Copy(h, others)
	}
	if c.tenantHeader == "" {
		return nil
	}
	names, all := call.Request.Labels().Tenants()
	if all || len(names) == 0 || names[0] == "" {
		return apierr.Internal(errNoTenant)
	}
	h[c.tenantHeader] = []string{strings.Join(names, "|")}
	return nil
}

// setContent adds the parameters, or the body of a remote-read request or a silence.
func (call Call) setContent(out *http.Request) {
	if body, ok := call.Request.Body(); ok {
		setBody(out, string(body))
		if call.Request.IsSilence() {
			out.Header["Content-Type"] = jsonType
			return
		}
		out.Header["Content-Type"], out.Header["Content-Encoding"] = readType, snappy
		out.Header["X-Prometheus-Remote-Read-Version"] = readVersion
		return
	}
	form := call.Request.Form()
	if call.Method != http.MethodPost {
		out.URL.RawQuery = form
		return
	}
	setBody(out, form)
	out.Header["Content-Type"] = formType
}

// A content is a request's body, which can be sent again.
type content struct{ strings.Reader }

func (*content) Close() error { return nil }

func setBody(out *http.Request, text string) {
	body := &content{}
	body.Reset(text)
	out.Body, out.ContentLength = body, int64(len(text))
}

// takesGzip reports whether a caller takes gzip. What else they take is not asked
// for: gzip and plain can be read on the way.
func takesGzip(h http.Header) bool {
	for _, line := range h["Accept-Encoding"] {
		for coding := range strings.SplitSeq(line, ",") {
			name, q, _ := strings.Cut(coding, ";")
			if strings.EqualFold(strings.TrimSpace(name), "gzip") && !zeroQuality(q) {
				return true
			}
		}
	}
	return false
}

func zeroQuality(q string) bool {
	q = strings.ReplaceAll(q, " ", "")
	return strings.HasPrefix(q, "q=0") && strings.Trim(q, "q=0.") == ""
}
