package connect_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/cmd/promfence/connect"
)

const (
	prometheusInfo = `{"status":"success","data":{"version":"3.8.0","revision":"r","branch":"HEAD","buildUser":"u","buildDate":"d","goVersion":"go1.26"}}`
	thanosInfo     = `{"status":"success","data":{"version":"0.42.4","revision":"r","branch":"HEAD","buildUser":"u","buildDate":"d","goVersion":"go1.26"}}`
	mimirInfo      = `{"status":"success","data":{"application":"Grafana Mimir","version":"2.17.1","revision":"r","branch":"HEAD","goVersion":"go1.26","features":{"ruler_config_api":"true"}}}`
	victoriaInfo   = `{"status":"success","data":{"version":"2.24.0"}}`
	twoValues      = `{"status":"success","data":["acme","globex"]}`
	noValues       = `{"status":"success","data":[]}`
)

// A server answers paths with a body, or with a status.
type server map[string]any

func (s server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch answer := s[r.URL.Path].(type) {
	case string:
		_, _ = io.WriteString(w, answer)
	case int:
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(answer)
	case http.HandlerFunc:
		answer(w, r)
	default:
		http.NotFound(w, r)
	}
}

// with is what an upstream at a prefix answers.
func with(prefix string, info, values any) server {
	return server{prefix + "/api/v1/status/buildinfo": info, prefix + "/api/v1/label/tenant_id/values": values}
}

func start(t *testing.T, h http.Handler) *url.URL {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return parse(t, s.URL)
}

func parse(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestTheServersAreToldApart(t *testing.T) {
	thanos := with("", thanosInfo, twoValues)
	thanos["/api/v1/stores"] = `{"status":"success","data":{}}`
	victoria := with("/select/0/prometheus", victoriaInfo, twoValues)
	hostname := with("", prometheusInfo, twoValues)
	hostname["/api/v1/status/buildinfo"] = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Server-Hostname", "vm-0")
		_, _ = io.WriteString(w, prometheusInfo)
	})
	for name, tt := range map[string]struct {
		server server
		prefix string
		want   connect.Answer
	}{
		"Prometheus":                            {with("", prometheusInfo, twoValues), "", connect.Answer{Name: "Prometheus", Version: "3.8.0", Values: 2}},
		"Prometheus below a path":               {with("/prometheus", prometheusInfo, twoValues), "/prometheus/", connect.Answer{Name: "Prometheus", Version: "3.8.0", Values: 2}},
		"Thanos":                                {thanos, "", connect.Answer{Name: "Thanos", Version: "0.42.4", Values: 2}},
		"Mimir":                                 {with("/prometheus", mimirInfo, twoValues), "/prometheus", connect.Answer{Name: "Mimir", Version: "2.17.1", Values: 2}},
		"VictoriaMetrics":                       {victoria, "/select/0/prometheus", connect.Answer{Name: "VictoriaMetrics", Values: 2}},
		"VictoriaMetrics by its header":         {hostname, "", connect.Answer{Name: "VictoriaMetrics", Values: 2}},
		"one that says nothing of itself":       {with("", 404, twoValues), "", connect.Answer{Values: 2}},
		"one whose version is of another shape": {with("", `{"status":"success","data":["1"]}`, twoValues), "", connect.Answer{Values: 2}},
		"no series with the label":              {with("", prometheusInfo, noValues), "", connect.Answer{Name: "Prometheus", Version: "3.8.0"}},
		"more values than are asked for": {
			with("", prometheusInfo, `{"status":"success","data":["x"`+strings.Repeat(`,"y"`, 99)+`]}`), "",
			connect.Answer{Name: "Prometheus", Version: "3.8.0", Values: 100, More: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			u := start(t, tt.server)
			u.Path = tt.prefix
			got, err := connect.Upstream{URL: u, Label: "tenant_id"}.Ask(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// An upstream with tenants of its own shows none of its series to nobody.
func TestTenantsOfTheUpstreamHideTheLabel(t *testing.T) {
	for name, tt := range map[string]struct {
		server server
		hidden bool
	}{
		"a tenant is wanted":               {with("", mimirInfo, 401), true},
		"nobody's series are none":         {with("", thanosInfo, noValues), true},
		"series are shown":                 {with("", thanosInfo, twoValues), false},
		"nothing is where the API must be": {server{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := connect.Upstream{URL: start(t, tt.server), Label: "tenant_id", TenantHeader: "X-Scope-OrgID"}.Ask(t.Context())
			if got.Hidden != tt.hidden || (err != nil) != (len(tt.server) == 0) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestWhatDoesNotFitIsSaidInASentence(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	cut := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, `{"status":"success"`)
	})
	for name, tt := range map[string]struct {
		server http.Handler
		want   string
	}{
		"nobody there":           {nil, "cannot be asked: dial tcp"},
		"a page":                 {with("", "<html>", "<html>"), "/api/v1/status/buildinfo: want Prometheus's JSON"},
		"another JSON":           {with("", `{"ok":true}`, noValues), "want Prometheus's JSON"},
		"an error in JSON":       {with("", prometheusInfo, `{"status":"error"}`), "/api/v1/label/tenant_id/values: want Prometheus's JSON"},
		"values of another form": {with("", prometheusInfo, `{"status":"success","data":{}}`), "no list of texts"},
		"no such path":           {server{}, "answers 404 Not Found"},
		"no credentials":         {with("", 401, 401), "answers 401 Unauthorized: want credentials"},
		"wrong credentials":      {with("", prometheusInfo, 403), "answers 403 Forbidden: want credentials"},
		"a redirect":             {with("", prometheusInfo, 302), "answers 302 Found: want the URL that it redirects to"},
		"an answer that is cut":  {with("", cut, noValues), "want a whole answer"},
		"an endless answer": {with("", prometheusInfo, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for line := strings.Repeat(" ", 1<<20); ; {
				if _, err := io.WriteString(w, line); err != nil {
					return
				}
			}
		})), "want a whole answer of at most"},
	} {
		t.Run(name, func(t *testing.T) {
			u := parse(t, closed.URL)
			if tt.server != nil {
				u = start(t, tt.server)
			}
			_, err := connect.Upstream{URL: u, Label: "tenant_id"}.Ask(t.Context())
			if err == nil || strings.Count(err.Error(), tt.want) != 1 {
				t.Errorf("%v, want %q in it, once", err, tt.want)
			}
		})
	}
}

// The credentials go to the upstream, and to nobody whom it names.
func TestItIsAskedAsPromfenceAsksIt(t *testing.T) {
	elsewhere := 0
	answers := with("", prometheusInfo, 302)
	answers["/elsewhere"] = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ })
	var asked []string
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, fmt.Sprint(r.URL, " ", r.Header.Get("Authorization"), " ", r.Header.Get("X-Key")))
		answers.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	u := connect.Upstream{
		URL: parse(t, s.URL), Label: "tenant_id", Header: http.Header{"Authorization": {"Bearer t"}, "X-Key": {"k"}},
		TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}
	if _, err := u.Ask(t.Context()); err == nil || elsewhere > 0 {
		t.Errorf("%v, a redirect was followed %d times", err, elsewhere)
	}
	want := []string{"/api/v1/status/buildinfo Bearer t k", "/api/v1/stores Bearer t k", "/api/v1/label/tenant_id/values?limit=100 Bearer t k"}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
	u.TLS = nil
	if _, err := u.Ask(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without the authority: %v", err)
	}
	t.Setenv("HTTP_PROXY", "http://192.0.2.1:1")
	plain := connect.Upstream{URL: start(t, with("", prometheusInfo, twoValues)), Label: "tenant_id"}
	plain.URL.Host = strings.Replace(plain.URL.Host, "127.0.0.1", "localtest.invalid", 1) // a proxy would be asked for it
	if _, err := plain.Ask(t.Context()); err == nil || !strings.Contains(err.Error(), "localtest.invalid") {
		t.Errorf("a proxy was asked: %v", err)
	}
}

func TestAnUpstreamBehindASocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: ln, Config: &http.Server{Handler: with("", prometheusInfo, twoValues)}}
	s.Start()
	t.Cleanup(s.Close)
	got, err := connect.Upstream{URL: parse(t, "unix://"+path), Label: "tenant_id"}.Ask(t.Context())
	if err != nil || got.Name != "Prometheus" || got.Values != 2 {
		t.Errorf("%+v, %v", got, err)
	}
}

// Where the upstream says nothing of its engine, it enforces nothing; where it cannot be
// asked, nobody knows.
func TestFeaturesOfTheEngine(t *testing.T) {
	for name, tt := range map[string]struct {
		answer any
		want   connect.Features
		err    string
	}{
		"Prometheus 3.16 with query-cost":      {`{"status":"success","data":{"api":{"query_cost":true,"query_stats":true},"promql":{"by":true}}}`, connect.Features{QueryCost: true, QueryStats: true}, ""},
		"and without":                          {`{"status":"success","data":{"api":{"query_cost":false,"query_stats":true}}}`, connect.Features{QueryStats: true}, ""},
		"an older one":                         {`{"status":"success","data":{"api":{}}}`, connect.Features{}, ""},
		"features without an API":              {`{"status":"success","data":{}}`, connect.Features{}, ""},
		"one elsewhere says nothing":           {`{"status":"success","data":{"promql":{"query_cost":true}}}`, connect.Features{}, ""},
		"a server without the path":            {404, connect.Features{}, ""},
		"one that calls that a bad request":    {400, connect.Features{}, ""},
		"one that refuses promfence":           {403, connect.Features{}, "want credentials"},
		"one that is broken":                   {502, connect.Features{}, "answers 502"},
		"a page":                               {"<html>", connect.Features{}, "want Prometheus's JSON"},
		"features of another form":             {`{"status":"success","data":{"api":{"query_cost":"true"}}}`, connect.Features{}, "want the features of a Prometheus"},
		"an error beside features that it has": {`{"status":"error","data":{"api":{"query_cost":true}}}`, connect.Features{}, "want Prometheus's JSON"},
	} {
		got, err := connect.Upstream{URL: start(t, server{"/api/v1/features": tt.answer})}.Features(t.Context())
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %+v, %v, want %+v, %q", name, got, err, tt.want, tt.err)
		}
	}
}
