package transparency_test

import (
	"net/http"
	"net/url"

	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/compare"
)

// oddRequests are about the protocol: headers, methods, bodies, paths.
func oddRequests(at string) (all []question) {
	get := func(header http.Header, pairs ...string) {
		q := question{Question: compare.Question{Method: http.MethodGet, Path: "/api/v1/query", Header: header, Unordered: true}}
		q.Params = harness.Form(append(pairs, "query", "limit", "time", at)...)
		all = append(all, q)
	}
	for _, h := range []http.Header{
		{"If-None-Match": {"*"}},
		{"If-Modified-Since": {"Wed, 21 Oct 2099 07:28:00 GMT"}},
		{"If-Match": {`"x"`}},
		{"If-Unmodified-Since": {"Wed, 21 Oct 2015 07:28:00 GMT"}},
		{"Range": {"bytes=0-3"}},
		{"If-Range": {`"x"`}},
		{"Cache-Control": {"no-cache"}},
		{"Pragma": {"no-cache"}},
		{"Accept": {"application/json"}},
		{"Accept": {"text/html, */*;q=0.1"}},
		{"Accept": {"application/xml"}},
		{"Accept": {"x"}},
		{"Accept-Encoding": {"gzip, deflate, br, zstd"}},
		{"Accept-Encoding": {"*"}},
		{"Accept-Encoding": {"br"}},
		{"Accept-Encoding": {""}},
		{"User-Agent": {"Grafana/12.0"}},
		{"X-Dashboard-Uid": {"abc"}, "X-Panel-Id": {"1"}, "X-Grafana-Org-Id": {"1"}},
		{"Cookie": {"a=b"}},
		{"X-Forwarded-For": {"192.0.2.1"}},
		{"X-Forwarded-Prefix": {"/x"}},
		{"Forwarded": {"for=192.0.2.1"}},
		{"Te": {"trailers"}},
		{"Expect": {""}},
		{"X-Http-Method-Override": {"DELETE"}},
		{"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}},
		{"X-Prometheus-Scrape-Timeout-Seconds": {"1"}},
		{"X-Scope-Orgid": {"stranger"}},
		{"Thanos-Tenant": {"stranger"}},
	} {
		get(h)
	}
	get(nil, "empty", "")
	ask := func(q question) { all = append(all, q) }
	for _, path := range []string{"/api/v1/query", "/api/v1/labels", "/api/v1/rules", "/api/v1/label/job/values", "/federate"} {
		ask(question{Question: compare.Question{Method: http.MethodHead, Path: path, Params: harness.Form("query", "limit", "match[]", "limit")}, differs: statusOnly})
		for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch} {
			ask(question{Question: compare.Question{Method: method, Path: path}, differs: statusOnly})
		}
	}
	for _, path := range []string{"/api/v1/nothing", "/api/v2/query", "/nothing"} {
		ask(question{Question: compare.Question{Method: http.MethodGet, Path: path}, differs: statusOnly})
	}
	for _, path := range []string{
		"/", "/metrics", "/graph", "/api/v1/query/", "/api/v1//query", "/api/v1/status/config", "/api/v1/status/flags", "/api/v1/status/tsdb", "/api/v1/status/runtimeinfo", "/api/v1/scrape_pools", "/api/v1/alertmanagers",
		"/api/v1/notifications", "/api/v1/features", "/version", "/debug/pprof/", "/consoles/", "/config",
	} {
		ask(question{Question: compare.Question{Method: http.MethodGet, Path: path}, differs: gone404})
	}
	form := func(kind string) http.Header { return http.Header{"Content-Type": {kind}} }
	ask(question{Question: compare.Question{Name: "a charset", Method: http.MethodPost, Path: "/api/v1/query", Header: form("application/x-www-form-urlencoded; charset=utf-8"), Body: "query=limit&time=" + at, Unordered: true}})
	ask(question{Question: compare.Question{Name: "half in the URL, half in the body", Method: http.MethodPost, Path: "/api/v1/query", Params: url.Values{"time": {at}}, Body: "query=limit", Unordered: true}})
	ask(question{Question: compare.Question{Name: "selectors in the URL and the body", Method: http.MethodPost, Path: "/api/v1/series", Params: url.Values{"match[]": {"limit"}}, Body: "match[]=memory_bytes"}})
	ask(question{Question: compare.Question{Name: "all in the URL", Method: http.MethodPost, Path: "/api/v1/query", Params: url.Values{"time": {at}, "query": {"limit"}}, Body: "&", Unordered: true}})
	ask(question{Question: compare.Question{Name: "JSON", Method: http.MethodPost, Path: "/api/v1/query", Header: form("application/json"), Body: `{"query":"limit"}`}, differs: refused415})
	ask(question{Question: compare.Question{Name: "a body on GET", Method: http.MethodGet, Path: "/api/v1/query", Params: url.Values{"query": {"limit"}}, Body: "query=memory_bytes"}, differs: refused400})
	ask(question{Question: compare.Question{Name: "a semicolon", Method: http.MethodPost, Path: "/api/v1/query", Body: "query=limit;time=1"}, differs: refused400})
	ask(question{Question: compare.Question{Name: "a broken escape", Method: http.MethodPost, Path: "/api/v1/query", Body: "query=%zz"}, differs: refused400})
	ask(question{Question: compare.Question{Name: "the other base", Method: http.MethodGet, Path: "/api/v1/metrics/query", Params: url.Values{"query": {"limit"}}}, differs: served200})
	return all
}
