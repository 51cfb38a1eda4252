package listener

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A conn counts the header of every HTTP/1 request on its way to net/http. It
// never hands on a part of a header together with what follows it, so each Read
// is about one thing:
//
//	state      what is handed on at a time           ends with
//	header     up to the blank line that ends it     the blank line
//	length     the body's bytes, as many as named    the last of them
//	chunks     one line (chunked: nobody has counted the bytes)
//	                                                 the server's word that it waits for a request
//	through    whatever comes                        –  (HTTP/2 by prior knowledge)
//
// After a header comes the next header, unless the handler says that this request
// has a body, before anything of it is read. The length is the one that net/http
// has understood, so there is no second opinion about where a request ends. A body
// that no handler told of is counted as a header, and refused if it looks too long.
type conn struct {
	net.Conn // what is read: TCP, or TLS over it
	slot     *slot
	limits   Options

	state state
	left  int64 // bytes of a body with a length
	bytes int   // of the header so far
	lines int   // of it that have ended
	width int   // bytes of the line that has not
	last  byte  // the byte before

	mayUpgrade bool // all that came so far may begin HTTP/2's preface
	matched    int  // bytes of it

	ahead []byte // was read and not handed on yet
	buf   *[aheadSize]byte
}

type state byte

const (
	header state = iota
	length
	chunks
	through
)

// aheadSize is as much as net/http reads at a time, but for bodies.
const aheadSize = 4 << 10

var aheadBuffers = sync.Pool{New: func() any { return new([aheadSize]byte) }}

// preface begins an HTTP/2 connection (RFC 9113, section 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// expectBody says that a body follows the header that was read last: of so many
// bytes, or chunked (-1).
func (c *conn) expectBody(n int64) {
	switch {
	case c.state != header || c.bytes > 0: // the next header has begun, so that there is none
	case n > 0:
		c.state, c.left = length, n
	case n < 0:
		c.state = chunks
	}
}

// expectHeader says that the request before has been read to its end.
func (c *conn) expectHeader() {
	if c.state == chunks {
		c.state = header
	}
}

func (c *conn) Read(p []byte) (int, error) {
	if c.readsAhead(p) {
		c.slot.readAhead.Store(true)
		return 0, nil
	}
	switch {
	case c.state == length && int64(len(p)) > c.left:
		p = p[:c.left]
	case c.state == header || c.state == chunks:
		p = p[:min(len(p), aheadSize)]
	}
	if len(c.ahead) > 0 {
		n, err := c.take(p[:copy(p, c.ahead)])
		c.ahead = c.ahead[n:]
		if len(c.ahead) == 0 {
			c.giveBack()
		}
		return n, err
	}
	got, err := c.Conn.Read(p)
	n, over := c.take(p[:got])
	if over != nil {
		return 0, over
	}
	if n < got {
		c.buf, _ = aheadBuffers.Get().(*[aheadSize]byte)
		c.ahead = c.buf[:copy(c.buf[:], p[n:got])]
		err = nil // comes again
	}
	return n, err
}

func (c *conn) giveBack() {
	aheadBuffers.Put(c.buf)
	c.ahead, c.buf = nil, nil
}

// take returns how many of the bytes that came may be handed on now.
func (c *conn) take(b []byte) (int, error) {
	switch c.state {
	case length:
		if c.left -= int64(len(b)); c.left == 0 {
			c.state = header
		}
		return len(b), nil
	case chunks:
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			return i + 1, nil
		}
	case header:
		n, err := c.count(b)
		if err == nil && c.mayUpgrade {
			c.match(b[:n])
		}
		return n, err
	case through:
	}
	return len(b), nil
}

// count follows a header to its end, which is the end of b or before.
func (c *conn) count(b []byte) (int, error) {
	if len(b) > 0 {
		c.slot.begun.Store(true)
	}
	for at := 0; at < len(b); {
		i := bytes.IndexByte(b[at:], '\n')
		line := b[at:]
		if i >= 0 {
			line = b[at : at+i]
		}
		c.bytes += len(line)
		c.width += len(line)
		if len(line) > 0 {
			c.last = line[len(line)-1]
		}
		if i < 0 {
			break
		}
		c.bytes++
		at += i + 1
		// As in net/textproto: nothing else ends a header.
		if c.width == 0 || c.width == 1 && c.last == '\r' {
			c.bytes, c.lines, c.width = 0, 0, 0
			c.slot.begun.Store(false)
			return at, nil
		}
		c.width = 0
		if c.lines++; c.lines > 1+MaxHeaderLines {
			return 0, c.refuse()
		}
	}
	if c.bytes > c.limits.MaxHeaderBytes {
		return 0, c.refuse()
	}
	return len(b), nil
}

// match looks for HTTP/2's preface at the very beginning, where net/http looks.
func (c *conn) match(b []byte) {
	b = b[:min(len(b), len(preface)-c.matched)]
	if string(b) != preface[c.matched:c.matched+len(b)] {
		c.mayUpgrade = false
		return
	}
	if c.matched += len(b); c.matched == len(preface) {
		c.state = through
	}
}

const (
	tooLarge = "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" + tooLargeText
	// tooLargeText begins as net/http's own.
	tooLargeText = "431 Request Header Fields Too Large"
)

// linger is how long a peer may take to read why it was refused. Closing at once
// would destroy the answer: what is unread makes a reset of the close.
const linger = 500 * time.Millisecond

// refuse answers and hangs up. net/http says nothing after an error of the
// connection. No other answer can be on its way: the header that is being read is
// read after the answer to the request before, or in the handler's time one byte
// at most.
func (c *conn) refuse() error {
	c.limits.Metrics.refused.Inc()
	_ = c.SetDeadline(time.Now().Add(linger))
	if _, err := io.WriteString(c.Conn, tooLarge); err == nil && c.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(c.slot, 1<<20)) // what is left goes with the connection
	}
	return &net.OpError{Op: "read", Net: "tcp", Err: errors.New("the request's header is too large")}
}

// NetConn is the connection below, as that of a tls.Conn.
func (c *conn) NetConn() net.Conn { return c.Conn }

// CloseWrite tells the peer that nothing more comes.
func (c *conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}
