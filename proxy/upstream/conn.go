package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"time"

	"github.com/promfence/promfence/proxy/socket"
)

const (
	maxHeader        = 256 << 10
	maxInformational = 5                         // answers with a status of 1xx before the one that counts
	lastWords        = 100 * time.Millisecond    // for an answer that is there already
	goodbye          = 5 * time.Millisecond      // for a record of TLS that has come already
	connBuffer       = 4 << 10                   // for reading, and for writing
	atOnce           = 8 << 10                   // a request of this size is taken by the sockets, whether the upstream reads or not
	maxLimit         = 10 * 365 * 24 * time.Hour // beyond it there is none
)

// A conn is a connection to the upstream. It serves one request at a time;
// whoever has it has it alone.
type conn struct {
	net.Conn
	client  *Client
	kind    rowKind
	br      *bufio.Reader
	bw      *bufio.Writer
	socket  *socket.Conn // below TLS, if there is
	hangUp  func()       // closes the connection; whoever waits for it learns of it
	records *tlsRecords  // nil = no TLS
	armed   time.Time    // when the time limit was set last
	since   time.Time    // idle
	unwatch func() bool  // ends the watch over the request's context
	underWay
}

// An underWay is how far the request has come that a connection serves.
type underWay struct {
	received int64 // bytes since the request began
	left     int64 // bytes that may still be received
	inBody   bool
	whole    bool  // the whole request was written: the upstream may have read it
	unsent   error // why it could not be written
	unheard  error // why no more could be read
}

// A state is what an upstream has done on an idle connection.
type state int

const (
	gone  state = iota // it has closed the connection, as it may
	spoke              // it has sent what nobody asked for
	quiet              // neither
)

// newConn has to do with a socket and what runs over it: itself, or TLS.
func newConn(client *Client, kind rowKind, below *socket.Conn, over net.Conn, records *tlsRecords) *conn {
	c := &conn{Conn: over, client: client, kind: kind, socket: below, records: records}
	c.hangUp = func() { _ = c.Close() }
	c.br, c.bw = bufio.NewReaderSize(c, connBuffer), bufio.NewWriterSize(c, connBuffer)
	return c
}

// Read counts what comes: an answer's header is bounded, and one that has begun
// is not asked for again. A header has one time limit, a body one for each part.
// Read and Write keep their errors: net/http's do not tell a timeout.
func (c *conn) Read(p []byte) (int, error) {
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

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		c.unsent = err
	}
	return n, err
}

// arm begins the time in which something must happen next. One that has just
// begun will do: setting a deadline costs more than a look at the clock.
func (c *conn) arm() {
	limit := c.client.timeout
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
func (c *conn) ask(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	c.arm()
	c.unwatch = context.AfterFunc(ctx, c.hangUp)
	resp, err := c.roundTrip(r)
	if err != nil {
		c.unwatch()
		_ = c.Close() // the error says enough
		if gone := ctx.Err(); gone != nil {
			err = gone
		}
		return nil, err
	}
	resp.Body = &body{ReadCloser: resp.Body, conn: c, ctx: ctx, last: resp.Close || !resp.ProtoAtLeast(1, 1) || resp.StatusCode < http.StatusOK}
	return resp, nil
}

// roundTrip writes a request and reads the header of its answer. A request that
// the sockets may not take at once is written beside: an upstream that answers
// early and stops reading is heard at once.
func (c *conn) roundTrip(r *http.Request) (*http.Response, error) {
	c.underWay = underWay{left: maxHeader}
	if r.ContentLength+int64(len(r.URL.RawQuery)) > atOnce {
		return c.roundTripBeside(r)
	}
	if err := c.send(r); err != nil && c.unsent == nil {
		return nil, err // the request itself is at fault
	}
	if isTimeout(c.unsent) { // it may have answered, and stopped reading: that is there, or it is not
		c.armed = time.Time{}
		_ = c.SetReadDeadline(time.Now().Add(lastWords))
	}
	resp, err := c.receive(r)
	switch {
	case err != nil && c.unsent != nil:
		return nil, c.unsent
	case err != nil:
		return nil, err
	}
	resp.Close = resp.Close || !c.whole
	return resp, nil
}

func (c *conn) roundTripBeside(r *http.Request) (*http.Response, error) {
	sent := make(chan error, 1)
	go func() { sent <- c.send(r) }()
	resp, err := c.receive(r)
	if err == nil {
		select {
		case unsent := <-sent:
			resp.Close = resp.Close || unsent != nil
		default:
			resp.Close = true // the rest of the request ends with the connection
		}
		return resp, nil
	}
	_ = c.Close() // ends the writing, too
	if unsent := <-sent; unsent != nil && c.received == 0 && !isTimeout(err) {
		return nil, unsent
	}
	return nil, err
}

// An unflushed writer is one that net/http does not flush between a header and a body
// of a type it does not know: both leave in one write.
type unflushed struct{ *bufio.Writer }

// send writes a request.
func (c *conn) send(r *http.Request) error {
	err := r.Write(unflushed{c.bw})
	if err == nil {
		err = c.bw.Flush()
	}
	c.whole = err == nil
	return err
}

// receive reads the header of an answer, and passes over those that announce it.
func (c *conn) receive(r *http.Request) (*http.Response, error) {
	for range 1 + maxInformational {
		resp, err := http.ReadResponse(c.br, r)
		switch {
		case err != nil && isTimeout(c.unheard):
			return nil, c.unheard
		case err != nil:
			return nil, err
		case resp.StatusCode < http.StatusContinue:
			return nil, fmt.Errorf("the upstream answered with status %03d", resp.StatusCode)
		case resp.StatusCode >= http.StatusOK, resp.StatusCode == http.StatusSwitchingProtocols:
			c.left, c.inBody = math.MaxInt64, true
			return resp, nil
		}
	}
	return nil, errors.New("the upstream announced its answer again and again")
}

// look tells what the upstream has done since its last answer. Where that cannot be
// told, each request gets a connection of its own.
func (c *conn) look() state {
	sent, err := c.socket.Peek()
	switch {
	case err != nil:
		return gone
	case c.records != nil:
		return c.lookIntoTLS(sent)
	case sent:
		return spoke
	}
	return quiet
}

// lookIntoTLS looks, too, at what TLS reads ahead: it has messages of its own, a new key,
// a ticket, a goodbye. What it holds deciphered shows in a read that may not wait, and a
// part of a record in where the records end.
func (c *conn) lookIntoTLS(sent bool) state {
	until := time.Unix(1, 0)
	if sent {
		until = time.Now().Add(goodbye)
	}
	_ = c.SetDeadline(time.Time{}) // reading may have to write, to agree to a new key
	_ = c.SetReadDeadline(until)
	_, err := c.br.Peek(1)
	_ = c.SetReadDeadline(time.Time{})
	c.armed = time.Time{}
	switch {
	case err == nil || isTimeout(err) && !c.records.whole():
		return spoke
	case isTimeout(err):
		return quiet
	}
	return gone
}
