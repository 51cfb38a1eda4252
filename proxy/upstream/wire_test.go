package upstream_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/proxy/upstream"
)

func TestMain(m *testing.M) { os.Exit(authtest.RunWaiting(m)) }

// patience bounds how long a test waits for what happens at once.
const patience = time.Minute

// A wire is an upstream that is scripted to the byte. It answers the nth request
// of the mth connection, both counted from 0, as said; false closes the
// connection.
type wire struct {
	url   *url.URL
	tls   *tls.Config // what a client needs to believe it
	conns atomic.Int64
}

type answer func(conn net.Conn, m, n int) bool

func newWire(t *testing.T, secure bool, answer answer) *wire {
	t.Helper()
	return serveWire(t, secure, func(conn net.Conn, m int) {
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
	})
}

// serveWire hands over each connection as it comes, and closes it afterwards.
func serveWire(t *testing.T, secure bool, serve func(conn net.Conn, m int)) *wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{url: &url.URL{Scheme: "http", Host: ln.Addr().String()}}
	if secure {
		w.url.Scheme = "https"
		var server *tls.Config
		server, w.tls = certificate(t)
		ln = tls.NewListener(heldListener{ln}, server)
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
				serve(conn, m)
			}()
		}
	}()
	return w
}

// certificate is a server's side of TLS, and a client's that believes it.
func certificate(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	t.Cleanup(s.Close)
	ca := x509.NewCertPool()
	ca.AddCert(s.Certificate())
	return &tls.Config{Certificates: s.TLS.Certificates}, &tls.Config{RootCAs: ca}
}

func (w *wire) client(t *testing.T, change func(*upstream.Options)) *upstream.Client {
	t.Helper()
	o := upstream.Options{URL: w.url, TLS: w.tls, Timeout: time.Minute, MaxIdleConnections: 16}
	if change != nil {
		change(&o)
	}
	c := upstream.New(o)
	t.Cleanup(c.Close)
	return c
}

func get(ctx context.Context, t *testing.T) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://upstream/api/v1/query?query=up", nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func post(ctx context.Context, t *testing.T, size int) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://upstream/api/v1/query", nil)
	if err != nil {
		t.Fatal(err)
	}
	upstream.SetBody(r, strings.Repeat("x", size))
	return r
}

// send asks, and reads the whole answer.
func send(c *upstream.Client, r *http.Request, kind upstream.Kind) (status int, body string, err error) {
	resp, err := c.Send(r, kind)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(all), err
}

// says is an answer with a text in it.
func says(text string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
}

// hungUp waits until the other side of a connection has closed it.
func hungUp(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, conn)
	return err == nil || !errors.Is(err, context.DeadlineExceeded) && !upstream.IsTimeout(err)
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
