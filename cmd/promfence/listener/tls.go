package listener

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

// handshakeTimeout is how long a caller may take for the handshake, as for a header.
const handshakeTimeout = 10 * time.Second

// A secure is a conn over TLS. net/http takes Request.TLS from it.
type secure struct {
	*conn
	tls *tls.Conn
}

func (s secure) ConnectionState() tls.ConnectionState { return s.tls.ConnectionState() }

// acceptTLS returns connections in the order in which their handshakes end. They
// are done here and not by net/http, which knows a connection's protocol only
// when it is too late to put anything in between.
func (l *Listener) acceptTLS() (net.Conn, error) {
	l.handshakes.Do(func() { go l.acceptAll() })
	select {
	case a := <-l.shaken:
		return a.conn, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// acceptAll ends when the listener is closed.
func (l *Listener) acceptAll() {
	for {
		s, err := l.admit()
		switch {
		case err == nil:
			go l.handshake(s)
		case !l.hand(accepted{err: err}): // net/http decides whether it goes on
			return
		}
	}
}

// hand gives a result to whoever calls Accept, or reports that nobody will.
func (l *Listener) hand(a accepted) bool {
	select {
	case l.shaken <- a:
		return true
	case <-l.closed:
		return false
	}
}

func (l *Listener) handshake(s *slot) {
	c := tls.Server(s, l.options.TLS)
	_ = c.SetDeadline(time.Now().Add(handshakeTimeout)) // a connection that is broken already fails below
	if err := c.Handshake(); err != nil {
		l.failed(s, err)
		_ = s.Close() // there is nobody to tell
		return
	}
	_ = c.SetDeadline(time.Time{})
	// net/http speaks HTTP/2 over nothing but TLS's own type.
	var next net.Conn = c
	if c.ConnectionState().NegotiatedProtocol != "h2" {
		next = secure{&conn{Conn: c, slot: s, limits: l.options}, c}
	}
	if !l.hand(accepted{conn: next}) {
		_ = c.Close() // the listener is closed
	}
}

// failed tells of a handshake what net/http would tell.
func (l *Listener) failed(s *slot, err error) {
	if re, ok := errors.AsType[tls.RecordHeaderError](err); ok && re.Conn != nil && looksLikeHTTP(re.RecordHeader) {
		_, _ = io.WriteString(re.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
		err = errors.New("client sent an HTTP request to an HTTPS server")
	}
	if l.options.Log != nil {
		l.options.Log.Printf("http: TLS handshake error from %s: %v", s.RemoteAddr(), err)
	}
}

// looksLikeHTTP is asked about five bytes that should have begun a TLS record.
func looksLikeHTTP(record [5]byte) bool {
	switch string(record[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		return true
	}
	return false
}

// slotOf finds the slot of what Accept returned, or nil for anything else.
func slotOf(c net.Conn) *slot {
	switch c := c.(type) {
	case *conn:
		return c.slot
	case secure:
		return c.slot
	case *tls.Conn:
		s, _ := c.NetConn().(*slot)
		return s
	}
	return nil
}

// http1Of finds what counts the headers of a connection; HTTP/2 has none.
func http1Of(c net.Conn) *conn {
	switch c := c.(type) {
	case *conn:
		return c
	case secure:
		return c.conn
	}
	return nil
}
