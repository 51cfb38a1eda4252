package proxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

const (
	dialTimeout      = 5 * time.Second
	handshakeTimeout = 10 * time.Second
	idleTimeout      = 90 * time.Second
)

// A transport carries requests to the upstream by HTTP/1.1, each in the
// goroutine that asks. net/http's Transport hands every request to two others
// and back, which costs more than all that is done here to narrow it. What is
// read and written is net/http's work here too; ours are the connections.
//
// One that has served an answer serves another only if nothing is left of the
// one before, and nothing came since that nobody asked for: an answer to one
// tenant must not be taken for the next one's.
type transport struct {
	address string      // host:port
	tls     *tls.Config // nil = none
	timeout time.Duration
	most    int // connections kept idle

	mu     sync.Mutex
	idle   []*upstreamConn // in the order in which they became so
	reaper *time.Timer     // nil when none is idle
	closed bool
}

func newTransport(o Options) *transport {
	port := o.Upstream.Port()
	t := &transport{timeout: o.UpstreamTimeout, most: o.MaxIdleConnections}
	if o.Upstream.Scheme == "https" {
		t.tls = o.UpstreamTLS.Clone()
		if t.tls == nil {
			t.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		if t.tls.ServerName == "" {
			t.tls.ServerName = o.Upstream.Hostname()
		}
	}
	t.address = net.JoinHostPort(o.Upstream.Hostname(), cmp.Or(port, defaultPort(o.Upstream)))
	return t
}

// RoundTrip sends the scoped request of the exchange to which r belongs. It
// hands over a copy of the response, so that trailers, which arrive after the
// headers were narrowed, are filled into one that nobody reads.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	x, err := exchangeOf(r)
	if err != nil {
		return nil, err
	}
	resp, err := t.send(x.scoped)
	if err != nil {
		return nil, err
	}
	detached := *resp
	detached.Request, detached.Trailer = r, nil
	return &detached, nil
}

// send asks the upstream. An upstream may close an idle connection at the very
// moment in which a request is sent on it; since all that we send only reads, it
// is then sent again, on a new one.
func (t *transport) send(s scopedRequest) (*http.Response, error) {
	r := s.r
	if c := t.take(); c != nil {
		resp, err := c.ask(r)
		if err == nil || c.received > 0 || isTimeout(err) || r.Context().Err() != nil {
			return resp, err
		}
		if r.GetBody != nil {
			again := *r
			if again.Body, err = r.GetBody(); err != nil {
				return nil, err
			}
			r = &again
		}
	}
	c, err := t.dial(r.Context())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreached, err)
	}
	return c.ask(r)
}

// errUnreached is why there is no connection: a time limit on the way to one is
// another failure than an answer that does not come.
var errUnreached = errors.New("no connection")

// dial opens a connection; the upstream's name is looked up each time.
func (t *transport) dial(ctx context.Context) (*upstreamConn, error) {
	raw, err := (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, err
	}
	conn, records := raw, (*tlsRecords)(nil)
	if t.tls != nil {
		records = &tlsRecords{Conn: raw}
		ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
		defer cancel()
		secure := tls.Client(records, t.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = raw.Close() // it has carried nothing
			return nil, err
		}
		conn = secure
	}
	c, err := newUpstreamConn(t, raw, conn, records)
	if err != nil {
		_ = raw.Close() // likewise
	}
	return c, err
}

// take returns the connection that became idle last, or nil.
func (t *transport) take() *upstreamConn {
	for {
		c := t.pop()
		if c == nil || c.silent() {
			return c
		}
		_ = c.Close() // the upstream did, or said something unasked
	}
}

func (t *transport) pop() *upstreamConn {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := len(t.idle) - 1
	if last < 0 {
		return nil
	}
	c := t.idle[last]
	t.idle[last] = nil
	t.idle = t.idle[:last]
	return c
}

// put keeps a connection for another request, if there is room.
func (t *transport) put(c *upstreamConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || len(t.idle) >= t.most {
		_ = c.Close() // it has served
		return
	}
	c.since = time.Now()
	t.idle = append(t.idle, c)
	if t.reaper == nil {
		t.reaper = time.AfterFunc(idleTimeout, t.reap)
	}
}

// reap closes what has been idle for too long.
func (t *transport) reap() {
	t.mu.Lock()
	defer t.mu.Unlock()
	fresh := slices.IndexFunc(t.idle, func(c *upstreamConn) bool { return time.Since(c.since) < idleTimeout })
	if fresh < 0 {
		fresh, t.reaper = len(t.idle), nil
	} else {
		t.reaper.Reset(idleTimeout - time.Since(t.idle[fresh].since))
	}
	for _, c := range t.idle[:fresh] {
		_ = c.Close() // nobody has it
	}
	t.idle = slices.Delete(t.idle, 0, fresh)
}

// close gives up the idle connections, and those under way when they are done.
func (t *transport) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.reaper != nil {
		t.reaper.Stop()
	}
	for _, c := range t.idle {
		_ = c.Close() // nobody has it
	}
	t.idle = nil
}

func defaultPort(u *url.URL) string {
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}
