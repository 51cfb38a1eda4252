package proxy_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/proxy"
)

// lines are the access lines once there are n of them: a line is written at its
// answer's end, which not every reader waits for.
func (f *fence) lines(t *testing.T, n int) []map[string]any {
	t.Helper()
	for range 3000 { // 30 s
		text := strings.TrimSpace(f.Log.String())
		if got := strings.Count(text, "\n") + 1; text != "" && got >= n {
			var all []map[string]any
			for line := range strings.Lines(text) {
				var m map[string]any
				if err := json.Unmarshal([]byte(line), &m); err != nil {
					t.Fatalf("%v: %s", err, line)
				}
				all = append(all, m)
			}
			return all
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("no %d lines: %s", n, f.Log.String())
	return nil
}

// logged waits for a text in the log, as lines does.
func (f *fence) logged(t *testing.T, text string) {
	t.Helper()
	for range 3000 { // 30 s
		if strings.Contains(f.Log.String(), text) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%q is not in the log: %s", text, f.Log)
}

func TestNoAnswerWaitsForItsLine(t *testing.T) {
	type deferred struct {
		task   func()
		urgent bool
	}
	var tasks []deferred
	f := newFence(t, func(o *proxy.Options) {
		o.Deferred = func(task func(), urgent bool) { tasks = append(tasks, deferred{task, urgent}) }
	})
	paths := []string{"/api/v1/query?query=up", "/api/v1/query?query=up("}
	for _, path := range paths {
		f.Get(t, path)
	}
	f.Upstream.Close()
	f.Get(t, paths[0])
	if text := f.Log.String(); len(tasks) != 3 || text != "" {
		t.Fatalf("%d tasks, and at once: %s", len(tasks), text)
	}
	for _, d := range tasks {
		d.task()
	}
	for i, line := range f.lines(t, 3) {
		if want := []float64{200, 400, 502}[i]; line["status"] != want || tasks[i].urgent != (want == 502) {
			t.Errorf("%v, at once: %v", line, tasks[i].urgent)
		}
	}
}

func TestAccessLine(t *testing.T) {
	f := newFence(t, nil)
	r := f.Request(t, "GET", "/api/v1/metrics/query?query=secret_metric", "")
	r.Header.Set("X-Request-Id", "id-1")
	f.Do(t, r)
	f.Do(t, f.Request(t, "GET", "/api/v1/nowhere?secret_metric", ""))
	bare, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URL+"/api/v1/query", nil)
	if err != nil {
		t.Fatal(err)
	}
	f.Do(t, bare)
	lines := f.lines(t, 3)
	got := map[string]any{}
	for _, name := range []string{"level", "req_id", "client", "tenants", "route", "method", "status", "bytes", "message"} {
		got[name] = lines[0][name]
	}
	want := map[string]any{
		"level": "info", "req_id": "id-1", "client": "127.0.0.1", "tenants": []any{"acme"}, "route": "/api/v1/metrics/query", "method": "GET",
		"status": 200.0, "bytes": float64(len(success)), "message": "request",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the line (-want +got):\n%s", diff)
	}
	for _, name := range []string{"ms", "upstream_ms"} {
		if ms, ok := lines[0][name].(float64); !ok || ms <= 0 {
			t.Errorf("%s: %v", name, lines[0][name])
		}
	}
	if lines[1]["route"] != "none" || lines[1]["path"] != "/api/v1/nowhere" || lines[1]["status"] != 404.0 || lines[2]["status"] != 401.0 || lines[2]["reason"] != "missing" {
		t.Errorf("got %v and %v", lines[1], lines[2])
	}
	text := f.Log.String()
	for _, secret := range []string{"secret_metric", "eyJ"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in the log: %s", secret, text)
		}
	}
}

func TestQueriesAreLoggedAtDebugOnly(t *testing.T) {
	for level, want := range map[zerolog.Level]bool{zerolog.InfoLevel: false, zerolog.DebugLevel: true} {
		f := newFence(t, func(o *proxy.Options) { o.Logger = o.Logger.Level(level) })
		f.Get(t, "/api/v1/query?query=secret_metric")
		f.lines(t, 1)
		if got := strings.Contains(f.Log.String(), "secret_metric"); got != want {
			t.Errorf("at %s: %s", level, f.Log.String())
		}
	}
}

func TestNoTokenNoAnswer(t *testing.T) {
	f := newFence(t, nil)
	for _, path := range []string{"/", "/api/v1/query?query=up", "/federate", "/nowhere", "/api/v1/write"} {
		r := f.Request(t, "GET", path, "")
		r.Header.Del("Authorization")
		resp, body := f.Do(t, r)
		wantError(t, resp, body, http.StatusUnauthorized, "unauthorized", "")
		if got := resp.Header.Get("WWW-Authenticate"); got != "Bearer" {
			t.Errorf("WWW-Authenticate: %q", got)
		}
	}
	r := f.Request(t, "GET", "/api/v1/query?query=up", "")
	r.Header.Set("Authorization", "Bearer "+f.Issuer.Token(t, nil, nil))
	resp, body := f.Do(t, r)
	wantError(t, resp, body, http.StatusForbidden, "forbidden", "tenant_id")
	if a := f.Asked(); a != nil {
		t.Errorf("the upstream was asked %v", a)
	}
}

func TestConflictRejected(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.RejectConflicts = true })
	resp, body := f.Get(t, `/api/v1/query?query=up%7Btenant_id%3D%22globex%22%7D`)
	wantError(t, resp, body, http.StatusForbidden, "forbidden", "none of your tenants")
}

func TestUnavailableWithoutKeys(t *testing.T) {
	f := newFence(t, nil)
	f = newFence(t, func(o *proxy.Options) { // the same issuer, whose keys were never fetched
		a, err := auth.New(auth.Options{Issuer: f.Issuer.URL, Audience: []string{"promfence"}, JWKSURL: f.Issuer.JWKSURL})
		if err != nil {
			t.Fatal(err)
		}
		o.Auth, o.Ready = a, a.Ready
	}).with(f.Issuer)
	resp, body := f.Get(t, "/api/v1/query?query=up")
	wantError(t, resp, body, http.StatusServiceUnavailable, "unavailable", "")
	if resp.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	resp, body = f.Get(t, "/-/ready")
	wantError(t, resp, body, http.StatusServiceUnavailable, "unavailable", "keys")
	if resp, _ := f.Get(t, "/-/healthy"); resp.StatusCode != http.StatusOK {
		t.Errorf("/-/healthy: %d", resp.StatusCode)
	}
}

func TestHealth(t *testing.T) {
	f := newFence(t, nil)
	for _, path := range []string{"/-/healthy", "/-/ready"} {
		for _, method := range []string{"GET", "HEAD"} {
			r := f.Request(t, method, path, "")
			r.Header.Del("Authorization")
			if resp, body := f.Do(t, r); resp.StatusCode != http.StatusOK {
				t.Errorf("%s %s: %d %s", method, path, resp.StatusCode, body)
			}
		}
		resp, body := f.Do(t, f.Request(t, "POST", path, ""))
		wantError(t, resp, body, http.StatusMethodNotAllowed, "method_not_allowed", "")
	}
	f.Proxy.Drain()
	resp, body := f.Get(t, "/-/ready")
	wantError(t, resp, body, http.StatusServiceUnavailable, "unavailable", "shutting down")
	if resp, _ := f.Get(t, "/api/v1/query?query=up"); resp.StatusCode != http.StatusOK {
		t.Errorf("a request while draining: %d", resp.StatusCode)
	}
}

// Probes come every few seconds: what they hope for is no news.
func TestProbesAreLoggedWhenTheyFail(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.Logger = o.Logger.Level(zerolog.DebugLevel) })
	for _, path := range []string{"/-/healthy", "/-/ready"} {
		f.Get(t, path)
	}
	f.Proxy.Drain()
	f.Get(t, "/-/ready")
	f.Get(t, "/-/healthy")
	f.Do(t, f.Request(t, http.MethodPost, "/-/healthy", ""))
	f.Get(t, "/docs")
	var got []string
	for _, line := range f.lines(t, 6) {
		got = append(got, fmt.Sprint(line["level"], line["route"], line["status"]))
	}
	want := []string{
		"debug/-/healthy200", "debug/-/ready200", "info/-/ready503", "debug/-/healthy200", "info/-/healthy405", "info/docs404",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the lines (-want +got):\n%s", diff)
	}
}

func TestMetrics(t *testing.T) {
	f := newFence(t, nil)
	f.Get(t, "/api/v1/query?query=up")
	f.Do(t, f.Request(t, "BREW", "/api/v1/query", ""))
	r := f.Request(t, "GET", "/x", "")
	r.Header.Del("Authorization")
	f.Do(t, r)
	f.lines(t, 3)
	const want = `
# HELP promfence_auth_failures_total Requests refused because of their token, by reason.
# TYPE promfence_auth_failures_total counter
promfence_auth_failures_total{reason="missing"} 1
# HELP promfence_requests_total Requests answered, by route, method and status code.
# TYPE promfence_requests_total counter
promfence_requests_total{code="200",method="GET",route="/api/v1/query"} 1
promfence_requests_total{code="401",method="GET",route="none"} 1
promfence_requests_total{code="405",method="other",route="/api/v1/query"} 1
`
	if err := testutil.GatherAndCompare(f.Metrics, strings.NewReader(want), "promfence_auth_failures_total", "promfence_requests_total"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(f.Metrics); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

func TestPathsAreNoLabels(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.Docs = http.NotFoundHandler() })
	for _, path := range []string{"/docs/a", "/docs/b", "/c", "/api/v1/label/d/values"} {
		f.Get(t, path)
	}
	got, err := testutil.GatherAndCount(f.Metrics, "promfence_requests_total")
	if err != nil || got != 3 { // /docs, none, /api/v1/label/{name}/values
		t.Errorf("%d series, %v", got, err)
	}
}

func TestPanicIsOneRequestsTrouble(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.Auth = panicking{} })
	resp, err := http.DefaultClient.Do(f.Request(t, "GET", "/api/v1/query?query=up", ""))
	if err == nil {
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		wantError(t, answered{resp.StatusCode, resp.Header, nil}, string(body), http.StatusInternalServerError, "internal", "log")
	}
	if lines := f.lines(t, 1); !strings.Contains(lines[0]["error"].(string), "boom") {
		t.Errorf("the log has %v", lines[0])
	}
}

type panicking struct{}

func (panicking) Authenticate(*http.Request) (auth.Identity, error) { panic("boom") }

// Pages read what is allowed to them on every answer, and a preflight goes nowhere.
func TestCORS(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.CORSOrigins = []string{"https://app.example.com"} })
	for origin, want := range map[string]string{"https://app.example.com": "https://app.example.com", "https://evil.example": ""} {
		for _, path := range []string{"/api/v1/query?query=up", "/nowhere"} {
			r := f.Request(t, "GET", path, "")
			r.Header.Set("Origin", origin)
			resp, _ := f.Do(t, r)
			if got := resp.Header.Get("Access-Control-Allow-Origin"); got != want || !strings.Contains(strings.Join(resp.Header["Vary"], ","), "Origin") {
				t.Errorf("%s: %q, want %q; Vary %q", path, got, want, resp.Header["Vary"])
			}
		}
		f.Asked()
		r := f.Request(t, "OPTIONS", "/api/v1/query", "")
		r.Header.Del("Authorization")
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "GET")
		r.Header.Set("Access-Control-Request-Headers", "authorization")
		resp, _ := f.Do(t, r)
		if allowed := resp.Header.Get("Access-Control-Allow-Headers") == "authorization"; resp.StatusCode != http.StatusNoContent || allowed != (want != "") {
			t.Errorf("preflight: %d %v", resp.StatusCode, resp.Header)
		}
		if a := f.Asked(); a != nil {
			t.Errorf("a preflight reached the upstream: %v", a)
		}
	}
}

func TestExplainEndpoint(t *testing.T) {
	f := newFence(t, nil)
	for _, r := range []*http.Request{
		f.Request(t, "GET", "/api/v1/metrics/explain?query=up", ""), f.Request(t, "POST", "/api/v1/metrics/explain", "query=up"),
	} {
		_, body := f.Do(t, r)
		const want = `{"status":"success","data":{"query":"up","enforced":"up{tenant_id=\"acme\"}","label":"tenant_id","tenants":["acme"],"policies":[],"selector":"{tenant_id=\"acme\"}"}}`
		if body != want {
			t.Errorf("got %s, want %s", body, want)
		}
	}
	if a := f.Asked(); a != nil {
		t.Errorf("the upstream was asked %v", a)
	}
}

func TestTenantHeader(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.TenantHeader = "x-scope-orgid" })
	r := f.Request(t, "GET", "/api/v1/query?query=up", "")
	r.Header.Set("X-Scope-OrgID", "globex")
	r.Header.Set("Authorization", "Bearer "+f.Issuer.Token(t, []string{"beta", "acme"}, nil))
	f.Do(t, r)
	a := f.Asked()
	if len(a) != 1 || !slices.Equal(a[0].Header["X-Scope-Orgid"], []string{"acme|beta"}) {
		t.Errorf("the upstream was asked %v", a)
	}
	if q := a[0].form(t).Get("query"); q != `up{tenant_id=~"acme|beta"}` {
		t.Errorf("the query was %s", q)
	}
}

func TestNewRefusesTheZeroOptions(t *testing.T) {
	_, err := proxy.New(proxy.Options{})
	for _, want := range []string{"Authenticator", "readiness", "upstream", "label", "limits"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not ask for %s", err, want)
		}
	}
}
