package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/upstream"
)

// acme is an Authenticator that believes everybody.
type acme struct{ identity auth.Identity }

func (a acme) Authenticate(*http.Request) (auth.Identity, error) { return a.identity, nil }

// scopedBy sends a request through everything before the upstream, and returns
// what would be forwarded, if anything would.
func scopedBy(p *Proxy, r *http.Request) (call upstream.Call, ok bool) {
	x := &exchange{ResponseWriter: httptest.NewRecorder(), proxy: p, record: p.recorder.Begin(r)}
	defer x.record.End(nil, 0)
	if p.identify(x, r) != nil {
		return call, false
	}
	x.limits = p.limits.of(x.record.Identity())
	route, name, err := p.routes.find(r)
	if x.route = route; err != nil {
		return call, false
	}
	narrowed, err := p.narrowRequest(x, r)
	if err != nil {
		return call, false
	}
	return p.call(x, r, name, narrowed), true
}

// promQL reads what the upstream would be sent.
var promQL = parser.NewParser(parser.Options{
	EnableExperimentalFunctions: true, ExperimentalDurationExpr: true, EnableExtendedRangeSelectors: true, EnableBinopFillModifiers: true,
})

// escapes returns a selector of an enforced query that does not hold the tenant.
func escapes(tb testing.TB, enforced string) string {
	tb.Helper()
	expr, err := promQL.ParseExpr(enforced)
	if err != nil {
		tb.Fatalf("%q does not parse: %v", enforced, err)
	}
	for _, ms := range parser.ExtractSelectors(expr) {
		if !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return m.String() == `tenant_id="acme"` }) {
			return (&parser.VectorSelector{LabelMatchers: ms}).String()
		}
	}
	return ""
}

// unfenced returns what is wrong with a request that would be forwarded.
func unfenced(tb testing.TB, route *Route, call upstream.Call) string {
	tb.Helper()
	form, err := url.ParseQuery(call.Request.Form())
	if err != nil {
		return "its parameters: " + err.Error()
	}
	if call.Request.IsZero() || call.Request.NeedsFilter() != (route.Guard.filter != nil && !strings.Contains(route.Path, "exemplars") && !strings.Contains(route.Path, "search") && route.Path != "/targets/metadata") {
		return "a request that nobody narrowed"
	}
	if call.Streams != (route.Guard.filter == nil) {
		return "the wrong kind"
	}
	for name, values := range form {
		if !slices.Contains(route.Params, name) || !strings.HasSuffix(name, "[]") && len(values) != 1 {
			return "parameter " + name
		}
	}
	if route.Guard.filter != nil || route.Guard.dataless {
		return "" // the answer is filtered, or there is no data in it
	}
	for _, q := range form["query"] {
		if s := escapes(tb, q); s != "" {
			return "query " + s
		}
	}
	for _, s := range form["match[]"] {
		ms, err := promQL.ParseMetricSelector(s)
		if err != nil || !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return m.String() == `tenant_id="acme"` }) {
			return "match[] " + s
		}
	}
	switch path := call.Path; {
	case strings.Contains(route.Path, "query"):
		if len(form["query"]) != 1 {
			return "no query"
		}
	case path != "/federate" && path != "/api/v1/status/buildinfo" && len(form["match[]"]) == 0:
		return "no selector"
	}
	return ""
}

// FuzzRequest: whatever stands in a request's path, query string, content type
// and body, either nothing is forwarded, or all of it is the tenant's.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/api/v1/query", "query=up&query=up", "", "")
	f.Add("POST", "/api/v1/query", "query=up", "application/x-www-form-urlencoded", "query=up&time=1")
	f.Add("POST", "/api/v1/metrics/labels", "match[]=a", "application/x-www-form-urlencoded; charset=x", "match%5B%5D=%7Ba%3D%22b%22%7D")
	f.Add("GET", "/api/v1/label/a%2fb/values", "match[]=%7Btenant_id%3D%22globex%22%7D", "", "")
	f.Add("GET", "/federate", "match[]={}&match[]={a=\"\"}", "", "")
	f.Add("GET", "/api/v1/rules", "match[]={a=\"b\"}&group_limit=1", "", "")
	f.Add("POST", "/api/v1/search/label_values", "label=a;b", "multipart/form-data; boundary=x", "--x")
	tenants, err := policy.ForTenants("tenant_id", "acme")
	if err != nil {
		f.Fatal(err)
	}
	p, err := New(Options{
		Auth: acme{auth.Identity{Labels: tenants}}, Ready: func() error { return nil }, Label: "tenant_id",
		Upstream: &url.URL{Scheme: "http", Host: "upstream"}, MaxIdleConnections: 1, Limits: Limits{QueryBytes: 64 << 10, QueryDepth: 100, QueryTerms: 2000, Selectors: 1000, BodyBytes: 1 << 20},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, path, query, contentType, body string) {
		target, err := url.ParseRequestURI(path)
		if err != nil {
			return // not HTTP: the server refuses it
		}
		target.RawQuery = query
		r := &http.Request{Method: method, URL: target, Header: http.Header{"Content-Type": {contentType}}, Body: http.NoBody}
		if body != "" {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		}
		call, ok := scopedBy(p, r)
		if !ok {
			return
		}
		route, name, err := p.routes.find(r)
		if err != nil {
			t.Fatal(err)
		}
		if route.Guard.body {
			return // FuzzReadRequest
		}
		if want := route.upstreamPath(name); call.Path != want || call.Method != method || strings.ContainsAny(name, `/\`) {
			t.Errorf("%s became %s %s", path, call.Method, call.Path)
		}
		if problem := unfenced(t, route, call); problem != "" {
			t.Errorf("%s %s?%s with %q: %s", method, path, query, body, problem)
		}
	})
}
