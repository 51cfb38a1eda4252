package proxy_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/proxy"
	"github.com/promfence/promfence/proxy/record"
)

// An asked is what an upstream was asked.
type asked struct {
	Method, Path, Query, Body string
	Header                    http.Header
}

// form is the upstream's own reading of URL and body.
func (a asked) form(t *testing.T) url.Values {
	t.Helper()
	v, err := url.ParseQuery(a.Query)
	if err != nil {
		t.Fatal(err)
	}
	body, err := url.ParseQuery(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range body {
		v[name] = append(v[name], values...)
	}
	return v
}

// A fence is a promfence between a listener and an upstream that tests script.
type fence struct {
	URL      string
	Proxy    *proxy.Proxy
	Issuer   *authtest.Issuer
	Log      *lockedBuffer
	Metrics  *prometheus.Registry
	Upstream *httptest.Server

	mu     sync.Mutex
	asked  []asked
	answer http.HandlerFunc
}

const success = `{"status":"success","data":[]}`

// newFence starts both sides on real listeners; change adjusts the options.
func newFence(t *testing.T, change func(*proxy.Options)) *fence {
	t.Helper()
	f := &fence{Issuer: authtest.NewIssuer(t), Log: &lockedBuffer{}, Metrics: prometheus.NewRegistry()}
	f.Upstream = httptest.NewServer(f)
	t.Cleanup(f.Upstream.Close)
	target, err := url.Parse(f.Upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	authenticator, err := auth.New(auth.Options{
		Issuer: f.Issuer.URL, Audience: []string{"promfence"}, JWKSURL: f.Issuer.JWKSURL, Leeway: 30 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	runAuthenticator(t, authenticator)
	o := proxy.Options{
		Auth: authenticator, Ready: authenticator.Ready, Upstream: target, UpstreamTimeout: time.Minute,
		MaxIdleConnections: 16, CORSOrigins: []string{"*"}, Label: "tenant_id",
		Limits:  proxy.Limits{QueryBytes: 64 << 10, QueryDepth: 100, QueryTerms: 2000, Selectors: 1000, BodyBytes: 1 << 20},
		Options: record.Options{Logger: zerolog.New(f.Log).Level(zerolog.InfoLevel), Registerer: f.Metrics},
	}
	if change != nil {
		change(&o)
	}
	if f.Proxy, err = proxy.New(o); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(f.Proxy)
	server.Config.DisableGeneralOptionsHandler = true // as promfence's own server
	server.Start()
	t.Cleanup(server.Close)
	f.URL = server.URL
	return f
}

// with makes the fence's requests with tokens of another issuer.
func (f *fence) with(i *authtest.Issuer) *fence {
	f.Issuer = i
	return f
}

func runAuthenticator(t *testing.T, a *auth.Authenticator) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- a.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Errorf("the authenticator ended with %v", err)
		}
	})
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if a.Ready() == nil {
			return
		}
	}
	t.Fatal("no keys after 30 s")
}

// ServeHTTP is the upstream: it notes what it is asked, and answers as scripted.
func (f *fence) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	f.asked = append(f.asked, asked{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, string(body), r.Header.Clone()})
	answer := f.answer
	f.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	switch r.URL.Path {
	case "/federate":
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	case "/api/v1/read":
		w.Header().Set("Content-Type", "application/x-protobuf")
	default:
		w.Header().Set("Content-Type", "application/json")
	}
	_, _ = io.WriteString(w, success)
}

func (f *fence) Answer(h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = h
}

// Asked returns what the upstream was asked since the last call.
func (f *fence) Asked() []asked {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.asked
	f.asked = nil
	return a
}

// Request makes a request as acme.
func (f *fence) Request(t *testing.T, method, path, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, f.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Authorization", "Bearer "+f.Issuer.Token(t, "acme", nil))
	return r
}

// An answered is the head of an answer.
type answered struct {
	StatusCode      int
	Header, Trailer http.Header
}

// Do sends a request and reads its answer.
func (f *fence) Do(t *testing.T, r *http.Request) (answered, string) {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(client.CloseIdleConnections)
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{resp.StatusCode, resp.Header, resp.Trailer}, string(body)
}

// Get is Do for a GET as acme.
func (f *fence) Get(t *testing.T, path string) (answered, string) {
	t.Helper()
	return f.Do(t, f.Request(t, http.MethodGet, path, ""))
}

// Send sends a GET as acme, and leaves the answer on the connection.
func (f *fence) Send(t *testing.T, path string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := f.Request(t, http.MethodGet, path, "").Write(conn); err != nil {
		t.Fatal(err)
	}
	return conn
}

// wantError checks an answer of promfence's own, in Prometheus's shape.
func wantError(t *testing.T, resp answered, body string, status int, errorType, text string) {
	t.Helper()
	var e struct{ Status, ErrorType, Error string }
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatalf("not JSON: %v: %q", err, body)
	}
	if resp.StatusCode != status || e.Status != "error" || e.ErrorType != errorType || !strings.Contains(e.Error, text) {
		t.Errorf("got %d %s, want %d %s with %q", resp.StatusCode, body, status, errorType, text)
	}
	if resp.Header.Get("X-Request-Id") == "" || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("headers: %v", resp.Header)
	}
}

// A lockedBuffer is a log that requests write and a test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
