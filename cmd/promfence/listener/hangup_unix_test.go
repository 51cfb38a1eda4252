//go:build unix

package listener_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promfence/promfence/cmd/promfence/listener"
)

// A watched connection has a socket to be looked at.
type watched struct {
	net.Conn
	socket syscall.RawConn
}

func (w watched) SyscallConn() (syscall.RawConn, error) { return w.socket, nil }

// A glacial socket takes a while to be looked at, as thousands do together.
type glacial struct {
	syscall.RawConn
	takes      time.Duration
	looks, now atomic.Int64
	together   atomic.Bool
}

func (g *glacial) Control(f func(uintptr)) error {
	g.looks.Add(1)
	if g.now.Add(1) > 1 {
		g.together.Store(true)
	}
	time.Sleep(g.takes)
	g.now.Add(-1)
	return g.RawConn.Control(f)
}

// serveOver serves one request, in a bubble, whose caller has a socket that is looked at.
func serveOver(t *testing.T, socket syscall.RawConn, serve http.HandlerFunc) {
	t.Helper()
	p := make(pipes, 1)
	h := &http.Server{Handler: serve}
	l := listener.New(p, listener.Options{MaxConnections: 1, MaxHeaderBytes: 1000})
	l.Guard(h)
	go func() { _ = h.Serve(l) }()
	caller, ours := net.Pipe()
	p <- watched{ours, socket}
	_, _ = io.WriteString(caller, simple)
	if got := answers(t, caller, 1); !strings.HasPrefix(got[0], "200") {
		t.Error(got)
	}
	_ = h.Close()
}

// However many requests wait, looking at their sockets is a small part of the work.
func TestLooksTakeASmallShareOfTheTime(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	socket, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	raw, err := socket.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for takes, most := range map[time.Duration]int64{0: 1200, 40 * time.Millisecond: 72, 10 * time.Second: 6} {
		synctest.Test(t, func(t *testing.T) {
			socket := &glacial{RawConn: raw, takes: takes}
			serveOver(t, socket, func(http.ResponseWriter, *http.Request) { time.Sleep(time.Minute) })
			if n := socket.looks.Load(); n > most || n < most-2 || socket.together.Load() {
				t.Errorf("%d looks of %s in a minute, at the same time: %t", n, takes, socket.together.Load())
			}
			time.Sleep(time.Minute) // the last look
		})
	}
}

// A blind socket cannot be looked at.
type blind struct{ syscall.RawConn }

func (blind) Control(func(fd uintptr)) error { return syscall.EOPNOTSUPP }

// A request whose caller cannot be looked at ends as it would have.
func TestWhoCannotBeLookedAtHasNotHungUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		serveOver(t, blind{}, func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
				t.Error("taken for gone")
			case <-time.After(time.Minute):
			}
		})
		time.Sleep(time.Minute) // the last look
	})
}
