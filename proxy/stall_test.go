package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/proxy"
)

const megabyte = 1 << 20

// endless answers with more than all buffers on the way hold, and tells when
// promfence has hung up.
func endless(hungUp chan<- struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, megabyte)); err != nil {
				close(hungUp)
				return
			}
		}
	}
}

func TestCallerWhoStopsReadingIsLeft(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.StallTimeout = 300 * time.Millisecond })
	hungUp := make(chan struct{})
	f.Answer(endless(hungUp))
	f.Send(t, "/api/v1/query?query=up")
	select {
	case <-hungUp:
	case <-time.After(20 * time.Second):
		t.Fatal("the answer is still held for somebody who does not read it")
	}
}

func TestHTTP2CallerWhoStopsReadingIsLeft(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.StallTimeout = 300 * time.Millisecond })
	hungUp := make(chan struct{})
	f.Answer(endless(hungUp))
	h2 := httptest.NewUnstartedServer(f.Proxy)
	h2.EnableHTTP2 = true
	h2.StartTLS()
	t.Cleanup(h2.Close)
	ask := func(path string) (proto string, status int) {
		t.Helper()
		r := f.Request(t, http.MethodGet, path, "")
		r.URL.Scheme, r.URL.Host = "https", strings.TrimPrefix(h2.URL, "https://")
		resp, err := h2.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp.Proto, resp.StatusCode
	}
	if proto, _ := ask("/api/v1/query?query=up"); proto != "HTTP/2.0" {
		t.Fatal(proto)
	}
	select {
	case <-hungUp:
	case <-time.After(20 * time.Second):
		t.Fatal("the answer is still held for somebody who does not read it")
	}
	if _, status := ask("/-/healthy"); status != http.StatusOK { // on the same connection
		t.Error(status)
	}
}

// It takes several times as long as a caller may take nothing.
func TestCallerWhoReadsSlowlyGetsTheWholeAnswer(t *testing.T) {
	const size, stall = 20 * megabyte, 500 * time.Millisecond
	f := newFence(t, func(o *proxy.Options) { o.StallTimeout = stall })
	f.Answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, size)) })
	client := &http.Client{Transport: &http.Transport{DialContext: smallWindow}}
	resp, err := client.Do(f.Request(t, http.MethodGet, "/api/v1/query?query=up", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	begin, n := time.Now(), int64(0)
	for {
		m, err := io.CopyN(io.Discard, resp.Body, 2*megabyte)
		if n += m; errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("after %d bytes and %s: %v", n, time.Since(begin), err)
		}
		time.Sleep(stall / 3)
	}
	if n != size || time.Since(begin) < 2*stall {
		t.Errorf("%d bytes in %s", n, time.Since(begin))
	}
}

// smallWindow dials with a receive buffer that a fast sender fills at once.
func smallWindow(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if tcp, ok := conn.(*net.TCPConn); ok {
		err = tcp.SetReadBuffer(64 << 10)
	}
	return conn, err
}

// Neither is an upstream cut off that thinks, or pauses, for longer than a
// caller may take nothing.
func TestThinkingIsNotStalling(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.StallTimeout = 50 * time.Millisecond })
	f.Answer(func(w http.ResponseWriter, _ *http.Request) {
		for range 3 {
			time.Sleep(200 * time.Millisecond)
			_, _ = w.Write([]byte("x"))
			_ = http.NewResponseController(w).Flush()
		}
		time.Sleep(200 * time.Millisecond)
	})
	h2 := httptest.NewUnstartedServer(f.Proxy)
	h2.EnableHTTP2 = true
	h2.StartTLS()
	t.Cleanup(h2.Close)
	for proto, client := range map[string]*http.Client{"HTTP/1.1": http.DefaultClient, "HTTP/2.0": h2.Client()} {
		t.Run(proto, func(t *testing.T) {
			for range 2 { // the second request finds the connection as the first left it
				r := f.Request(t, http.MethodPost, "/api/v1/query", "query=up")
				if proto == "HTTP/2.0" {
					r.URL.Scheme, r.URL.Host = "https", strings.TrimPrefix(h2.URL, "https://")
				}
				r.Header.Set("Expect", "100-continue")
				resp, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || string(body) != "xxx" || resp.Proto != proto {
					t.Errorf("%s %d %q %v", resp.Proto, resp.StatusCode, body, err)
				}
			}
		})
	}
}

func TestUpstreamThatStopsInTheMiddleIsLeft(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.UpstreamTimeout = 300 * time.Millisecond })
	hungUp := make(chan struct{})
	f.Answer(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(bytes.Repeat([]byte("x"), 1000))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(hungUp)
	})
	resp, err := http.DefaultClient.Do(f.Request(t, http.MethodGet, "/api/v1/query?query=up", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("half an answer looks like a whole one: %d bytes", len(body))
	}
	<-hungUp
	f.logged(t, "stopped in the middle")
}

func TestUpstreamThatPausesIsWaitedFor(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.UpstreamTimeout = 400 * time.Millisecond })
	f.Answer(func(w http.ResponseWriter, _ *http.Request) {
		for range 5 {
			_, _ = w.Write([]byte("x"))
			_ = http.NewResponseController(w).Flush()
			time.Sleep(150 * time.Millisecond)
		}
	})
	if resp, body := f.Get(t, "/api/v1/query?query=up"); resp.StatusCode != http.StatusOK || body != "xxxxx" {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
}
