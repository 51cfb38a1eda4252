package listener_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/promfence/promfence/cmd/promfence/listener"
)

// pipes is a listener whose callers are in this process, so that time can be a bubble's.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p pipes) Close() error { close(p); return nil }

func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial connects a caller.
func (p pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p <- theirs
	return ours
}

// An accepting is what a call of Accept will return.
type accepting struct {
	conn net.Conn
	err  error
}

// accept calls Accept beside the test.
func accept(l *listener.Listener) <-chan accepting {
	got := make(chan accepting, 1)
	go func() {
		c, err := l.Accept()
		got <- accepting{c, err}
	}()
	return got
}

// guarded are a listener for one connection and the server that it guards.
func guarded(o listener.Options) (pipes, *listener.Listener, *http.Server) {
	p, s := make(pipes, 10), &http.Server{}
	o.MaxConnections, o.MaxHeaderBytes = 1, 1000
	l := listener.New(p, o)
	l.Guard(s)
	return p, l, s
}

func TestWhoWaitsGetsTheSlotOfAConnectionThatIs(t *testing.T) {
	for name, leave := range map[string]func(s *http.Server, c net.Conn){
		"closed": func(_ *http.Server, c net.Conn) { _ = c.Close() },
		"idle":   func(s *http.Server, c net.Conn) { s.ConnState(c, http.StateIdle) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, l, s := guarded(listener.Options{})
				p.dial()
				first := <-accept(l)
				s.ConnState(first.conn, http.StateActive)
				p.dial()
				second := accept(l)
				synctest.Wait()
				select {
				case got := <-second:
					t.Fatalf("a second connection beside one with a request: %v", got.err)
				default:
				}
				leave(s, first.conn)
				if got := <-second; got.err != nil {
					t.Error(got.err)
				}
				_ = l.Close()
			})
		})
	}
}

func TestClosingEndsWhoWaitsForASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l, s := guarded(listener.Options{})
		p.dial()
		first := <-accept(l)
		s.ConnState(first.conn, http.StateActive)
		caller := p.dial()
		second := accept(l)
		synctest.Wait()
		_ = l.Close()
		if got := <-second; !errors.Is(got.err, net.ErrClosed) {
			t.Errorf("%v, want %v", got.err, net.ErrClosed)
		}
		if _, err := caller.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the caller who waited reads %v", err)
		}
		_ = first.conn.Close()
	})
}

// net/http says that a connection is idle when a request ends, also of one that was closed.
func TestAConnectionThatIsGoneIsNotIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l, s := guarded(listener.Options{})
		p.dial()
		gone := (<-accept(l)).conn
		s.ConnState(gone, http.StateActive)
		_ = gone.Close()
		s.ConnState(gone, http.StateIdle)
		evicted := p.dial()
		if got := <-accept(l); got.err != nil {
			t.Fatal(got.err)
		}
		p.dial()
		if got := <-accept(l); got.err != nil {
			t.Fatal(got.err)
		}
		if _, err := evicted.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the idle connection reads %v, want its end", err)
		}
		_ = l.Close()
	})
}

func TestAHandshakeHasItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l, _ := guarded(listener.Options{TLS: certified(t)})
		silent := p.dial()
		accepted := accept(l)
		begin := time.Now()
		_ = silent.SetReadDeadline(begin.Add(time.Hour))
		if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("who says nothing reads %v", err)
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("who says nothing stays for %s", took)
		}

		// Whoever has done it is not held to that time.
		caller := tls.Client(p.dial(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
		go func() { _ = caller.Handshake() }()
		served := (<-accepted).conn
		time.Sleep(time.Minute)
		go func() { _, _ = caller.Read(make([]byte, 2)) }()
		if _, err := served.Write([]byte("ok")); err != nil {
			t.Errorf("an answer after a minute: %v", err)
		}
		_ = l.Close()
		_ = served.Close()
	})
}

// net/http allows more than was set, by what it adds for each line.
func TestHTTP2HeadersAreBoundedToTheByte(t *testing.T) {
	const most = 20 << 10
	s := serve(t, listener.Options{MaxConnections: 10, MaxHeaderBytes: most})
	c := s.h2(t)
	if got := c.status(c.open("/", 1, most-100)); got != "200" {
		t.Errorf("a header below the bound: %s", got)
	}
	if got := c.status(c.open("/", 1, most-10)); got != "431" {
		t.Errorf("a header above the bound: %s", got)
	}
}

func TestAChunkedBodyIsNoHeader(t *testing.T) {
	s := serve(t, listener.Options{MaxHeaderBytes: 1000})
	c := s.dial(t)
	long := strings.Repeat("x", 9000)
	for range 2 {
		if _, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(long), long); err != nil {
			t.Fatal(err)
		}
		if got := answers(t, c, 1)[0]; !strings.HasPrefix(got, "200 POST /") {
			t.Fatalf("answers %.60q", got)
		}
	}
}

func TestTheBodiesOfAnHTTP2ConnectionAreBounded(t *testing.T) {
	c := serve(t, listener.Options{}).h2(t)
	for {
		f, err := c.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if w, ok := f.(*http2.WindowUpdateFrame); ok && w.StreamID == 0 {
			if got := 65535 + w.Increment; got != 128<<10 {
				t.Errorf("%d bytes of bodies may wait, want 128 KiB", got)
			}
			return
		}
	}
}
