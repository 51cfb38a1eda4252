// Package upstream holds the only connections to the upstream.
//
// It stops one threat: an answer that reaches somebody else than the caller whose
// request it answers. HTTP/1.1 does not say which request an answer belongs to;
// only its place on the connection does. So a connection
//
//   - carries one request at a time, and the next one only after a whole answer;
//   - is looked at before it is used again: if the upstream has closed it, another
//     one takes its place; if the upstream has sent what nobody asked for, it is
//     closed, together with those that became idle in the second before;
//   - belongs to one kind of row for its whole life: the raw body of an answer that
//     a filter reads cannot answer a request whose answer streams to its caller.
//
// What is left: an upstream that answers one request twice, the second time
// between that look and its answer to the next request of the same kind, is believed.
//
// A request is sent again only if the upstream cannot have read it: the connection
// was closed while it was idle, or failed before the whole request was written. A
// query that its upstream died of is not sent to the next one.
//
// What is sent is a [Call]: its request was narrowed, or this package refuses it. Only
// here are requests to the upstream made, and only here is there a ReverseProxy.
package upstream

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/socket"
)

const (
	dialTimeout      = 5 * time.Second
	handshakeTimeout = 10 * time.Second
)

// Options are what a Client is made of.
type Options struct {
	URL                *url.URL      // http or https, host and an optional path prefix; or unix and a socket's path
	Header             http.Header   // set on every request: promfence's own credentials
	TenantHeader       string        // names the tenants of every request; empty = none
	LabelPolicy        bool          // says in a header what of their data may be seen, by other labels
	Timeout            time.Duration // to the response header, and between parts of the body; 0 = none
	TLS                *tls.Config   // for https; nil = Go's defaults
	MaxIdleConnections int           // kept open, of all kinds together; 0 = no connection serves twice
}

// A rowKind is a kind of rows, which has connections of its own.
type rowKind int

// The kinds differ in who reads the raw answer: one of promfence's filters, or the caller.
const (
	filtered rowKind = iota
	streamed
	kinds
)

// errUnreached is why there is no connection: a time limit on the way to one is
// another failure than an answer that does not come.
var errUnreached = errors.New("no connection")

// A Client sends requests to the upstream by HTTP/1.1, each in the goroutine that
// asks. It is safe for concurrent use.
//
// It exists for two figures, measured in one run on the same code: in CPU time per
// request, promfence with net/http's Transport costs 1.20 × a bare tuned
// httputil.ReverseProxy, and with these connections 0.96. net/http hands every
// request to two other goroutines and back. Reading and writing messages is
// net/http's work here too.
type Client struct {
	network string      // tcp or unix
	address string      // host:port, or a socket's path
	tls     *tls.Config // nil = none
	timeout time.Duration
	dialing time.Duration // how long a connection may take to come about
	pool    pool

	target       *url.URL // scheme and host
	prefix       string   // escaped, without a trailing slash
	header       http.Header
	tenantHeader string
	labelPolicy  bool

	transports [kinds]transport
	buffers    bufferPool
}

// New makes a Client. It connects when there is something to send.
func New(o Options) *Client {
	c := &Client{
		network: "tcp", timeout: o.Timeout, dialing: dialTimeout, pool: pool{most: o.MaxIdleConnections},
		target: o.URL, prefix: strings.TrimRight(o.URL.EscapedPath(), "/"),
		header: o.Header, tenantHeader: http.CanonicalHeaderKey(o.TenantHeader), labelPolicy: o.LabelPolicy,
	}
	for kind := range c.transports {
		c.transports[kind] = transport{c, rowKind(kind)}
	}
	if o.URL.Scheme == "unix" { // the path is the socket's
		c.network, c.address = "unix", o.URL.Path
		c.target, c.prefix = &url.URL{Scheme: "http", Host: "localhost"}, ""
		return c
	}
	port := "80"
	if o.URL.Scheme == "https" {
		port = "443"
		c.tls = o.TLS.Clone()
		if c.tls == nil {
			c.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		c.tls.ServerName = cmp.Or(c.tls.ServerName, o.URL.Hostname())
		c.tls.NextProtos = []string{"http/1.1"}
	}
	c.address = net.JoinHostPort(o.URL.Hostname(), cmp.Or(o.URL.Port(), port))
	return c
}

// send asks the upstream. The answer's body gives the connection back, or closes it.
func (c *Client) send(r *http.Request, kind rowKind) (*http.Response, error) {
	if idle := c.pool.take(kind); idle != nil {
		resp, err := idle.ask(r)
		if err == nil || idle.whole || idle.received > 0 || isTimeout(err) || r.Context().Err() != nil {
			return resp, err
		}
		if sent, ok := r.Body.(io.Seeker); ok {
			if _, err := sent.Seek(0, io.SeekStart); err != nil {
				return nil, err
			}
		}
	}
	fresh, err := c.dial(r.Context(), kind)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreached, err)
	}
	return fresh.ask(r)
}

// Close gives up the idle connections at once, and those in use when they are done.
func (c *Client) Close() { c.pool.close() }

// dial opens a connection; the upstream's name is looked up each time.
func (c *Client) dial(ctx context.Context, kind rowKind) (*conn, error) {
	raw, err := (&net.Dialer{Timeout: c.dialing, KeepAliveConfig: keepAlive, Control: limitSilence}).DialContext(ctx, c.network, c.address)
	if err != nil {
		return nil, err
	}
	below := &socket.Conn{Conn: raw}
	over, records := net.Conn(below), (*tlsRecords)(nil)
	if c.tls != nil {
		records = &tlsRecords{Conn: below}
		ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
		defer cancel()
		secure := tls.Client(records, c.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = raw.Close() // it has carried nothing
			return nil, err
		}
		over = secure
	}
	return newConn(c, kind, below, over, records), nil
}

// isTimeout reports whether an error is a time limit that has passed.
func isTimeout(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}

// Failure says what went wrong at the upstream, or on the way, in words that name no
// address.
func Failure(err error) error {
	if e, ok := errors.AsType[*apierr.Error](err); ok {
		return e
	}
	var e *apierr.Error
	switch {
	case errors.Is(err, context.Canceled):
		e = &apierr.Error{Status: statusClientGone, Type: "canceled", Message: "the request was canceled"}
	case isTimeout(err) && !errors.Is(err, errUnreached):
		e = apierr.New(http.StatusGatewayTimeout, "the upstream did not answer in time")
	default:
		e = apierr.New(http.StatusBadGateway, "the upstream could not be reached")
	}
	e.Err = err
	return e
}

// statusClientGone is what the log says of a caller who left, when nobody reads
// it, and what Prometheus says of a query that was canceled.
const statusClientGone = 499
