package listener_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promfence/promfence/cmd/promfence/listener"
)

const (
	simple  = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	waiting = "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"
)

// full is a server with as many connections as it takes, in the order of dialing.
func full(t *testing.T, n int, sent string) (*server, []net.Conn) {
	t.Helper()
	s := serve(t, listener.Options{MaxConnections: n})
	all := make([]net.Conn, n)
	for i := range all {
		all[i] = s.dial(t)
		if _, err := io.WriteString(all[i], sent); err != nil {
			t.Fatal(err)
		}
		s.wantMetric(t, "promfence_connections", float64(i+1))
	}
	return s, all
}

func wantServed(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.WriteString(c, simple); err != nil {
		t.Error(err)
	}
	if got := answers(t, c, 1); !strings.HasPrefix(got[0], "200 GET / ") {
		t.Error(got)
	}
}

func wantClosed(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := io.Copy(io.Discard, c); n > 0 || isTimeout(err) {
		t.Errorf("it is open, or sent %d bytes: %v", n, err)
	}
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error) //nolint:errorlint // as it comes from the connection
	return ok && ne.Timeout()
}

func TestTheLongestIdleConnectionMakesRoom(t *testing.T) {
	s, all := full(t, 3, "")
	wantServed(t, all[0]) // now the last in the row
	wantServed(t, s.dial(t))
	wantClosed(t, all[1])
	wantServed(t, s.dial(t))
	wantClosed(t, all[2])
	wantServed(t, all[0])
	s.wantMetric(t, "promfence_connections_evicted_total", 2)
	s.wantMetric(t, "promfence_connections_delayed_total", 0)
	s.wantMetric(t, "promfence_connections", 3)
}

// A part of a header is no request, but who has sent nothing goes first.
func TestUnfinishedHeadersMakeRoomLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // what was sent has been read when the next one dials
		p, h := make(pipes, 10), &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: patience}
		l := listener.New(p, listener.Options{MaxConnections: 2, MaxHeaderBytes: 1000})
		l.Guard(h)
		go func() { _ = h.Serve(l) }()
		dial := func(sent string) net.Conn {
			c := p.dial()
			_ = c.SetDeadline(time.Now().Add(patience))
			_, _ = io.WriteString(c, sent)
			synctest.Wait()
			return c
		}
		first, second := dial(simple[:20]), dial(simple[:20])
		idle := dial("")
		wantClosed(t, first)
		last := dial(simple)
		wantClosed(t, idle)
		for c, rest := range map[net.Conn]string{second: simple[20:], last: ""} {
			go func() { _, _ = io.WriteString(c, rest) }()
			if got := answers(t, c, 1); !strings.HasPrefix(got[0], "404 ") {
				t.Error(got)
			}
		}
		_ = h.Close()
	})
}

func TestRequestsUnderWayAreNotClosedForNewConnections(t *testing.T) {
	s, all := full(t, 2, waiting)
	s.wantWaiting(t, 2)
	late := s.dial(t)
	s.wantMetric(t, "promfence_connections_delayed_total", 1)
	s.wantMetric(t, "promfence_connections", 2)
	s.free(t, 1) // one of the two is answered, becomes idle, and makes room
	wantServed(t, late)
	s.free(t, 1)
	served := 0
	for _, c := range all {
		served += strings.Count(strings.Join(answers(t, c, 1), ""), "200 GET /wait")
	}
	if served != 2 {
		t.Errorf("%d of 2 were answered", served)
	}
}

func TestConnectionsWaitForThoseThatEnd(t *testing.T) {
	s, all := full(t, 1, waiting)
	s.wantWaiting(t, 1)
	late := s.dial(t)
	s.wantMetric(t, "promfence_connections_delayed_total", 1)
	_ = all[0].Close() // the caller gives up
	wantServed(t, late)
	s.wantMetric(t, "promfence_connections_evicted_total", 0)
}

// A listener that is closed while a connection waits ends; the caller sees it.
func TestClosingEndsWaiting(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]listener.Options{"TCP": {MaxConnections: 1, MaxHeaderBytes: 1}, "TLS": {MaxConnections: 1, MaxHeaderBytes: 1, TLS: certified(t)}} {
		t.Run(name, func(t *testing.T) {
			l := listener.New(inner, o)
			done := make(chan error)
			go func() {
				_, err := l.Accept()
				if err == nil {
					_, err = l.Accept()
				}
				done <- err
			}()
			_ = l.Close() // says that inner is closed already, the second time
			select {
			case err := <-done:
				if err == nil {
					t.Error("it accepted something")
				}
			case <-time.After(patience):
				t.Error("it waits on")
			}
		})
	}
}

// Ten thousand strangers, or as many as this process may have files for, hold
// connections and say nothing. Whoever calls is served without waiting for one of them.
func TestIdleStrangersAreInNobodysWay(t *testing.T) {
	n := min(10_000, raiseFiles(t)/2-100) // both ends are here
	if testing.Short() {
		n = min(n, 500)
	}
	t.Logf("%d strangers", n)
	s := serve(t, listener.Options{MaxConnections: n})
	strangers := make([]net.Conn, n)
	for i := range strangers {
		strangers[i] = s.dial(t)
		if i%2 == 1 { // half of them have asked something before
			wantServed(t, strangers[i])
		}
	}
	s.wantMetric(t, "promfence_connections", float64(n))
	slowest := time.Duration(0)
	for range 20 {
		begin := time.Now()
		wantServed(t, s.dial(t))
		slowest = max(slowest, time.Since(begin))
	}
	if slowest > 5*time.Second { // a place that is waited for takes ten
		t.Errorf("a caller waited for %s", slowest)
	}
	wantClosed(t, strangers[0])
}
