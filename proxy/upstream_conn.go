package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	maxAnswerHeader  = 256 << 10
	lastWords        = 100 * time.Millisecond    // for an answer that is there already
	maxInformational = 5                         // answers with a status of 1xx before the one that counts
	connBuffer       = 4 << 10                   // for reading, and for writing
	maxLimit         = 10 * 365 * 24 * time.Hour // beyond it there is none
)

// An upstreamConn is a connection to the upstream. It serves one request at a
// time; whoever has it has it alone.
type upstreamConn struct {
	net.Conn
	transport *transport
	br        *bufio.Reader
	bw        *bufio.Writer
	socket    syscall.RawConn  // below TLS, if there is
	look      func(fd uintptr) // tells quiet
	quiet     bool             // the socket has nothing to read, and is open
	records   *tlsRecords      // nil = no TLS
	armed     time.Time        // when the time limit was set last
	since     time.Time        // idle
	unwatch   func() bool      // ends the watch over the request's context
	received  int64            // bytes since the request began
	left      int64            // bytes that may still be received
	inBody    bool
	unsent    error // why the request could not be sent
	unheard   error // why no more could be read
}

// newUpstreamConn has to do with a socket and what runs over it: itself, or TLS.
func newUpstreamConn(t *transport, raw, conn net.Conn, records *tlsRecords) (*upstreamConn, error) {
	s, ok := raw.(syscall.Conn)
	if !ok { // a dialer gives no others
		return nil, errors.ErrUnsupported
	}
	socket, err := s.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &upstreamConn{Conn: conn, transport: t, socket: socket, records: records}
	c.look = func(fd uintptr) { c.quiet = nothingToRead(fd) }
	c.br, c.bw = bufio.NewReaderSize(c, connBuffer), bufio.NewWriterSize(c, connBuffer)
	return c, nil
}

// Read counts what comes: an answer's header is bounded, and one that has begun
// is not asked for again. A header has one time limit, a body one for each part.
// Read and Write keep their errors: net/http's do not tell a timeout.
func (c *upstreamConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errors.New("the upstream's answer has too large a header")
	}
	if c.inBody {
		c.arm()
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.left)])
	c.received, c.left = c.received+int64(n), c.left-int64(n)
	if err != nil {
		c.unheard = err
	}
	return n, err
}

func (c *upstreamConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		c.unsent = err
	}
	return n, err
}

// arm begins the time in which something must happen next. One that has just
// begun will do: setting a deadline costs more than a look at the clock.
func (c *upstreamConn) arm() {
	limit := c.transport.timeout
	if limit <= 0 || limit > maxLimit {
		return
	}
	now, slack := time.Now(), limit/100
	if now.Sub(c.armed) <= slack {
		return
	}
	c.armed = now
	_ = c.SetDeadline(now.Add(limit + slack)) // a closed connection says so when it is used
}

// ask sends a request and returns the answer, whose body gives the connection
// back or closes it. The end of the request's context closes it, too.
func (c *upstreamConn) ask(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	c.arm()
	c.unwatch = context.AfterFunc(ctx, func() { _ = c.Close() }) // whoever waits for it learns of it
	resp, err := c.roundTrip(r)
	if err != nil {
		c.unwatch()
		_ = c.Close() // the error says enough
		if gone := ctx.Err(); gone != nil {
			err = gone
		}
		return nil, err
	}
	resp.Body = &upstreamBody{ReadCloser: resp.Body, conn: c, ctx: ctx, last: resp.Close || !resp.ProtoAtLeast(1, 1) || resp.StatusCode < http.StatusOK}
	return resp, nil
}

func (c *upstreamConn) roundTrip(r *http.Request) (*http.Response, error) {
	c.received, c.left, c.inBody, c.unheard = 0, maxAnswerHeader, false, nil
	if err := r.Write(c.bw); err == nil {
		_ = c.bw.Flush() // Write has kept the error
	} else if c.unsent == nil {
		return nil, err
	}
	if isTimeout(c.unsent) { // it may have answered, and stopped reading: that is there, or it is not
		c.armed = time.Time{}
		_ = c.SetReadDeadline(time.Now().Add(lastWords))
	}
	for range 1 + maxInformational {
		resp, err := http.ReadResponse(c.br, r)
		switch {
		case err != nil && c.unsent != nil:
			return nil, c.unsent
		case err != nil && isTimeout(c.unheard):
			return nil, c.unheard
		case err != nil:
			return nil, err
		case resp.StatusCode >= http.StatusOK, resp.StatusCode == http.StatusSwitchingProtocols:
			resp.Close = resp.Close || c.unsent != nil
			c.left, c.inBody = math.MaxInt64, true
			return resp, nil
		}
	}
	return nil, errors.New("the upstream announced its answer again and again")
}

// silent reports whether the upstream has sent nothing since its last answer,
// and still holds the connection.
func (c *upstreamConn) silent() bool {
	if err := c.socket.Control(c.look); err != nil || !c.quiet || c.br.Buffered() > 0 {
		return false
	}
	if c.records == nil {
		return true
	}
	// TLS reads ahead. Whole records show in a read that may not wait; it may have
	// to write, to agree to a new key. A part of one shows in where it ends.
	_ = c.SetDeadline(time.Time{})
	_ = c.SetReadDeadline(time.Unix(1, 0))
	_, err := c.br.Peek(1)
	_ = c.SetReadDeadline(time.Time{})
	c.armed = time.Time{}
	return isTimeout(err) && c.records.whole()
}

// An upstreamBody is the body of an answer. At its end the connection is free
// for the next request, if all is well.
type upstreamBody struct {
	io.ReadCloser
	conn  *upstreamConn
	ctx   context.Context
	last  bool // the connection serves no other request
	ended atomic.Bool
	err   error // how it ended, for whoever reads
}

func (b *upstreamBody) Read(p []byte) (int, error) {
	if b.ended.Load() {
		if b.err == nil {
			b.err = net.ErrClosed
		}
		return 0, b.err
	}
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		return n, nil
	}
	b.err = err
	if gone := b.ctx.Err(); gone != nil && err != io.EOF {
		b.err = gone
	}
	b.end(err == io.EOF)
	return n, b.err
}

// Close ends the answer, also while somebody waits for more of it.
func (b *upstreamBody) Close() error {
	b.end(false)
	return nil
}

// end gives the connection back after a whole answer, or closes it. After that
// it is somebody else's.
func (b *upstreamBody) end(whole bool) {
	if !b.ended.CompareAndSwap(false, true) {
		return
	}
	c := b.conn
	if c.unwatch() && whole && !b.last && c.br.Buffered() == 0 {
		c.unwatch, c.inBody = nil, false // the request is no longer held
		c.transport.put(c)
		return
	}
	_ = c.Close() // half an answer is left on it
}
