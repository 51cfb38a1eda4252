package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
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

// TestMain lets more tests run at a time than there are processors: those of time
// limits wait and compute next to nothing.
func TestMain(m *testing.M) {
	flag.Parse()
	named := false
	flag.Visit(func(f *flag.Flag) { named = named || f.Name == "test.parallel" })
	if !named {
		_ = flag.Set("test.parallel", "16")
	}
	os.Exit(m.Run())
}

// inTime repeats a try until it passes, and fails when one fails that the machine gave
// its time: try returns the longest pause, which may be twice as long as is meant.
func inTime(t *testing.T, meant time.Duration, try func() (longest time.Duration, failure string)) {
	t.Helper()
	for range 20 {
		switch longest, failure := try(); {
		case failure == "":
			return
		case longest < 2*meant:
			t.Fatal(failure)
		}
	}
	t.Fatalf("a pause of %s takes more than twice as long each time", meant)
}

// It takes several times as long as a caller may take nothing.
func TestCallerWhoReadsSlowlyGetsTheWholeAnswer(t *testing.T) {
	t.Parallel() // it waits
	const size, stall, pause = 20 * megabyte, 800 * time.Millisecond, 200 * time.Millisecond
	f := newFence(t, func(o *proxy.Options) { o.StallTimeout = stall })
	f.Answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, size)) })
	client := &http.Client{Transport: &http.Transport{DialContext: smallWindow}}
	inTime(t, pause, func() (longest time.Duration, failure string) {
		resp, err := client.Do(f.Request(t, http.MethodGet, "/api/v1/query?query=up", ""))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		begin, n := time.Now(), int64(0)
		for {
			paused := time.Now()
			m, err := io.CopyN(io.Discard, resp.Body, 2*megabyte)
			if n += m; errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return longest, fmt.Sprintf("after %d bytes and %s: %v", n, time.Since(begin), err)
			}
			time.Sleep(pause)
			longest = max(longest, time.Since(paused))
		}
		if n != size || time.Since(begin) < 2*stall {
			return 0, fmt.Sprintf("%d bytes in %s", n, time.Since(begin))
		}
		return longest, ""
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
				if err != nil || string(body) != "xx" || resp.Proto != proto {
					t.Errorf("%s %d %q %v", resp.Proto, resp.StatusCode, body, err)
				}
			}
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
	paused := make(chan time.Duration, 20)
	f.Answer(func(w http.ResponseWriter, _ *http.Request) {
		longest := time.Duration(0)
		for range 5 {
			begin := time.Now()
			_, _ = w.Write([]byte("x"))
			_ = http.NewResponseController(w).Flush()
			time.Sleep(pause)
			longest = max(longest, time.Since(begin))
		}
		paused <- longest
	})
	inTime(t, pause, func() (longest time.Duration, failure string) {
		resp, err := http.DefaultClient.Do(f.Request(t, http.MethodGet, "/api/v1/query?query=up", ""))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		select {
		case longest = <-paused:
		case <-time.After(time.Minute):
			t.Fatal("the upstream was not asked")
		}
		if resp.StatusCode != http.StatusOK || string(body) != "xxxxx" || err != nil {
			failure = fmt.Sprintf("%d %q %v", resp.StatusCode, body, err)
		}
		return longest, failure
	})
}

// cut answers with what was begun, and breaks the connection: by a reset, which may
// overtake what was begun, or by its end, which comes behind.
func cut(begun string, reset bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, begun)
		if tcp, ok := conn.(*net.TCPConn); ok && reset {
			time.Sleep(50 * time.Millisecond) // what was begun is mostly read by now
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
}

// Many clients repeat a request whose connection closes without a word: the query
// would then be sent again and again to whoever dies of it.
func TestAnAnswerThatIsCutBeforeAnythingLeftIsA502(t *testing.T) {
	t.Parallel() // it waits
	const header = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	f := newFence(t, nil)
	for name, begun := range map[string]string{
		"nothing":                        "",
		"a part of the header":           header,
		"the header":                     header + "Content-Length: 1000\r\n\r\n",
		"a part of the body":             header + "Content-Length: 1000\r\n\r\n{\"status\":",
		"a part, as much as is buffered": header + "Content-Length: 100000\r\n\r\n{" + strings.Repeat(" ", 4000),
		"the header, of chunks":          header + "Transfer-Encoding: chunked\r\n\r\n",
		"the begin of a chunk":           header + "Transfer-Encoding: chunked\r\n\r\n400\r\n",
		"the header, without length":     header + "\r\n",
	} {
		for _, path := range []string{"/api/v1/query", "/api/v1/rules"} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				if path == "/api/v1/rules" && method == http.MethodPost {
					continue
				}
				t.Run(name+", "+method+" "+path, func(t *testing.T) {
					f.Answer(cut(begun, true))
					before := len(f.Asked())
					r := f.Request(t, method, path+"?query=up", "")
					if method == http.MethodPost {
						r = f.Request(t, method, path, "query=up")
					}
					resp, body := f.Do(t, r)
					wantError(t, resp, body, http.StatusBadGateway, "bad_gateway", resp.Header.Get("X-Request-Id"))
					if n := len(f.Asked()) - before; n != 1 {
						t.Errorf("the upstream was asked %d times", n)
					}
				})
			}
		}
	}
}

// An answer without a length ends with its connection over HTTP/1.0, and with its last
// chunk or frame later.
func TestAnAnswerThatIsCutLaterLooksCut(t *testing.T) {
	f := newFence(t, nil)
	f.Answer(cut("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\na\r\n{\"status\":\r\n", false))
	for _, version := range []string{"HTTP/1.0", "HTTP/1.1"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(f.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "GET /api/v1/query?query=up "+version+"\r\nHost: x\r\nAuthorization: Bearer "+f.Issuer.Token(t, "acme", nil)+"\r\n\r\n")
		got, err := io.ReadAll(conn)
		if !strings.Contains(string(got), " 200 OK") || err == nil && (version == "HTTP/1.0" || strings.HasSuffix(string(got), "0\r\n\r\n")) {
			t.Errorf("%s: %q, %v", version, got, err)
		}
	}
	h2 := httptest.NewUnstartedServer(f.Proxy)
	h2.EnableHTTP2 = true
	h2.StartTLS()
	t.Cleanup(h2.Close)
	r := f.Request(t, http.MethodGet, "/api/v1/query?query=up", "")
	r.URL.Scheme, r.URL.Host = "https", strings.TrimPrefix(h2.URL, "https://")
	resp, err := h2.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %d %q", resp.Proto, resp.StatusCode, body)
	}
}
