package upstream

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"syscall"
	"time"

	"github.com/promfence/promfence/proxy/socket"
)

// Idle tells how many connections wait for a request.
func (c *Client) Idle() int {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	n := 0
	for _, idle := range c.pool.idle {
		n += len(idle)
	}
	return n
}

// DialWithin bounds how long a connection may take to come about.
func (c *Client) DialWithin(limit time.Duration) { c.dialing = limit }

// Age makes the idle connections older.
func (c *Client) Age(by time.Duration) {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	for _, idle := range c.pool.idle {
		for _, conn := range idle {
			conn.since = conn.since.Add(-by)
		}
	}
}

// Reap closes what has been idle for too long, as the timer does.
func (c *Client) Reap() { c.pool.reap() }

// Socket calls f with an idle connection's file descriptor.
func (c *Client) Socket(f func(fd uintptr)) error {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	idle := slices.Concat(c.pool.idle[:]...)
	if len(idle) == 0 {
		return errors.New("no idle connection")
	}
	s, _ := idle[0].socket.Conn.(syscall.Conn)
	socket, err := s.SyscallConn()
	if err != nil {
		return err
	}
	return socket.Control(f)
}

// A Kind of row has connections of its own.
type Kind = rowKind

// The kinds of rows.
const (
	Filtered = filtered
	Streamed = streamed
)

// ErrUnreached is why there is no connection.
var ErrUnreached = errUnreached

// Send sends a request as it is.
func (c *Client) Send(r *http.Request, kind Kind) (*http.Response, error) { return c.send(r, kind) }

// SendOver sends a request over a connection that may be one in memory, which no other
// request follows.
func (c *Client) SendOver(over net.Conn, r *http.Request) (*http.Response, error) {
	return newConn(c, Streamed, nil, over, nil).ask(r)
}

// TakesForGone reports whether an idle connection over another one would be given up.
func (c *Client) TakesForGone(over net.Conn) bool {
	below := &socket.Conn{Conn: over}
	return newConn(c, Streamed, below, below, nil).look() == gone
}

// Request is what a call becomes.
func (c *Client) Request(ctx context.Context, call Call) (*http.Request, error) {
	return c.request(ctx, call)
}

// Writes counts the writes with which a request leaves.
func (c *Client) Writes(r *http.Request) (int, error) {
	leaving, err := c.dial(r.Context(), streamed)
	if err != nil {
		return 0, err
	}
	defer leaving.Close()
	counter := &writeCounter{Conn: leaving.Conn}
	leaving.Conn = counter
	err = leaving.send(r)
	return counter.n, err
}

type writeCounter struct {
	net.Conn
	n int
}

func (c *writeCounter) Write(p []byte) (int, error) {
	c.n++
	return c.Conn.Write(p)
}

// IsTimeout reports whether an error is a time limit that has passed.
var IsTimeout = isTimeout

// SetBody gives a request a body that can be sent again.
var SetBody = setBody
