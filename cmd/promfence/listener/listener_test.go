package listener_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/promfence/promfence/cmd/promfence/listener"
)

// patience is how long a test waits for what happens at once.
const patience = 2 * time.Minute

// A server is guarded by a Listener; its handler answers with method, path and body.
type server struct {
	addr    string
	metrics *prometheus.Registry
	waiting atomic.Int64 // requests for /wait that are in the handler
	release chan bool    // what they wait for
}

func serve(t *testing.T, o listener.Options) *server {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, inner, o)
}

func serveOn(t *testing.T, inner net.Listener, o listener.Options) *server {
	t.Helper()
	s := &server{addr: inner.Addr().String(), metrics: prometheus.NewRegistry(), release: make(chan bool)}
	if o.MaxConnections == 0 {
		o.MaxConnections = 1000
	}
	if o.MaxHeaderBytes == 0 {
		o.MaxHeaderBytes = 96 << 10
	}
	o.Metrics = listener.NewMetrics(s.metrics)
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	h := &http.Server{Protocols: &protocols, TLSConfig: o.TLS, ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if r.URL.Path == "/below" {
			hijackBelow(w)
			return
		}
		if r.URL.Path == "/wait" {
			s.waiting.Add(1)
			defer s.waiting.Add(-1)
			select {
			case <-s.release:
			case <-r.Context().Done():
				panic(http.ErrAbortHandler) // so that the connection is closed and not idle before
			}
		}
		fmt.Fprintf(w, "%s %s %q %v %t", r.Method, r.URL, body, err, r.TLS != nil)
	})}
	l := listener.New(inner, o)
	l.Guard(h)
	done := make(chan error)
	go func() { done <- h.Serve(l) }()
	t.Cleanup(func() {
		close(s.release)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = h.Close()
		_ = h.Shutdown(ctx)
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("the server ended with %v", err)
		}
	})
	return s
}

// hijackBelow answers with the type of the connection that is below all others.
func hijackBelow(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	below := c
	for over, ok := c.(interface{ NetConn() net.Conn }); ok; over, ok = below.(interface{ NetConn() net.Conn }) {
		below = over.NetConn()
	}
	name := fmt.Sprintf("%T", below)
	_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(name), name)
}

func (s *server) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// wantMetric waits until the metric has the value.
func (s *server) wantMetric(t *testing.T, name string, want float64) {
	t.Helper()
	var got float64
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		all, err := s.metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all {
			if m.GetName() == name {
				got = m.Metric[0].GetGauge().GetValue() + m.Metric[0].GetCounter().GetValue()
			}
		}
		if got == want {
			return
		}
	}
	t.Errorf("%s is %v, want %v", name, got, want)
}

// wantWaiting waits until so many requests are in the handler.
func (s *server) wantWaiting(t *testing.T, n int64) {
	t.Helper()
	for end := time.Now().Add(patience); s.waiting.Load() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d requests wait, want %d", s.waiting.Load(), n)
		}
	}
}

// free lets so many of them go.
func (s *server) free(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case s.release <- true:
		case <-time.After(patience):
			t.Fatal("nothing waits")
		}
	}
}

// answers reads so many answers and returns their statuses and bodies.
func answers(t *testing.T, from io.Reader, n int) (all []string) {
	t.Helper()
	b := bufio.NewReader(from)
	for range n {
		resp, err := http.ReadResponse(b, nil)
		if err != nil {
			return append(all, err.Error())
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return append(all, err.Error())
		}
		resp.Body.Close()
		all = append(all, fmt.Sprintf("%d %s", resp.StatusCode, body))
	}
	return all
}

func lines(n int) string { return strings.Repeat("a: b\r\n", n) }

func TestMetricsAreRegistered(t *testing.T) {
	r := prometheus.NewRegistry()
	listener.NewMetrics(r)
	if n, err := testutil.GatherAndCount(r); n != 4 || err != nil {
		t.Error(n, err)
	}
}

func TestNothingIsServedWithoutAConnectionOfOurs(t *testing.T) {
	s := &http.Server{Handler: http.NotFoundHandler()}
	listener.New(nil, listener.Options{MaxConnections: 1, MaxHeaderBytes: 1}).Guard(s)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.ProtoMajor = 2
	w := httptest.NewRecorder()
	s.Handler.ServeHTTP(w, r)
	if w.Code != http.StatusInternalServerError {
		t.Error(w.Code)
	}
}
