package socket_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/promfence/promfence/proxy/socket"
)

// news looks until there is something to tell, for a short time if nothing is expected.
func news(c *socket.Conn, expected bool) (waiting bool, err error) {
	limit := 20 * time.Millisecond
	if expected {
		limit = patience
	}
	for end := time.Now().Add(limit); ; time.Sleep(time.Millisecond) {
		if waiting, err = c.Peek(); waiting || err != nil || time.Now().After(end) {
			return waiting, err
		}
	}
}

// A look tells what the peer has done, and takes no byte of it.
func TestPeek(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, l net.Listener) {
		for name, tt := range map[string]struct {
			do      func(c, peer net.Conn)
			waiting bool
			err     error
		}{
			"nothing":         {func(_, _ net.Conn) {}, false, nil},
			"a byte":          {func(_, peer net.Conn) { _, _ = peer.Write([]byte("a")) }, true, nil},
			"an end":          {func(_, peer net.Conn) { _ = peer.Close() }, false, io.EOF},
			"a byte, an end":  {func(_, peer net.Conn) { _, _ = peer.Write([]byte("a")); _ = peer.Close() }, true, nil},
			"closed":          {func(c, _ net.Conn) { _ = c.Close() }, false, net.ErrClosed},
			"late for a read": {func(c, _ net.Conn) { _ = c.SetReadDeadline(time.Unix(1, 0)) }, false, nil},
		} {
			a, peer := pair(t, l)
			c := &socket.Conn{Conn: a}
			if !c.CanPeek() {
				t.Fatal("cannot look")
			}
			tt.do(c, peer)
			for range 2 {
				if waiting, err := news(c, tt.waiting || tt.err != nil); waiting != tt.waiting || !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
					t.Errorf("%s: %t, %v", name, waiting, err)
				}
			}
			if !tt.waiting {
				continue
			}
			if b, err := io.ReadAll(io.LimitReader(c, 1)); string(b) != "a" || err != nil {
				t.Errorf("%s: %q, %v after a look", name, b, err)
			}
		}
	})
}

// A look also tells of a connection that its peer has reset.
func TestPeekTellsOfAReset(t *testing.T) {
	t.Parallel()
	a, peer := pair(t, listen(t, "tcp", "127.0.0.1:0"))
	c := &socket.Conn{Conn: a}
	tcp, _ := peer.(*net.TCPConn)
	if err := errors.Join(tcp.SetLinger(0), tcp.Close()); err != nil {
		t.Fatal(err)
	}
	if waiting, err := news(c, true); waiting || err == nil || errors.Is(err, io.EOF) {
		t.Errorf("%t, %v", waiting, err)
	}
}

// Looking does not wait for who waits for bytes.
func TestPeekDuringARead(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, l net.Listener) {
		a, peer := pair(t, l)
		c := &socket.Conn{Conn: a}
		read := make(chan string)
		go func() {
			b := make([]byte, 10)
			n, _ := c.Read(b)
			read <- string(b[:n])
		}()
		time.Sleep(20 * time.Millisecond)
		if waiting, err := c.Peek(); waiting || err != nil {
			t.Errorf("%t, %v", waiting, err)
		}
		_, _ = io.WriteString(peer, "abc")
		if got := <-read; got != "abc" {
			t.Errorf("read %q", got)
		}
	})
}
