package isolation_test

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"

	"github.com/promfence/promfence/proxy"
	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/fence"
)

// An ask is a legitimate request to an endpoint and what its answer holds.
type ask struct {
	params url.Values
	holds  []string
	same   bool // as the same request to a Prometheus that has only acme's data
	status int  // 200 when 0
}

// asks has a request for every endpoint, by its path without the base.
func asks(w *harness.World) map[string]ask {
	at := w.Now.Format(time.RFC3339)
	from := w.Now.Add(-5 * time.Minute).Format(time.RFC3339)
	return map[string]ask{
		"/query":                        {params: harness.Form("query", "requests_total", "time", at), holds: []string{`"tenant_id":"acme"`}, same: true},
		"/query_range":                  {params: harness.Form("query", "requests_total", "start", from, "end", at, "step", "60"), holds: []string{`"tenant_id":"acme"`}, same: true},
		"/query_exemplars":              {params: harness.Form("query", "traced_total", "start", from, "end", at), holds: []string{"trace-1", "trace-2"}, same: true},
		"/series":                       {params: harness.Form("match[]", "requests_total", "match[]", "limit"), holds: []string{`"__name__":"limit"`}, same: true},
		"/labels":                       {params: harness.Form(), holds: []string{`"host.name"`, `"tenant_id"`}, same: true},
		"/label/job/values":             {params: harness.Form(), holds: []string{`"shop"`, `"cart"`}, same: true},
		"/label/U__host_2e_name/values": {params: harness.Form(), holds: []string{`["web-1"]`}, same: true},
		"/label/tenant_id/values":       {params: harness.Form(), holds: []string{`["acme"]`}, same: true},
		"/label/__name__/values":        {params: harness.Form("match[]", `{job="shop"}`), holds: []string{`"only_acme"`, `"latency_seconds_bucket"`}, same: true},
		"/label/stranger_label/values":  {params: harness.Form(), holds: []string{`[]`}, same: true},
		"/federate":                     {params: harness.Form("match[]", "requests_total", "match[]", `{__name__=~".+"}`), holds: []string{`requests_total{code="200",instance="a",job="shop",tenant_id="acme"}`, "only_acme"}},
		"/rules":                        {params: harness.Form(), holds: []string{`"Burning"`, `"job:requests:sum"`}},
		"/alerts":                       {params: harness.Form(), holds: []string{`"Burning"`}},
		"/metadata":                     {params: harness.Form(), holds: []string{`"scraped_total"`}},
		"/targets":                      {params: harness.Form(), holds: []string{`"tenant_id":"acme"`, `"health":"up"`}},
		"/targets/metadata":             {params: harness.Form(), holds: []string{`"scraped_total"`, `What acme says.`}},
		"/search/metric_names":          {params: harness.Form(), holds: []string{`"only_acme"`}},
		"/search/label_names":           {params: harness.Form(), holds: []string{`"host.name"`}},
		"/search/label_values":          {params: harness.Form("label", "job"), holds: []string{`"shop"`}},
		"/format_query":                 {params: harness.Form("query", "sum(up)by(job)"), holds: []string{`sum by (job) (up)`}, same: true},
		"/parse_query":                  {params: harness.Form("query", "up"), holds: []string{`"vectorSelector"`}, same: true},
		"/status/buildinfo":             {params: harness.Form(), holds: []string{`"version":"`}, same: true},
		"/explain":                      {params: harness.Form("query", "up"), holds: []string{`up{tenant_id=\"acme\"}`}},
		"/query_explain":                {params: harness.Form("query", "up"), status: http.StatusNotFound}, // Thanos has it, Prometheus hasn't.
		"/query_range_explain":          {params: harness.Form("query", "up", "start", from, "end", at, "step", "60"), status: http.StatusNotFound},
		"/query_cost":                   {params: harness.Form("query", "up"), status: http.StatusNotFound}, // So it is without the feature; transparency has one with it.
		"/query_range_cost":             {params: harness.Form("query", "up", "start", from, "end", at, "step", "60"), status: http.StatusNotFound},
	}
}

// base cuts a path into its base and what asks knows it by.
func base(path string) (string, string) {
	for _, b := range []string{"/api/v1/metrics", "/api/v1"} {
		if rest, ok := strings.CutPrefix(path, b); ok {
			return b, rest
		}
	}
	return "", path
}

func TestEveryEndpointShowsAcmeItsOwnAndNothingElse(t *testing.T) {
	w := harness.NewWorld(t)
	f := fence.Before(t, w.Crowd.URL)
	token, all := f.Token(t, "acme"), asks(w)
	for method, path := range proxy.Endpoints() {
		b, rest := base(path)
		if rest == "/read" {
			continue // TestRemoteReadBringsOnlyAcmesSeries
		}
		tried := false
		for name, a := range all {
			oneOfTheLabels := rest == "/label/{name}/values" && strings.HasPrefix(name, "/label/")
			if name != rest && !oneOfTheLabels {
				continue
			}
			tried = true
			t.Run(method+" "+b+name, func(t *testing.T) {
				got := harness.Send(t, method, f.URL+b+name, token, a.params)
				if want := max(a.status, http.StatusOK); got.Status != want {
					t.Fatalf("%d, want %d: %s", got.Status, want, got.Body)
				}
				for _, part := range a.holds {
					if !strings.Contains(got.Body, part) {
						t.Errorf("lacks %s: %s", part, got.Body)
					}
				}
				if strings.Contains(got.Body, harness.Stranger) {
					t.Errorf("tells of others: %s", got.Body)
				}
				if a.same {
					_, want := harness.Fetch(t, w.Alone.URL+"/api/v1"+name, "", a.params)
					if diff := cmp.Diff(harness.Result(t, want), harness.Result(t, got.Body)); diff != "" {
						t.Errorf("(-alone +crowd):\n%s", diff)
					}
				}
			})
		}
		if !tried {
			t.Errorf("%s %s is served, but nothing here asks for it", method, path)
		}
	}
}

func TestNoParameterOrHeaderOpensAnEndpointToOthers(t *testing.T) {
	w := harness.NewWorld(t)
	f := fence.Before(t, w.Crowd.URL)
	token, all := f.Token(t, "acme"), asks(w)
	tries := []url.Values{
		harness.Form("match[]", `{tenant_id="globex"}`),
		harness.Form("match[]", `{tenant_id=~".*"}`, "match[]", `{tenant_id=""}`),
		harness.Form("match[]", `{__name__=~".+"}`, "match[]", ""),
		harness.Form("match[]", `requests_total{tenant_id!="acme"}`),
		harness.Form("match_target", `{tenant_id="globex"}`),
		harness.Form("storeMatch[]", `{tenant_id="globex"}`, "analyze", "true", "include_metadata", "true"),
		harness.Form("tenant", "globex", "tenant_id", "globex", "X-Scope-OrgID", "globex"),
		harness.Form("match", `{tenant_id="globex"}`, "selector", `{tenant_id="globex"}`, "stats", "all"),
		harness.Form("rule_group[]", "mixed", "file[]", "", "scrapePool", ""),
		harness.Form("metric", "scraped_total", "limit", "1000"),
		harness.Form("label", "tenant_id", "search[]", "g"),
	}
	for method, path := range proxy.Endpoints() {
		b, rest := base(path)
		rest = strings.Replace(rest, "{name}", "tenant_id", 1)
		for _, extra := range tries {
			params := url.Values{}
			for _, from := range []url.Values{all[rest].params, extra} {
				for k, v := range from {
					params[k] = append(params[k], v...)
				}
			}
			req, err := http.NewRequestWithContext(t.Context(), method, f.URL+b+rest+"?"+params.Encode(), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			for _, name := range []string{"X-Scope-OrgID", "THANOS-TENANT", "X-Tenant", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "X-Forwarded-Prefix"} {
				req.Header.Set(name, "globex")
			}
			req.Header.Set("Connection", "Authorization, X-Scope-OrgID")
			if got := harness.Do(t, req); strings.Contains(got.Body, harness.Stranger) {
				t.Errorf("%s %s?%s tells: %s", method, b+rest, params.Encode(), got.Body)
			}
		}
	}
}

func TestRemoteReadBringsOnlyAcmesSeries(t *testing.T) {
	w := harness.NewWorld(t)
	f := fence.Before(t, w.Crowd.URL)
	query := func(matchers ...*prompb.LabelMatcher) *prompb.Query {
		return &prompb.Query{StartTimestampMs: w.Now.Add(-time.Hour).UnixMilli(), EndTimestampMs: w.Now.UnixMilli(), Matchers: matchers}
	}
	request, err := (&prompb.ReadRequest{Queries: []*prompb.Query{
		query(&prompb.LabelMatcher{Name: "__name__", Value: "requests_total"}),
		query(&prompb.LabelMatcher{Type: prompb.LabelMatcher_RE, Name: "tenant_id", Value: ".*"}),
		query(&prompb.LabelMatcher{Name: "tenant_id", Value: "globex"}),
	}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []string{"/api/v1", "/api/v1/metrics"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.URL+b+"/read", bytes.NewReader(snappy.Encode(nil, request)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+f.Token(t, "acme"))
		req.Header.Set("Content-Type", "application/x-protobuf")
		req.Header.Set("Content-Encoding", "snappy")
		req.Header.Set("X-Prometheus-Remote-Read-Version", "0.1.0")
		got := harness.Do(t, req)
		raw, err := snappy.Decode(nil, []byte(got.Body))
		if got.Status != http.StatusOK || err != nil {
			t.Fatalf("%s: %d, %v: %q", b, got.Status, err, got.Body)
		}
		var answer prompb.ReadResponse
		if err := answer.Unmarshal(raw); err != nil {
			t.Fatal(err)
		}
		var series []int
		for _, r := range answer.Results {
			series = append(series, len(r.Timeseries))
			for _, s := range r.Timeseries {
				if !slices.ContainsFunc(s.Labels, func(l prompb.Label) bool { return l.Name == "tenant_id" && l.Value == "acme" }) {
					t.Errorf("%s: a series of others: %v", b, s.Labels)
				}
			}
		}
		if len(series) != 3 || series[0] != 4 || series[1] < 10 || series[2] != 0 {
			t.Errorf("%s: the queries found %v series, want 4, all of acme's and none", b, series)
		}
	}
}

func TestParametersOfURLAndBodyAreOneSet(t *testing.T) {
	w := harness.NewWorld(t)
	f := fence.Before(t, w.Crowd.URL)
	token := f.Token(t, "acme")
	tests := map[string]struct {
		path, inURL, inBody string
		status              int
		holds, lacks        string
	}{
		"Grafana's labels, all in the URL": {"/labels", "match[]=limit", "", 200, `"job"`, `"code"`},
		"selectors in both are a union":    {"/series", "match[]=limit", "match[]=only_acme", 200, `"only_acme"`, `"requests_total"`},
		"a query in the URL of a POST":     {"/query", "query=limit", "", 200, `"limit"`, `"requests_total"`},
		"the same query twice":             {"/query", "query=limit", "query=limit", 200, `"limit"`, `"requests_total"`},
		"two queries":                      {"/query", "query=limit", "query=requests_total", 400, `bad_data`, `"requests_total"`},
		"a second one by a semicolon":      {"/query", "query=limit;query=requests_total", "", 400, `bad_data`, `"requests_total"`},
		"another's name in the body":       {"/series", "match[]=limit", `match[]={tenant_id="globex"}`, 200, `"limit"`, harness.Stranger},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.URL+"/api/v1"+tt.path+"?"+tt.inURL, strings.NewReader(tt.inBody))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			got := harness.Do(t, req)
			if got.Status != tt.status || !strings.Contains(got.Body, tt.holds) || strings.Contains(got.Body, tt.lacks) {
				t.Errorf("%d, want %d with %s and without %s: %s", got.Status, tt.status, tt.holds, tt.lacks, got.Body)
			}
		})
	}
}
