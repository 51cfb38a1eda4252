package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy"
	"github.com/promfence/promfence/proxy/record"
)

// everybody is acme: what proving it costs is measured in package auth.
type everybody struct{ tenants policy.Labels }

func (e everybody) Authenticate(*http.Request) (auth.Identity, error) {
	return auth.Identity{Subject: "alice", Labels: e.tenants}, nil
}

// answering listens on loopback and gives every request the same answer, for so
// little that a benchmark shows the proxy.
func answering(b *testing.B, body string) *url.URL {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go answerAll(conn, answer)
		}
	}()
	return &url.URL{Scheme: "http", Host: ln.Addr().String()}
}

func answerAll(conn net.Conn, answer []byte) {
	defer conn.Close()
	br := bufio.NewReaderSize(conn, 64<<10)
	for {
		length := 0
		for {
			line, err := br.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) <= 2 {
				break
			}
			if v, ok := strings.CutPrefix(string(line), "Content-Length: "); ok {
				length, _ = strconv.Atoi(strings.TrimSpace(v))
			}
		}
		_, _ = br.Discard(length)
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

func benchProxy(b *testing.B, upstream *url.URL) *proxy.Proxy {
	b.Helper()
	tenants, err := policy.ForTenants("tenant_id", "acme")
	if err != nil {
		b.Fatal(err)
	}
	p, err := proxy.New(proxy.Options{
		Auth: everybody{tenants}, Ready: func() error { return nil }, Upstream: upstream, MaxIdleConnections: 16,
		CORSOrigins: []string{"*"}, Label: "tenant_id",
		Limits:  proxy.Limits{QueryBytes: 64 << 10, QueryDepth: 100, QueryTerms: 2000, Selectors: 1000, BodyBytes: 1 << 20},
		Options: record.Options{Logger: zerolog.New(io.Discard), Registerer: prometheus.NewRegistry()},
	})
	if err != nil {
		b.Fatal(err)
	}
	return p
}

func post(path, form string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// A recorder takes deadlines, as a connection does.
type recorder struct{ *httptest.ResponseRecorder }

func (recorder) SetReadDeadline(time.Time) error  { return nil }
func (recorder) SetWriteDeadline(time.Time) error { return nil }

func serveOK(b *testing.B, h http.Handler, r *http.Request) {
	b.Helper()
	w := recorder{httptest.NewRecorder()}
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		b.Fatal(w.Code, w.Body.String())
	}
}

type buffers struct{ pool *sync.Pool }

func (p buffers) Get() []byte  { return p.pool.Get().([]byte) }
func (p buffers) Put(b []byte) { p.pool.Put(b) } //nolint:staticcheck // SA6002: the baseline may pay for a slice's header

// BenchmarkForward is a query on its way to an upstream and back, by promfence
// and by the same reverse proxy without it.
func BenchmarkForward(b *testing.B) {
	upstream := answering(b, `{"status":"success","data":{"resultType":"matrix","result":[`+strings.Repeat(`{"metric":{"code":"200","job":"api"},"values":[[1700000000,"1"],[1700000015,"2"]]},`, 11)+`{}]}}`)
	form := url.Values{"query": {`sum by (code) (rate(http_requests_total{job="api"}[5m]))`}, "start": {"1700000000"}, "end": {"1700003600"}, "step": {"15"}}.Encode()
	bare := &httputil.ReverseProxy{
		Rewrite:    func(r *httputil.ProxyRequest) { r.SetURL(upstream) },
		Transport:  &http.Transport{MaxIdleConnsPerHost: 16, DisableCompression: true},
		BufferPool: buffers{&sync.Pool{New: func() any { return make([]byte, 32<<10) }}},
	}
	for name, h := range map[string]http.Handler{"promfence": benchProxy(b, upstream), "bare": bare} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				serveOK(b, h, post("/api/v1/query_range", form))
			}
		})
	}
}

// BenchmarkScope narrows queries that promfence has seen before, and new ones.
// Its own answer to /explain needs no upstream.
func BenchmarkScope(b *testing.B) {
	const part = `sum by (code) (rate(http_requests_total{job="api",code=~"5.."}[5m]))`
	h := benchProxy(b, &url.URL{Scheme: "http", Host: "127.0.0.1:1"})
	for _, parts := range []int{0, 1, 5, 25, 100} {
		query := "up" + strings.Repeat(" + "+part, parts)
		b.Run(fmt.Sprintf("%d bytes seen before", len(query)), func(b *testing.B) {
			form := url.Values{"query": {query}}.Encode()
			b.ReportAllocs()
			for b.Loop() {
				serveOK(b, h, post("/api/v1/metrics/explain", form))
			}
		})
		b.Run(fmt.Sprintf("%d bytes new", len(query)), func(b *testing.B) {
			n := 0
			form := url.Values{"query": {query}}.Encode()
			b.ReportAllocs()
			for b.Loop() {
				n++
				serveOK(b, h, post("/api/v1/metrics/explain", fmt.Sprintf("%s%%20%%2B%%20x%d", form, n)))
			}
		})
	}
}
