// Package listener accepts connections from strangers.
//
// It stops one threat: somebody without a token who makes the process hold
// memory, connections or time until it can serve nobody. Everything that net/http
// holds before a request is authenticated is bounded here:
//
//   - the bytes and the lines of a header, counted as they arrive (http1.go).
//     net/http counts bytes only, and keeps an entry of a map for each line;
//   - the connections. At the limit the one that has been without a request for
//     the longest time is closed for a new one (slots.go);
//   - the streams of HTTP/2, and the headers and bodies of one connection's
//     streams together (http2.go);
//   - the time of a TLS handshake (tls.go).
//
// What is over a bound is refused or closed. What the package cannot tell apart
// counts as a header: a mistake here refuses requests and never admits more.
package listener

import (
	"context"
	"crypto/tls"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// MaxHeaderLines is how many lines a header may have after the request line.
const MaxHeaderLines = 200

// Options are what a Listener is made of. The bounds must be positive.
type Options struct {
	MaxConnections int
	MaxHeaderBytes int         // of the request line and all header lines
	TLS            *tls.Config // nil = plain TCP
	Log            *log.Logger // takes handshakes that failed; nil = nobody does
	Metrics        *Metrics    // nil = counted nowhere
}

// A Listener is a net.Listener for [http.Server.Serve]. Its connections do their
// part only with the server's hooks: see [Listener.Guard].
type Listener struct {
	net.Listener
	options  Options
	slots    *slots
	requests atomic.Int64 // under way over HTTP/2

	handshakes sync.Once
	shaken     chan accepted
	closed     chan struct{}
	close      sync.Once
}

type accepted struct {
	conn net.Conn
	err  error
}

// New wraps a listener of plain TCP connections.
func New(inner net.Listener, o Options) *Listener {
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return &Listener{
		Listener: inner, options: o, slots: newSlots(o.MaxConnections, o.Metrics),
		shaken: make(chan accepted), closed: make(chan struct{}),
	}
}

// Guard sets the hooks of the server that will serve l, and its bounds on what
// net/http itself holds. The server must not be in use yet.
func (l *Listener) Guard(s *http.Server) {
	s.Handler = l.handler(s.Handler)
	s.MaxHeaderBytes = l.options.MaxHeaderBytes
	s.ConnState = func(c net.Conn, state http.ConnState) {
		s := slotOf(c)
		if s == nil { // not one of ours
			return
		}
		switch state {
		case http.StateActive:
			l.slots.busy(s)
		case http.StateIdle:
			if c := http1Of(c); c != nil {
				c.expectHeader()
			}
			l.slots.idle(s)
		case http.StateNew, http.StateClosed, http.StateHijacked: // Accept and Close have seen to it
		}
	}
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if plain, ok := c.(*conn); ok {
			ctx = plain.slot.watch(ctx)
		}
		return context.WithValue(ctx, connKey{}, c)
	}
	boundHTTP2(s)
}

// connKey finds a request's connection in its context.
type connKey struct{}

// Accept returns the next connection that has a slot and, with TLS, has done its
// handshake.
func (l *Listener) Accept() (net.Conn, error) {
	if l.options.TLS != nil {
		return l.acceptTLS()
	}
	s, err := l.admit()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: s, slot: s, limits: l.options, mayUpgrade: true}, nil
}

// admit accepts a connection and finds a slot for it.
func (l *Listener) admit() (*slot, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.slots.acquire(raw)
}

// Close ends waiting for connections and for slots. It closes no connection that
// was returned by Accept.
func (l *Listener) Close() error {
	l.close.Do(func() {
		close(l.closed)
		l.slots.close()
	})
	return l.Listener.Close()
}
