package proxy_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
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
	t.Parallel() // it waits
	f := newFence(t, func(o *proxy.Options) { o.StallTimeout = 300 * time.Millisecond })
	hungUp := make(chan struct{})
	f.Answer(endless(hungUp))
	f.Send(t, "/api/v1/query?query=up")
	select {
	case <-hungUp:
	case <-time.After(time.Minute):
		t.Fatal("the answer is still held for somebody who does not read it")
	}
}

func TestHTTP2CallerWhoStopsReadingIsLeft(t *testing.T) {
	t.Parallel() // it waits
	f := newFence(t, func(o *proxy.Options) { o.StallTimeout = time.Second })
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
	case <-time.After(time.Minute):
		t.Fatal("the answer is still held for somebody who does not read it")
	}
	if _, status := ask("/-/healthy"); status != http.StatusOK { // on the same connection
		t.Error(status)
	}
}

// It takes several times as long as a caller may take nothing.
func TestCallerWhoReadsSlowlyGetsTheWholeAnswer(t *testing.T) {
	t.Parallel() // it waits
	const size, stall, pause = 20 * megabyte, 800 * time.Millisecond, 200 * time.Millisecond
	f := newFence(t, func(o *proxy.Options) { o.StallTimeout = stall })
	f.Answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, size)) })
	client := &http.Client{Transport: &http.Transport{DialContext: smallWindow}}
	steady(t, func() (failure string) {
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
				return fmt.Sprintf("after %d bytes and %s: %v", n, time.Since(begin), err)
			}
			time.Sleep(pause)
		}
		if n != size || time.Since(begin) < 2*stall {
			t.Fatalf("%d bytes in %s", n, time.Since(begin))
		}
		return ""
	})
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
	t.Parallel() // it waits
	const stall = 600 * time.Millisecond
	f := newFence(t, func(o *proxy.Options) { o.StallTimeout = stall })
	f.Answer(func(w http.ResponseWriter, _ *http.Request) {
		for range 2 {
			time.Sleep(stall + stall/4)
			_, _ = w.Write([]byte("x"))
			_ = http.NewResponseController(w).Flush()
		}
	})
	h2 := httptest.NewUnstartedServer(f.Proxy)
	h2.EnableHTTP2 = true
	h2.StartTLS()
	t.Cleanup(h2.Close)
	for proto, client := range map[string]*http.Client{"HTTP/1.1": http.DefaultClient, "HTTP/2.0": h2.Client()} {
		t.Run(proto, func(t *testing.T) {
			t.Parallel()
			steady(t, func() (failure string) {
				for range 2 { // the second request finds the connection as the first left it
					r := f.Request(t, http.MethodPost, "/api/v1/query", "query=up")
					if proto == "HTTP/2.0" {
						r.URL.Scheme, r.URL.Host = "https", strings.TrimPrefix(h2.URL, "https://")
					}
					r.Header.Set("Expect", "100-continue")
					resp, err := client.Do(r)
					if err != nil {
						return err.Error()
					}
					body, err := io.ReadAll(resp.Body)
					_ = resp.Body.Close()
					if err != nil || string(body) != "xx" || resp.Proto != proto {
						return fmt.Sprintf("%s %d %q %v", resp.Proto, resp.StatusCode, body, err)
					}
				}
				return ""
			})
		})
	}
}

func TestUpstreamThatStopsInTheMiddleIsLeft(t *testing.T) {
	t.Parallel() // it waits
	f := newFence(t, func(o *proxy.Options) { o.UpstreamTimeout = 500 * time.Millisecond })
	hungUp := make(chan struct{}, 20)
	f.Answer(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(bytes.Repeat([]byte("x"), 1000))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		hungUp <- struct{}{}
	})
	for begun := false; !begun; { // on a busy machine the answer may begin too late
		resp, err := http.DefaultClient.Do(f.Request(t, http.MethodGet, "/api/v1/query?query=up", ""))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		begun = resp.StatusCode != http.StatusGatewayTimeout
		if body, err := io.ReadAll(resp.Body); begun && err == nil {
			t.Errorf("half an answer looks like a whole one: %d bytes", len(body))
		}
	}
	<-hungUp
	f.logged(t, "stopped in the middle")
}

func TestUpstreamThatPausesIsWaitedFor(t *testing.T) {
	t.Parallel()                                                        // it waits
	const limit, pause = 800 * time.Millisecond, 200 * time.Millisecond // five pauses are more than the limit
	f := newFence(t, func(o *proxy.Options) { o.UpstreamTimeout = limit })
	f.Answer(func(w http.ResponseWriter, _ *http.Request) {
		for range 5 {
			_, _ = w.Write([]byte("x"))
			_ = http.NewResponseController(w).Flush()
			time.Sleep(pause)
		}
	})
	steady(t, func() (failure string) {
		resp, err := http.DefaultClient.Do(f.Request(t, http.MethodGet, "/api/v1/query?query=up", ""))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusOK || string(body) != "xxxxx" || err != nil {
			return fmt.Sprintf("%d %q %v", resp.StatusCode, body, err)
		}
		return ""
	})
}

// An upstream that stops before anything of its answer has left is told from one that
// breaks off, whatever reads the answer, in words that name no address.
func TestAnAnswerThatStopsBeforeAnythingLeftIsA504(t *testing.T) {
	t.Parallel() // it waits
	f := newFence(t, func(o *proxy.Options) { o.UpstreamTimeout = 500 * time.Millisecond })
	var zipped bytes.Buffer
	zw := gzip.NewWriter(&zipped)
	_, _ = zw.Write([]byte(`{"status":"success","data":{"groups":[`))
	_ = zw.Flush()
	for name, tt := range map[string]struct {
		path, encoding, begun, length string
	}{
		"passed on":               {"/api/v1/query?query=up", "", `{"status":`, "10000"},
		"passed on, gzip":         {"/api/v1/query?query=up", "gzip", zipped.String()[:5], ""},
		"filtered":                {"/api/v1/rules", "", `{"status":"success","data":{"groups":[`, "10000"},
		"filtered, gzip":          {"/api/v1/rules", "gzip", zipped.String(), ""},
		"filtered, gzip's header": {"/api/v1/rules", "gzip", zipped.String()[:5], ""},
	} {
		t.Run(name, func(t *testing.T) {
			f.Answer(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if tt.encoding != "" {
					w.Header().Set("Content-Encoding", tt.encoding)
				}
				if tt.length != "" {
					w.Header().Set("Content-Length", tt.length)
				}
				_, _ = io.WriteString(w, tt.begun)
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			})
			for range 100 { // on a busy machine the answer may begin too late
				resp, body := f.Get(t, tt.path)
				if strings.Contains(body, "did not answer in time") {
					continue
				}
				wantError(t, resp, body, http.StatusGatewayTimeout, "timeout", "stopped in the middle of its answer")
				if strings.Contains(body, "127.0.0.1") {
					t.Errorf("the address reached the caller: %s", body)
				}
				return
			}
			t.Error("the answer never began in time")
		})
	}
}
