package proxy_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/prompb"

	"github.com/promfence/promfence/proxy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// samples are a request for each row, below the base.
var samples = map[string]string{
	"/query":               "query=up{job=\"a\"}&time=1&unknown=x&analyze=true&storeMatch[]={x=\"y\"}",
	"/query_range":         "query=rate(x[5m])&start=1&end=2&step=1&dedup=true",
	"/query_exemplars":     "query=x_bucket&start=1&end=2",
	"/query_explain":       "query=up&engine=thanos",
	"/query_range_explain": "query=up&start=1&end=2&step=1",
	"/query_cost":          "query=up&time=1&cost=true&max_series=10",
	"/query_range_cost":    "query=rate(x[5m])&start=1&end=2&step=1&max_samples_read=100&max_query_duration=5s",
	"/series":              "match[]=up&match[]={a=\"b\"}",
	"/labels":              "",
	"/label/{name}/values": "match[]=up&limit=5",
	"/search/metric_names": "search[]=up&include_metadata=true",
	"/search/label_names":  "search[]=up",
	"/search/label_values": "label=job",
	"/rules":               "type=alert&group_limit=1&match[]={a=\"b\"}",
	"/alerts":              "",
	"/metadata":            "metric=up&limit=1",
	"/targets":             "state=active",
	"/targets/metadata":    "match_target={job=\"a\"}&limit=3",
	"/format_query":        "query=up",
	"/parse_query":         "query=up",
	"/status/buildinfo":    "",
	"/read":                "",
	"/federate":            "match[]=up&match[]={}",
	"/explain":             "query=up",
}

// TestRows holds what the upstream is asked for each row, method and base: read
// testdata/rows.golden in review.
func TestRows(t *testing.T) {
	f := newFence(t, nil)
	var got strings.Builder
	for method, path := range proxy.Endpoints() {
		row := strings.TrimPrefix(strings.TrimPrefix(path, "/api/v1/metrics"), "/api/v1")
		if path == "/api/v1/metadata" || path == "/api/v1/metrics/metadata" {
			row = "/metadata"
		}
		sample, ok := samples[row]
		if !ok {
			t.Fatalf("no sample for %s (%s)", path, row)
		}
		sample = strings.NewReplacer("{", "%7B", "}", "%7D", `"`, "%22").Replace(sample)
		path = strings.Replace(path, "{name}", "job", 1)
		r := f.Request(t, method, path+"?"+sample, "")
		if row == "/read" {
			r = readRequest(t, f, path)
		} else if method == http.MethodPost {
			r = f.Request(t, method, path, sample)
		}
		f.Do(t, r)
		fmt.Fprintf(&got, "%s %s\n", method, path)
		for _, a := range f.Asked() {
			fmt.Fprintf(&got, "  %s %s ?%s body %q\n", a.Method, a.Path, a.Query, a.Body)
		}
	}
	golden(t, "rows.golden", got.String())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// A datasource's URL often ends in /api/v1/metrics: every row of Prometheus's own paths
// is found below that, too, and is the same row for the upstream, the log and the metrics.
func TestRowsBelowADatasourceURL(t *testing.T) {
	f := newFence(t, nil)
	rows := 0
	for method, path := range proxy.Endpoints() {
		row, ok := strings.CutPrefix(path, "/api/v1/")
		if !ok || strings.HasPrefix(path, "/api/v1/metrics/") {
			continue
		}
		rows++
		sample := strings.NewReplacer("{", "%7B", "}", "%7D", `"`, "%22").Replace(samples["/"+row])
		request := func(path string) *http.Request {
			path = strings.Replace(path, "{name}", "job", 1)
			switch {
			case row == "read":
				return readRequest(t, f, path)
			case method == http.MethodPost:
				return f.Request(t, method, path, sample)
			}
			return f.Request(t, method, path+"?"+sample, "")
		}
		seen := func(path string) (all []string) {
			r := request(path)
			r.Header.Set("X-Request-Id", "same")
			resp, body := f.Do(t, r)
			all = append(all, fmt.Sprint(resp.StatusCode, body))
			for _, a := range f.Asked()[:1] { // what promfence asks itself is known the second time
				all = append(all, fmt.Sprint(a.Method, a.Path, a.Query, a.Body))
			}
			return all
		}
		want, got := seen(path), seen("/api/v1/metrics"+path)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s %s below a datasource's URL (-want +got):\n%s", method, path, diff)
		}
	}
	if rows < 20 {
		t.Fatalf("%d rows", rows)
	}
	for i, line := range f.lines(t, 2*rows) {
		if route, _ := line["route"].(string); strings.HasPrefix(route, "/api/v1/metrics/") || route == "none" {
			t.Errorf("line %d has the route %s", i, route)
		}
	}
	for _, method := range []string{"DELETE", "PUT"} {
		if resp, _ := f.Do(t, f.Request(t, method, "/api/v1/metrics/api/v1/series", "")); resp.StatusCode != http.StatusMethodNotAllowed || f.Asked() != nil {
			t.Errorf("%s: %d", method, resp.StatusCode)
		}
	}
}

func TestNoRowKnowsAParameterThatTellsAboutOthers(t *testing.T) {
	for _, row := range proxy.Routes {
		if slices.Contains(row.Params, "storeMatch[]") || slices.Contains(row.Params, "analyze") {
			t.Errorf("%s knows a parameter that tells about others", row.Path)
		}
	}
}

func TestPathsThatDoNotExist(t *testing.T) {
	f := newFence(t, nil)
	for _, path := range []string{
		"/", "/api/v1/query/", "/api//v1/query", "//api/v1/query", "/api/v1/./query", "/api/v1/x/../query", "/api/v1/%71uery",
		"/api/v1%2fquery", "/api/v1/query%00", "/API/v1/query", "/api/v1/Query", "/api/v1/write", "/api/v1/admin/tsdb/snapshot",
		"/api/v1/status/config", "/api/v1/status/flags", "/api/v1/status/tsdb", "/metrics", "/graph", "/debug/pprof/",
		"/api/v1/label/a/b/values", "/api/v1/label/../values", "/api/v1/label/%2e%2e/values", "/api/v1/label/a%2fb/values",
		"/api/v1/label/a%5cb/values", "/api/v1/label/%252e%252e/values", "/api/v1/label//values", "/api/v1/label/job/values/",
		"/api/v1/label/%252e%252e%252f%252e%252e%252fstatus%252fconfig%253f%25zz/values", "/api/v1/label/a%25%32%46b%25/values",
		"/api/v1/label/a%25255Cb%25zz/values", "/api/v1/label/%2e/values", "/api/v1/label/..%252f..%252fstatus/values", "/api/v1/metrics", "/api/v1/metrics/", "/api/v1/metrics/metrics/query",
		"/api/v1/metrics/api/v1", "/api/v1/metrics/api/v1/", "/api/v1/metrics/api/v1/query/", "/api/v1/metrics//api/v1/query", "/api/v1/metrics/api/v1/write",
		"/api/v1/metrics/api/v1/metrics/query", "/api/v1/metrics/api/v1/metrics/api/v1/query", "/api/v1/api/v1/query", "/api/v1/metrics/api/v1/federate",
		"/api/v1/metrics/api/v1/label/..%2f..%2fadmin/values", "/api/v1/metrics/api/v1/label/%2e%2e/values", "/metrics/api/v1/query",
		"/-/reload", "/-/quit", "/-/healthy/", "/docs", "/openapi.yaml", "/api/v1/federate", "/api/v1/scrape_pools", "/api/v1/explain",
	} {
		t.Run(path, func(t *testing.T) {
			resp, body := f.Get(t, path)
			wantError(t, resp, body, http.StatusNotFound, "not_found", "")
			if a := f.Asked(); a != nil {
				t.Errorf("the upstream was asked %v", a)
			}
		})
	}
}

func TestLabelNamesAreSpelledAgain(t *testing.T) {
	f := newFence(t, nil)
	for raw, want := range map[string]string{
		"job":             "/api/v1/label/job/values",
		"__name__":        "/api/v1/label/__name__/values",
		"%6aob":           "/api/v1/label/job/values",
		"U__a_2F_b":       "/api/v1/label/U__a_2F_b/values",
		"my.label":        "/api/v1/label/my.label/values",
		"a%20b":           "/api/v1/label/a%20b/values",
		"%25zz":           "/api/v1/label/%25zz/values",
		"100%25":          "/api/v1/label/100%25/values",
		"%E4%BD%A0":       "/api/v1/label/%E4%BD%A0/values",
		"a%3Fmatch%5B%5D": "/api/v1/label/a%3Fmatch%5B%5D/values",
	} {
		if resp, body := f.Get(t, "/api/v1/label/"+raw+"/values"); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", raw, resp.StatusCode, body)
			continue
		}
		a := f.Asked()
		if len(a) != 1 || a[0].Path != want {
			t.Errorf("%s: the upstream was asked %v, want %s", raw, a, want)
		}
		if got := a[0].form(t)["match[]"]; !slices.Equal(got, []string{`{tenant_id="acme"}`}) {
			t.Errorf("%s: match[] %q", raw, got)
		}
	}
	resp, body := f.Get(t, "/api/v1/label/%ff/values")
	wantError(t, resp, body, http.StatusBadRequest, "bad_data", "label name")
}

func TestMethodsThatDoNotExist(t *testing.T) {
	f := newFence(t, nil)
	for _, method := range []string{"PUT", "DELETE", "PATCH", "TRACE", "HEAD", "OPTIONS", "query", "get"} {
		resp, body := f.Do(t, f.Request(t, method, "/api/v1/query?query=up", ""))
		if method == "HEAD" {
			if resp.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("HEAD: %d", resp.StatusCode)
			}
			continue
		}
		wantError(t, resp, body, http.StatusMethodNotAllowed, "method_not_allowed", "only GET and POST")
		if got := resp.Header.Get("Allow"); got != "GET, POST" {
			t.Errorf("%s: Allow %q", method, got)
		}
	}
	if a := f.Asked(); a != nil {
		t.Errorf("the upstream was asked %v", a)
	}
}

// readRequest is a remote-read request for one series.
func readRequest(t *testing.T, f *fence, path string) *http.Request {
	t.Helper()
	raw, err := (&prompb.ReadRequest{Queries: []*prompb.Query{{
		EndTimestampMs: 1, Matchers: []*prompb.LabelMatcher{{Name: "__name__", Value: "up"}},
	}}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	r := f.Request(t, http.MethodPost, path, string(snappy.Encode(nil, raw)))
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("Content-Encoding", "snappy")
	return r
}

func TestRemoteReadOverHTTP(t *testing.T) {
	f := newFence(t, nil)
	if resp, body := f.Do(t, readRequest(t, f, "/api/v1/read")); resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	a := f.Asked()
	if len(a) != 1 || a[0].Header.Get("Content-Encoding") != "snappy" {
		t.Fatalf("the upstream was asked %v", a)
	}
	raw, err := snappy.Decode(nil, []byte(a[0].Body))
	if err != nil {
		t.Fatal(err)
	}
	var got prompb.ReadRequest
	if err := got.Unmarshal(raw); err != nil {
		t.Fatal(err)
	}
	if text := got.Queries[0].Matchers; len(text) != 2 || text[0].Value != "up" || text[1].Name != "tenant_id" || text[1].Value != "acme" {
		t.Errorf("the matchers are %v", text)
	}
	refused := []struct {
		name, contentType, encoding, body string
		status                            int
		errorType                         string
	}{
		{"a form", "application/x-www-form-urlencoded", "", "query=up", 415, "unsupported_media_type"},
		{"no snappy", "application/x-protobuf", "", "x", 415, "unsupported_media_type"},
		{"gzip", "application/x-protobuf", "gzip", "x", 415, "unsupported_media_type"},
		{"garbage", "application/x-protobuf", "snappy", "garbage", 400, "bad_data"},
		{"nothing", "application/x-protobuf", "snappy", "", 400, "bad_data"},
		{"a bomb", "application/x-protobuf", "snappy", "\xff\xff\xff\xff\x0f", 413, "too_large"},
	}
	for _, tt := range refused {
		t.Run(tt.name, func(t *testing.T) {
			r := f.Request(t, http.MethodPost, "/api/v1/read", tt.body)
			r.Header.Set("Content-Type", tt.contentType)
			r.Header.Set("Content-Encoding", tt.encoding)
			resp, body := f.Do(t, r)
			wantError(t, resp, body, tt.status, tt.errorType, "")
			if a := f.Asked(); a != nil {
				t.Errorf("the upstream was asked %v", a)
			}
		})
	}
}

// A datasource's URL that ends in a slash makes such paths.
func TestAPathWithTwoSlashesIsToldToHaveOne(t *testing.T) {
	f := newFence(t, nil)
	for path, says := range map[string]string{"//api/v1/query?query=up": "one slash", "/api/v1//query?query=up": "one slash", "/api/v1/nothing": "see /docs"} {
		r := f.Request(t, http.MethodGet, "/", "")
		r.URL.Opaque = "//" + r.URL.Host + path
		r.URL.RawQuery = ""
		resp, body := f.Do(t, r)
		wantError(t, resp, body, http.StatusNotFound, "not_found", says)
	}
	if a := f.Asked(); a != nil {
		t.Errorf("the upstream was asked %v", a)
	}
}
