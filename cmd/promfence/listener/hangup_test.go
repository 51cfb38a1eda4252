package listener_test

import (
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/promfence/promfence/cmd/promfence/listener"
)

// An observer counts what is read from TCP connections.
type observer struct {
	net.Listener
	ahead atomic.Int64 // reads of one byte
	bytes atomic.Int64
}

func (o *observer) Accept() (net.Conn, error) {
	c, err := o.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return observed{c.(*net.TCPConn), o}, nil
}

type observed struct {
	*net.TCPConn
	by *observer
}

func (c observed) Read(p []byte) (int, error) {
	if len(p) == 1 {
		c.by.ahead.Add(1)
	}
	n, err := c.TCPConn.Read(p)
	c.by.bytes.Add(int64(n))
	return n, err
}

// observe is a server whose reads are counted.
func observe(t *testing.T) (*observer, *server) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &observer{Listener: inner}
	return o, serveOn(t, o, listener.Options{})
}

// While a handler works, net/http asks for a byte of the next request. It gets none, and
// the next request is whole.
func TestNothingIsReadAhead(t *testing.T) {
	o, s := observe(t)
	c := s.dial(t)
	for range 20 {
		for _, request := range []string{waiting, "POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nxy"} {
			if _, err := io.WriteString(c, request); err != nil {
				t.Fatal(err)
			}
			s.wantWaiting(t, 1)
			s.free(t, 1)
			if got := answers(t, c, 1); !strings.HasPrefix(got[0], "200") {
				t.Fatal(got)
			}
		}
	}
	if n := o.ahead.Load(); n > 0 {
		t.Errorf("%d reads ahead", n)
	}
}

// net/http also asks for one byte where its buffer has room for no more.
func TestABufferWithRoomForOneByteIsFilled(t *testing.T) {
	o, s := observe(t)
	c := s.dial(t)
	const begin, room = "GET /", 4095
	if _, err := io.WriteString(c, begin+strings.Repeat("b", room-len(begin))); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); o.bytes.Load() < room && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if _, err := io.WriteString(c, " HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if got := answers(t, c, 1); !strings.HasPrefix(got[0], "200") {
		t.Error(got)
	}
}

// Where one byte of HTTP/2's preface is missing after a blank line, it is not waited for.
func TestABrokenPrefaceEndsTheConnection(t *testing.T) {
	s := serve(t, listener.Options{})
	for sent, answer := range map[string]string{
		"GET /1234\r\n\r\n":             "HTTP/1.1 400 Bad Request\r\n",
		"PRI * HTTP/2.0\r\n\r\nxyz\n\n": "HTTP/1.1 200 OK\r\n", // the handler takes what net/http does
	} {
		c := s.dial(t)
		if _, err := io.WriteString(c, sent); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(got), answer) || !strings.Contains(string(got), "Connection: close") {
			t.Errorf("%q: %q, %v", sent, got, err)
		}
	}
}

// However a caller hangs up, and with whatever before, is noticed while their request
// is under way, and nobody else's request ends.
func TestHangingUpIsNoticed(t *testing.T) {
	s := serve(t, listener.Options{})
	stays := s.dial(t)
	if _, err := io.WriteString(stays, waiting); err != nil {
		t.Fatal(err)
	}
	s.wantWaiting(t, 1)
	for name, hangUp := range map[string]func(*net.TCPConn) error{
		"an end":                 (*net.TCPConn).Close,
		"an end of what is sent": (*net.TCPConn).CloseWrite,
		"a reset":                func(c *net.TCPConn) error { _ = c.SetLinger(0); return c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			for _, before := range []string{"", simple} {
				c := s.dial(t).(*net.TCPConn)
				if _, err := io.WriteString(c, before+"POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"); err != nil {
					t.Fatal(err)
				}
				s.wantWaiting(t, 2)
				if err := hangUp(c); err != nil {
					t.Fatal(err)
				}
				s.wantWaiting(t, 1)
			}
		})
	}
	s.free(t, 1)
	if got := answers(t, stays, 1); !strings.HasPrefix(got[0], "200") {
		t.Error(got)
	}
}

// A handler that must break a connection finds what is below it.
func TestTheSocketCanBeFound(t *testing.T) {
	over(t, func(t *testing.T, _ *server, dial func(t *testing.T) net.Conn) {
		c := dial(t)
		if _, err := io.WriteString(c, "GET /below HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if got := answers(t, c, 1); got[0] != "200 *net.TCPConn" {
			t.Error(got)
		}
	})
}
