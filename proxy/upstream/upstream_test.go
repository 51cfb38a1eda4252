package upstream_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/promfence/promfence/proxy/upstream"
)

// The time limit on the way to an upstream is not that of its answer.
func TestAnUpstreamThatTakesNoConnectionIsUnreached(t *testing.T) {
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
	w := &wire{url: &url.URL{Scheme: "http", Host: address}}
	c := w.client(t, nil)
	c.DialWithin(200 * time.Millisecond)
	begin := time.Now()
	_, _, err = send(c, get(t.Context(), t), upstream.Streamed)
	if !errors.Is(err, upstream.ErrUnreached) || !upstream.IsTimeout(err) || time.Since(begin) > 2*patience {
		t.Errorf("%v after %s", err, time.Since(begin))
	}
}

// A proxy on the way would read everything, and answer what it likes.
func TestTheUpstreamIsAskedThroughNoProxy(t *testing.T) {
	proxy := newWire(t, false, func(conn net.Conn, _, _ int) bool {
		_, _ = io.WriteString(conn, says("from a proxy"))
		return true
	})
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		t.Setenv(name, proxy.url.String())
	}
	for _, name := range []string{"NO_PROXY", "no_proxy"} {
		t.Setenv(name, "")
	}
	for _, secure := range []bool{false, true} {
		w := newWire(t, secure, func(conn net.Conn, _, _ int) bool {
			_, _ = io.WriteString(conn, says("from the upstream"))
			return true
		})
		if _, body, err := send(w.client(t, nil), get(t.Context(), t), upstream.Streamed); err != nil || body != "from the upstream" {
			t.Errorf("%q %v", body, err)
		}
	}
	if n := proxy.conns.Load(); n > 0 {
		t.Errorf("the proxy got %d connections", n)
	}
}

func TestAnUpstreamBehindAUnixSocketIsAsked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "up.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	conns := make(chan net.Conn, 10)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conns <- conn
			go func() {
				br := bufio.NewReader(conn)
				for {
					r, err := http.ReadRequest(br)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					_, _ = io.WriteString(conn, says(r.Host))
				}
			}()
		}
	}()
	w := &wire{url: &url.URL{Scheme: "unix", Path: path}}
	c := w.client(t, nil)
	for range 3 {
		if _, body, err := send(c, get(t.Context(), t), upstream.Streamed); err != nil || body != "upstream" {
			t.Errorf("%q %v", body, err)
		}
	}
	if len(conns) != 1 {
		t.Errorf("%d connections, want 1", len(conns))
	}
	_ = (<-conns).Close()
	time.Sleep(20 * time.Millisecond) // it has come
	if _, body, err := send(c, get(t.Context(), t), upstream.Streamed); err != nil || body != "upstream" {
		t.Errorf("after the connection was closed: %q %v", body, err)
	}
}
