package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/promfence/promfence/proxy"
)

// A wire is an upstream that is scripted to the byte. It answers the nth request
// of the mth connection, both counted from 0, as said; false closes the
// connection.
type wire struct {
	url   *url.URL
	tls   *tls.Config // what promfence needs to believe it
	conns atomic.Int64
}

func newWire(t *testing.T, secure bool, answer func(conn io.Writer, m, n int) bool) *wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{url: &url.URL{Scheme: "http", Host: ln.Addr().String()}}
	if secure {
		cert := httptest.NewUnstartedServer(nil)
		cert.StartTLS()
		t.Cleanup(cert.Close)
		ca := x509.NewCertPool()
		ca.AddCert(cert.Certificate())
		w.url.Scheme, w.tls = "https", &tls.Config{RootCAs: ca}
		ln = tls.NewListener(heldListener{ln}, &tls.Config{Certificates: cert.TLS.Certificates})
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			m := int(w.conns.Add(1)) - 1
			go func() {
				defer conn.Close()
				br := bufio.NewReader(conn)
				for n := 0; ; n++ {
					r, err := http.ReadRequest(br)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					if !answer(conn, m, n) {
						return
					}
				}
			}()
		}
	}()
	return w
}

func (w *wire) fence(t *testing.T) *fence {
	t.Helper()
	return newFence(t, func(o *proxy.Options) {
		o.Upstream, o.UpstreamTLS, o.UpstreamTimeout = w.url, w.tls, 2*time.Second
	})
}

// says is an answer with a text in it.
func says(text string) string {
	body := fmt.Sprintf(`{"status":"success","data":[%q]}`, text)
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// An answer that nobody asked for must not be taken for the next one's, which
// may be another tenant's.
func TestWhatNobodyAskedForAnswersNobody(t *testing.T) {
	for name, send := range map[string]func(io.Writer, string, string){
		"in one write": func(w io.Writer, own, stray string) { _, _ = io.WriteString(w, own+stray) },
		"just behind": func(w io.Writer, own, stray string) {
			_, _ = io.WriteString(w, own)
			_, _ = io.WriteString(w, stray)
		},
		"while it is idle": func(w io.Writer, own, stray string) {
			_, _ = io.WriteString(w, own)
			time.Sleep(20 * time.Millisecond)
			_, _ = io.WriteString(w, stray)
		},
		"one byte": func(w io.Writer, own, _ string) { _, _ = io.WriteString(w, own+"\n") },
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %t", name, secure), func(t *testing.T) {
				w := newWire(t, secure, func(conn io.Writer, m, n int) bool {
					send(conn, says(fmt.Sprintf("own %d.%d", m, n)), says("stray"))
					return true
				})
				f := w.fence(t)
				for i := range 5 {
					resp, body := f.Get(t, "/api/v1/query?query=up")
					if resp.StatusCode != http.StatusOK || !strings.Contains(body, fmt.Sprintf("own %d.0", i)) {
						t.Errorf("request %d got %d %s", i, resp.StatusCode, body)
					}
					time.Sleep(50 * time.Millisecond) // what comes while it is idle has come
				}
			})
		}
	}
}

// A record of TLS that has come in part only is as bad: the socket has nothing to
// read, and nothing can be deciphered yet.
func TestABeginningOfWhatNobodyAskedForAnswersNobody(t *testing.T) {
	for _, part := range []int{3, 5, 20} {
		w := newWire(t, true, func(conn io.Writer, m, _ int) bool {
			secure, _ := conn.(*tls.Conn)
			raw, _ := secure.NetConn().(*heldConn)
			raw.hold()
			_, _ = io.WriteString(secure, says(fmt.Sprintf("own %d", m)))
			own := raw.held()
			_, _ = io.WriteString(secure, says("stray"))
			raw.send(own + part)
			time.Sleep(200 * time.Millisecond) // the next request has been sent, on this connection or another
			raw.send(raw.held())
			return true
		})
		f := w.fence(t)
		for i := range 2 {
			if resp, body := f.Get(t, "/api/v1/query?query=up"); resp.StatusCode != http.StatusOK || !strings.Contains(body, fmt.Sprintf("own %d", i)) {
				t.Errorf("with %d bytes, request %d got %d %s", part, i, resp.StatusCode, body)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// A heldConn writes at once, or when it is told to.
type heldConn struct {
	net.Conn
	holds bool
	buf   bytes.Buffer
}

func (c *heldConn) Write(b []byte) (int, error) {
	if c.holds {
		return c.buf.Write(b)
	}
	return c.Conn.Write(b)
}

func (c *heldConn) hold()      { c.holds = true }
func (c *heldConn) held() int  { return c.buf.Len() }
func (c *heldConn) send(n int) { _, _ = c.Conn.Write(c.buf.Next(n)) }

type heldListener struct{ net.Listener }

func (l heldListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return &heldConn{Conn: conn}, err
}

func TestAConnectionServesOneRequestAfterAnother(t *testing.T) {
	chunked := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nTrailer: x\r\n\r\n"
	failed := "HTTP/1.1 422 No\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	for name, tt := range map[string]struct {
		answer string
		conns  int64
	}{
		"a length":                   {says("x"), 1},
		"chunks and a trailer":       {chunked, 1},
		"an error":                   {failed, 1},
		"nothing":                    {"HTTP/1.1 204 No Content\r\n\r\n", 1},
		"after an announcement":      {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + says("x"), 1},
		"a farewell":                 {strings.Replace(says("x"), "\r\n", "\r\nConnection: close\r\n", 1), 3},
		"an old version":             {strings.Replace(says("x"), "HTTP/1.1", "HTTP/1.0", 1), 3},
		"an old version that stays":  {strings.Replace(says("x"), "HTTP/1.1 200 OK", "HTTP/1.0 200 OK\r\nConnection: keep-alive", 1), 3},
		"an answer that is not ours": {"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\nContent-Length: 0\r\n\r\n", 3},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %t", name, secure), func(t *testing.T) {
				w := newWire(t, secure, func(conn io.Writer, _, _ int) bool {
					_, err := io.WriteString(conn, tt.answer)
					return err == nil
				})
				f := w.fence(t)
				var want int
				for i := range 3 {
					resp, body := f.Get(t, "/api/v1/query?query=up")
					if i == 0 {
						want = resp.StatusCode
					}
					if resp.StatusCode != want {
						t.Errorf("request %d got %d %s", i, resp.StatusCode, body)
					}
				}
				if got := w.conns.Load(); got != tt.conns {
					t.Errorf("%d connections, want %d", got, tt.conns)
				}
			})
		}
	}
}

// A connection that has served before may be closed in the moment in which it is
// used again; a new one that is closed says that something is wrong.
func TestOnlyAUsedConnectionIsWorthAnotherTry(t *testing.T) {
	for name, tt := range map[string]struct {
		second string // what the second request of a connection gets
		status int
		conns  int64
	}{
		"nothing":                {"", 200, 2},
		"the beginning":          {"HTTP/1.1 200 O", 502, 1},
		"announcements, forever": {strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100), 502, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, false, func(conn io.Writer, _, n int) bool {
				if n == 0 {
					_, _ = io.WriteString(conn, says("x"))
					return true
				}
				_, _ = io.WriteString(conn, tt.second)
				return false
			})
			f := w.fence(t)
			for name, ask := range map[string]func() *http.Request{
				"GET":  func() *http.Request { return f.Request(t, http.MethodGet, "/api/v1/query?query=up", "") },
				"POST": func() *http.Request { return f.Request(t, http.MethodPost, "/api/v1/query", "query=up") },
			} {
				before := w.conns.Load()
				if resp, body := f.Do(t, ask()); resp.StatusCode != http.StatusOK {
					t.Fatalf("%s, the first request: %d %s", name, resp.StatusCode, body)
				}
				resp, body := f.Do(t, ask())
				if resp.StatusCode != tt.status || w.conns.Load()-before > tt.conns {
					t.Errorf("%s: %d %s over %d connections", name, resp.StatusCode, body, w.conns.Load()-before)
				}
			}
		})
	}
	t.Run("a new one", func(t *testing.T) {
		w := newWire(t, false, func(io.Writer, int, int) bool { return false })
		f := w.fence(t)
		if resp, body := f.Get(t, "/api/v1/query?query=up"); resp.StatusCode != http.StatusBadGateway || w.conns.Load() != 1 {
			t.Errorf("%d %s over %d connections", resp.StatusCode, body, w.conns.Load())
		}
	})
}

// The time limit holds for the way there, too.
func TestUpstreamThatDoesNotReadIsLeft(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var answers atomic.Bool
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			if answers.Load() {
				_, _ = io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
			}
		}
	}()
	const size = 8 << 20 // more than the sockets hold
	f := newFence(t, func(o *proxy.Options) {
		o.Upstream, o.UpstreamTimeout = &url.URL{Scheme: "http", Host: ln.Addr().String()}, 500*time.Millisecond
		o.Limits.BodyBytes = 2 * size
	})
	large := func() *http.Request {
		return f.Request(t, http.MethodPost, "/api/v1/query", "query=up&stats="+strings.Repeat("x", size))
	}
	resp, body := f.Do(t, large())
	wantError(t, resp, body, http.StatusGatewayTimeout, "timeout", "did not answer in time")
	// What it has said before is its answer.
	answers.Store(true)
	resp, body = f.Do(t, large())
	wantError(t, resp, body, http.StatusRequestEntityTooLarge, "too_large", "could not answer")
}

// Nor does it matter where in an answer the upstream stops.
func TestUpstreamThatStopsInTheHeaderIsLeft(t *testing.T) {
	for _, begun := range []string{"HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 103 Early Hints\r\n\r\nHTT"} {
		w := newWire(t, false, func(conn io.Writer, _, _ int) bool {
			_, _ = io.WriteString(conn, begun)
			time.Sleep(time.Second)
			return false
		})
		f := newFence(t, func(o *proxy.Options) { o.Upstream, o.UpstreamTimeout = w.url, 200*time.Millisecond })
		resp, body := f.Get(t, "/api/v1/query?query=up")
		wantError(t, resp, body, http.StatusGatewayTimeout, "timeout", "did not answer in time")
	}
}

// The time limit on the way to an upstream is not that of its answer.
func TestUpstreamThatTakesNoConnectionIsUnreachable(t *testing.T) {
	t.Parallel()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for full := false; !full; { // nobody accepts: one waits, and then no other comes in
		conn, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if full = err != nil; !full {
			defer conn.Close()
		}
	}
	f := newFence(t, func(o *proxy.Options) { o.Upstream = &url.URL{Scheme: "http", Host: address} })
	resp, body := f.Get(t, "/api/v1/query?query=up")
	wantError(t, resp, body, http.StatusBadGateway, "bad_gateway", "could not be reached")
}

// More callers at once than connections are kept for leave no more than those.
func TestIdleConnectionsAreBoundedAndEnd(t *testing.T) {
	const callers, kept = 10, 3
	open := map[net.Conn]bool{}
	var mu sync.Mutex
	var all sync.WaitGroup
	all.Add(callers)
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		all.Done()
		all.Wait() // until all have come
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, success)
	}))
	up.Config.ConnState = func(conn net.Conn, s http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		switch s {
		case http.StateNew:
			open[conn] = true
		case http.StateClosed:
			delete(open, conn)
		}
	}
	up.Start()
	defer up.Close()
	f := newFence(t, func(o *proxy.Options) {
		o.Upstream, o.MaxIdleConnections = &url.URL{Scheme: "http", Host: up.Listener.Addr().String()}, kept
	})
	var callersDone sync.WaitGroup
	for range callers {
		callersDone.Go(func() {
			if resp, body := f.Get(t, "/api/v1/query?query=up"); resp.StatusCode != http.StatusOK {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		})
	}
	callersDone.Wait()
	wait := func(want int) {
		t.Helper()
		got := -1
		for range 200 {
			mu.Lock()
			got = len(open)
			mu.Unlock()
			if got == want {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("%d connections are open, want %d", got, want)
	}
	wait(kept)
	f.Proxy.Close()
	wait(0)
}
