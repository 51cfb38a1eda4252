package proxy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/proxy"
)

// A pipes is a listener in memory, so that time can be a bubble's.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{} }

// explained serves what promfence answers by itself, in a bubble: how long a
// request waits is then exact.
func explained(t *testing.T) (listener pipes, token string) {
	t.Helper()
	issuer := authtest.NewOfflineIssuer(t)
	issuer.Rotate(authtest.NewKey(t, "ES256")) // cheap to make
	a, err := auth.New(auth.Options{Issuer: issuer.URL, Audience: []string{authtest.Audience}, JWKSURL: issuer.JWKSURL, HTTPClient: issuer.Client()})
	if err != nil {
		t.Fatal(err)
	}
	runAuthenticator(t, a)
	synctest.Wait()
	p, err := proxy.New(proxy.Options{
		Auth: a, Ready: a.Ready, Upstream: &url.URL{Scheme: "http", Host: "upstream.test"}, MaxIdleConnections: 1, Label: "tenant_id",
		Limits: proxy.Limits{QueryBytes: 64 << 10, QueryDepth: 100, QueryTerms: 2000, Selectors: 1000, BodyBytes: 1 << 20},
	})
	if err != nil {
		t.Fatal(err)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{Handler: p, Protocols: &protocols}
	listener = make(pipes)
	done := make(chan error)
	go func() { done <- s.Serve(listener) }()
	t.Cleanup(func() {
		close(listener)
		if err := <-done; err == nil {
			t.Error("the server ended without saying why")
		}
		_ = s.Close()
	})
	return listener, issuer.Token(t, "acme", nil)
}

// A body in parts, each after a pause.
type parts []struct {
	after time.Duration
	text  string
}

func (p parts) length() (n int) {
	for _, part := range p {
		n += len(part.text)
	}
	return n
}

var slowBodies = []struct {
	name  string
	parts parts
	want  string
	takes time.Duration
}{
	{"at once", parts{{0, "query=up"}}, "200", 0},
	{"a pause", parts{{0, "que"}, {4900 * time.Millisecond, "ry=up"}}, "200", 4900 * time.Millisecond},
	{"a late beginning", parts{{4900 * time.Millisecond, "query=up"}}, "200", 4900 * time.Millisecond},
	{"too long a pause", parts{{0, "que"}, {time.Hour, "ry=up"}}, "408", 5 * time.Second},
	{"no beginning", parts{{time.Hour, "query=up"}}, "408", 5 * time.Second},
	{"51 kB at 12 kB/s", append(parts{{0, "query=up&x="}}, slow(17, 3<<10, 250*time.Millisecond)...), "200", 17 * 250 * time.Millisecond},
	{"29 s in all", append(parts{{0, "query=up&x="}}, slow(29, 1, time.Second)...), "200", 29 * time.Second},
	{"more than 30 s in all", append(parts{{0, "query=up&x="}}, slow(3600, 1, time.Second)...), "408", 30 * time.Second},
}

func slow(n, size int, each time.Duration) (p parts) {
	for range n {
		p = append(p, parts{{each, strings.Repeat("x", size)}}...)
	}
	return p
}

func TestSlowBodiesMayPauseAndMustEnd(t *testing.T) {
	const head = "POST /api/v1/metrics/explain HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nAuthorization: Bearer "
	for _, tt := range slowBodies {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, chunked %t", tt.name, chunked), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					listener, token := explained(t)
					ours, theirs := net.Pipe()
					listener <- theirs
					begin := time.Now()
					go func() {
						framing := fmt.Sprintf("Content-Length: %d\r\n\r\n", tt.parts.length())
						if chunked {
							framing = "Transfer-Encoding: chunked\r\n\r\n"
						}
						_, _ = io.WriteString(ours, head+token+"\r\n"+framing)
						for _, part := range tt.parts {
							select {
							case <-time.After(part.after):
							case <-t.Context().Done():
								return
							}
							text := part.text
							if chunked {
								text = fmt.Sprintf("%x\r\n%s\r\n", len(text), text)
							}
							if _, err := io.WriteString(ours, text); err != nil {
								return // it was not waited for
							}
						}
						if chunked {
							_, _ = io.WriteString(ours, "0\r\n\r\n")
						}
					}()
					resp, err := http.ReadResponse(bufio.NewReader(ours), nil)
					if err != nil {
						t.Fatal(err)
					}
					defer resp.Body.Close()
					if took := time.Since(begin); !strings.HasPrefix(resp.Status, tt.want) || took < tt.takes || took > tt.takes+time.Second {
						t.Errorf("%s after %s, want %s after %s", resp.Status, took, tt.want, tt.takes)
					}
					_ = ours.Close()
				})
			})
		}
	}
}

func TestSlowBodiesOverHTTP2(t *testing.T) {
	for _, tt := range slowBodies {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener, token := explained(t)
				ours, theirs := net.Pipe()
				listener <- theirs
				defer ours.Close()
				status := make(chan string, 1)
				f := http2.NewFramer(ours, ours)
				f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
				go func() {
					for {
						frame, err := f.ReadFrame()
						if err != nil {
							return
						}
						if h, ok := frame.(*http2.MetaHeadersFrame); ok {
							status <- h.PseudoValue("status")
						}
					}
				}()
				var block bytes.Buffer
				e := hpack.NewEncoder(&block)
				for _, h := range [][2]string{
					{":method", "POST"},
					{":scheme", "http"},
					{":path", "/api/v1/metrics/explain"},
					{":authority", "x"},
					{"content-type", "application/x-www-form-urlencoded"},
					{"authorization", "Bearer " + token},
				} {
					_ = e.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]})
				}
				_, _ = io.WriteString(ours, http2.ClientPreface)
				_ = f.WriteSettings()
				_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
				begin := time.Now()
				go func() {
					for i, part := range tt.parts {
						select {
						case <-time.After(part.after):
						case <-t.Context().Done():
							return
						}
						if f.WriteData(1, i == len(tt.parts)-1, []byte(part.text)) != nil {
							return
						}
					}
				}()
				got := <-status
				if took := time.Since(begin); got != tt.want || took < tt.takes || took > tt.takes+time.Second {
					t.Errorf("%s after %s, want %s after %s", got, took, tt.want, tt.takes)
				}
				_ = ours.Close()
			})
		})
	}
}

// What is cut must not be executed: its beginning is another query.
func TestChunkedBodiesOverTheLimit(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.Limits.BodyBytes = 100 })
	for _, tt := range []struct {
		size   int
		status int
	}{{100, http.StatusOK}, {101, http.StatusRequestEntityTooLarge}, {5000, http.StatusRequestEntityTooLarge}} {
		body := "query=up&x="
		body += strings.Repeat("y", tt.size-len(body))
		r := f.Request(t, http.MethodPost, "/api/v1/query", "")
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), -1
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, answer := f.Do(t, r)
		if resp.StatusCode != tt.status {
			t.Errorf("%d bytes: %d %s", tt.size, resp.StatusCode, answer)
		}
		if asked := f.Asked(); (len(asked) > 0) != (tt.status == http.StatusOK) {
			t.Errorf("%d bytes: the upstream was asked %v", tt.size, asked)
		}
	}
}

// Two parsers could read them differently: one believes the first type, one the last.
func TestAmbiguousBodiesAreRefused(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	f := newFence(t, nil)
	for _, tt := range []struct {
		name, method string
		types        []string
		encoding     string
		status       int
	}{
		{"a form", "POST", []string{form}, "", http.StatusOK},
		{"as it is", "POST", []string{form}, "identity", http.StatusOK},
		{"a second type", "POST", []string{form, "application/json"}, "", http.StatusUnsupportedMediaType},
		{"the same type twice", "POST", []string{form, form}, "", http.StatusUnsupportedMediaType},
		{"compressed", "POST", []string{form}, "gzip", http.StatusUnsupportedMediaType},
		{"a body on GET", "GET", []string{form}, "", http.StatusBadRequest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := f.Request(t, tt.method, "/api/v1/query", "query=up")
			r.Header["Content-Type"] = tt.types
			if tt.encoding != "" {
				r.Header.Set("Content-Encoding", tt.encoding)
			}
			if resp, body := f.Do(t, r); resp.StatusCode != tt.status {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
			if asked := f.Asked(); (len(asked) > 0) != (tt.status == http.StatusOK) {
				t.Errorf("the upstream was asked %v", asked)
			}
		})
	}
}

// A body on GET in chunks has no length to be refused by.
func TestBodiesOfUnknownLengthOnGET(t *testing.T) {
	f := newFence(t, nil)
	for _, sent := range []string{"query=down", "time=1", "&", "x"} { // also what would change nothing as parameters
		r := f.Request(t, http.MethodGet, "/api/v1/query?query=up", "")
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(sent)), -1
		if resp, body := f.Do(t, r); resp.StatusCode != http.StatusBadRequest || f.Asked() != nil {
			t.Errorf("%s: %d %s", sent, resp.StatusCode, body)
		}
	}
}

// However many streams one caller opens, large bodies share 32 MiB; who finds no
// room is told to come again. Small bodies need none.
func TestLargeBodiesShareTheirMemory(t *testing.T) {
	const size, room = 1 << 20, 32
	f := newFence(t, nil)
	token := f.Issuer.Token(t, "acme", nil)
	post := func(body io.Reader, length int64) int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/query", body)
		r.ContentLength = length
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder() // no deadlines: a body may pause as long as the test needs
		f.Proxy.ServeHTTP(w, r)
		return w.Code
	}
	want := func(what, body string, status int) {
		t.Helper()
		if got := post(strings.NewReader(body), int64(len(body))); got != status {
			t.Errorf("%s: %d, want %d", what, got, status)
		}
	}
	large := "query=up&x=" + strings.Repeat("y", size-11)

	var ended sync.WaitGroup
	var begun []*io.PipeWriter
	for range room {
		body, sends := io.Pipe()
		ended.Go(func() {
			defer body.Close()
			if got := post(body, size); got != http.StatusBadRequest {
				t.Errorf("a body that broke off: %d", got)
			}
		})
		if _, err := io.WriteString(sends, large[:size/2]); err != nil { // returns when it was read
			t.Fatal(err)
		}
		begun = append(begun, sends)
	}
	want("one more large body", large, http.StatusServiceUnavailable)
	want("a small body", "query=up", http.StatusOK)
	for _, sends := range begun {
		_ = sends.CloseWithError(io.ErrUnexpectedEOF)
	}
	ended.Wait()
	want("a large body when the others are gone", large, http.StatusOK)
}
