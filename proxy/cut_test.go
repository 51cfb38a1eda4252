package proxy_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

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
