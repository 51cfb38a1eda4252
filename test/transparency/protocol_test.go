package transparency_test

import (
	"bufio"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/fence"
	"github.com/promfence/promfence/test/harness/upstream"
)

// A slow upstream sends the beginning of an answer and says when; the rest it
// sends only once the caller has that beginning.
type slow struct {
	*upstream.Recorder
	sent chan time.Time
	rest chan struct{}
}

func newSlow(t *testing.T, contentType, begin, end string) *slow {
	t.Helper()
	s := &slow{sent: make(chan time.Time, 1), rest: make(chan struct{}, 1)}
	s.Recorder = upstream.Stub(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		out, flush := io.Writer(w), func() {}
		if r.Header.Get("Accept-Encoding") == "gzip" {
			w.Header().Set("Content-Encoding", "gzip")
			zw := gzip.NewWriter(w)
			defer zw.Close()
			out, flush = zw, func() { _ = zw.Flush() }
		}
		s.sent <- time.Now()
		_, _ = io.WriteString(out, begin)
		flush()
		_ = http.NewResponseController(w).Flush()
		select {
		case <-s.rest:
			_, _ = io.WriteString(out, end)
		case <-time.After(time.Minute): // The caller never got what it waits for.
		}
	}))
	return s
}

// lag is the time between the upstream's first flush and the caller's first byte.
func (s *slow) lag(t *testing.T, req *http.Request, want string) time.Duration {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body := io.Reader(resp.Body)
	if resp.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(body); err != nil {
			t.Fatal(err)
		}
	}
	r := bufio.NewReader(body)
	first, err := r.ReadByte()
	got := time.Now()
	if err != nil {
		t.Fatal(err)
	}
	took := got.Sub(<-s.sent)
	s.rest <- struct{}{}
	rest, err := io.ReadAll(r)
	if text := string(first) + string(rest); err != nil || text != want {
		t.Fatalf("%v in %q, want %q", err, text, want)
	}
	return took
}

// What a slow upstream has begun to send is at the caller's long before the end of
// it, which the upstream sends only then, and is not kept for an interval of ours.
func TestASlowAnswerStreams(t *testing.T) {
	for name, tt := range map[string]struct{ method, path, kind, encoding, begin, end string }{
		"a query": {
			"GET", "/api/v1/query?query=up", "application/json", "identity",
			`{"status":"success","data":{"resultType":"vector","result":[`, `]}}`,
		},
		"a compressed query": {
			"POST", "/api/v1/query_range?query=up&start=1&end=2&step=1", "application/json", "gzip",
			`{"status":"success","data":{"resultType":"matrix","result":[`, `]},"warnings":["PromQL info: x"]}`,
		},
		"series":           {"GET", "/api/v1/series?match[]=up", "application/json", "identity", `{"status":"success","data":[`, `]}`},
		"a search":         {"GET", "/api/v1/search/metric_names?search[]=u", "application/x-ndjson", "identity", "{\"results\":[]}\n", "{\"status\":\"success\"}\n"},
		"federation":       {"GET", "/federate?match[]=up", "text/plain; version=0.0.4", "identity", "# TYPE up untyped\n", "up 1\n"},
		"federation, gzip": {"GET", "/federate?match[]=up", "text/plain; version=0.0.4", "gzip", "# TYPE up untyped\n", "up 1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSlow(t, tt.kind, tt.begin, tt.end)
			f := fence.Before(t, s.URL)
			token := f.Token(t, "acme")
			// The best of some, and far above the 20 ms that it takes at most: a test's
			// machine has other things to do.
			best := map[string]time.Duration{}
			for range 10 {
				for _, base := range []string{s.URL, f.URL} {
					req, err := http.NewRequestWithContext(t.Context(), tt.method, base+tt.path, nil)
					if err != nil {
						t.Fatal(err)
					}
					req.Header.Set("Authorization", "Bearer "+token)
					req.Header.Set("Accept-Encoding", tt.encoding)
					took := s.lag(t, req, tt.begin+tt.end)
					if old, ok := best[base]; !ok || took < old {
						best[base] = took
					}
				}
			}
			if later := best[f.URL] - best[s.URL]; later > 200*time.Millisecond {
				t.Errorf("the first byte is %s later than the upstream's", later)
			}
			t.Logf("direct %s, through promfence %s", best[s.URL], best[f.URL])
		})
	}
}

// Answers and refusals alike leave a connection that serves the next request.
func TestAConnectionServesManyRequests(t *testing.T) {
	f := fence.Before(t, harness.Answering(t).URL)
	token := f.Token(t, "acme")
	client := &http.Client{Transport: &http.Transport{}}
	for i, tt := range []struct {
		method, path, token, body string
		status                    int
	}{
		{"GET", "/api/v1/query?query=up", token, "", 200},
		{"POST", "/api/v1/query", token, "query=up", 200},
		{"HEAD", "/api/v1/query?query=up", token, "", 405},
		{"GET", "/api/v1/query?query=sum(", token, "", 400},
		{"POST", "/api/v1/query", token, "query=sum(", 400},
		{"GET", "/api/v1/nothing", token, "", 404},
		{"DELETE", "/api/v1/series?match[]=up", token, "", 405},
		{"OPTIONS", "/api/v1/query", token, "", 405},
		{"GET", "/api/v1/query?query=up", "", "", 401},
		{"GET", "/api/v1/query?query=up", token, "", 200},
	} {
		reused := false
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }})
		req, err := http.NewRequestWithContext(ctx, tt.method, f.URL+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		if tt.body != "" {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if tt.token != "" {
			req.Header.Set("Authorization", "Bearer "+tt.token)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != tt.status {
			t.Errorf("%s %s: %d, want %d", tt.method, tt.path, resp.StatusCode, tt.status)
		}
		if reused != (i > 0) {
			t.Errorf("%s %s: a connection used before: %v", tt.method, tt.path, reused)
		}
	}
}

// A browser's preflight is answered without a token, as the upstream would.
func TestAPreflightNeedsNoToken(t *testing.T) {
	f := fence.Before(t, harness.Answering(t).URL)
	for _, path := range []string{"/api/v1/query", "/api/v1/metrics/query_range", "/federate"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, f.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Origin": {"https://app.test"}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"authorization, content-type"}}
		got := harness.Do(t, req)
		h := got.Header
		if got.Status != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != "*" ||
			!strings.Contains(h.Get("Access-Control-Allow-Methods"), "POST") || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "authorization") {
			t.Errorf("%s: %d %v", path, got.Status, h)
		}
	}
}

// The program serves HTTP/2, in the clear and over TLS, with a body either way.
func TestTheProgramServesHTTP2(t *testing.T) {
	behind := upstream.Start(t, upstream.Options{})
	behind.Load(t, time.Now().Add(-time.Minute), 15*time.Second, `
		up{tenant_id="acme"} 1+1x4
		up{tenant_id="stranger"} 100+1x4
	`)
	certified, trust := certificate(t)
	for name, settings := range map[string][]string{"in the clear": nil, "over TLS": certified} {
		t.Run(name, func(t *testing.T) {
			f := fence.Before(t, behind.URL, settings...)
			transport := &http.Transport{TLSClientConfig: trust, Protocols: new(http.Protocols)}
			transport.Protocols.SetHTTP2(settings != nil)
			transport.Protocols.SetUnencryptedHTTP2(settings == nil)
			t.Cleanup(transport.CloseIdleConnections)
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				params, body := "?query=sum(up)", ""
				if method == http.MethodPost {
					params, body = "", "query=sum(up)"
				}
				req, err := http.NewRequestWithContext(t.Context(), method, f.URL+"/api/v1/query"+params, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				req.Header.Set("Authorization", "Bearer "+f.Token(t, "acme"))
				resp, err := transport.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK || !strings.Contains(string(text), `"5"]`) {
					t.Errorf("%s: %s %s %s %v", method, resp.Proto, resp.Status, text, err)
				}
			}
		})
	}
}

// certificate returns settings for TLS with a test server's certificate, and what
// a client needs to trust it.
func certificate(t *testing.T) ([]string, *tls.Config) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	own := s.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	harness.WriteFile(t, dir+"/cert", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]})))
	harness.WriteFile(t, dir+"/key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	return []string{"SERVER_TLS_CERT_FILE=" + dir + "/cert", "SERVER_TLS_KEY_FILE=" + dir + "/key"}, s.Client().Transport.(*http.Transport).TLSClientConfig
}
