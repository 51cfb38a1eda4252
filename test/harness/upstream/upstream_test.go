package upstream_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/prompb"

	"github.com/promfence/promfence/test/harness/upstream"
)

func TestARealPrometheusHoldsWhatWasLoaded(t *testing.T) {
	u := upstream.Start(t, upstream.Options{
		Rules:   map[string]string{"load": "groups: [{name: g, rules: [{record: 'job:requests', expr: 'sum(requests_total)'}]}]"},
		Targets: []upstream.Target{{Job: "shop", Metrics: "up_since 12\n", Labels: map[string]string{"tenant_id": "acme"}}},
	})
	now := time.Now().Truncate(time.Second)
	u.Load(t, now.Add(-time.Minute), 15*time.Second, `
		requests_total{tenant_id="acme"} 0+10x4
		{"lat.ency", tenant_id="acme"} {{schema:0 count:4 sum:5 buckets:[1 2 1]}}x4
	`)
	u.Write(t, prompb.TimeSeries{
		Labels:    []prompb.Label{{Name: "__name__", Value: "requests_total"}, {Name: "tenant_id", Value: "acme"}},
		Samples:   []prompb.Sample{{Timestamp: now.UnixMilli(), Value: 40}},
		Exemplars: []prompb.Exemplar{{Labels: []prompb.Label{{Name: "trace_id", Value: "abc"}}, Value: 1, Timestamp: now.UnixMilli()}},
	})
	for query, want := range map[string]string{
		`requests_total`:                       `"40"`,
		`histogram_count({"lat.ency"})`:        `"4"`,
		`last_over_time(job:requests[1m])`:     `"40"`,
		`up_since{job="shop"}`:                 `"12"`,
		`sum by (tenant_id) (requests_total)`:  `"tenant_id":"acme"`,
		`sort_by_label(requests_total, "job")`: `"40"`, // an experimental function
	} {
		err := upstream.Poll(t.Context(), 10*time.Second, func() error {
			return contains(get(t, u.URL+"/api/v1/query", "query", query), want)
		})
		if err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
	exemplars := get(t, u.URL+"/api/v1/query_exemplars", "query", "requests_total", "start", now.Add(-time.Hour).Format(time.RFC3339), "end", now.Add(time.Hour).Format(time.RFC3339))
	if err := contains(exemplars, `"trace_id":"abc"`); err != nil {
		t.Error(err)
	}
}

func TestARecorderTellsWhatTheUpstreamWasAsked(t *testing.T) {
	behind := upstream.Stub(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.FormValue("query"))
	}))
	r := upstream.Record(t, behind.URL)
	resp, err := http.PostForm(r.URL+"/api/v1/label/a%2Fb/values?query=url", url.Values{"query": {"body"}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, _ := io.ReadAll(resp.Body); string(got) != "body" {
		t.Errorf("answer %q, want the upstream's", got)
	}
	for name, rec := range map[string]*upstream.Recorder{"in front": r, "behind": behind} {
		got := rec.Requests()
		if len(got) != 1 {
			t.Fatalf("%s: %d requests, want 1", name, len(got))
		}
		if got[0].Method != "POST" || got[0].Path != "/api/v1/label/a%2Fb/values" || got[0].RawQuery != "query=url" || string(got[0].Body) != "query=body" {
			t.Errorf("%s: %+v", name, got[0])
		}
		if diff := cmp.Diff(url.Values{"query": {"body", "url"}}, got[0].Params()); diff != "" {
			t.Errorf("%s: parameters (-want +got):\n%s", name, diff)
		}
	}
	if len(r.Take()) != 1 || len(r.Requests()) != 0 {
		t.Error("Take does not forget what it returns")
	}
}

func get(t *testing.T, address string, pairs ...string) string {
	t.Helper()
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Add(pairs[i], pairs[i+1])
	}
	resp, err := http.Get(address + "?" + q.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || !json.Valid(body) {
		t.Fatalf("%s: %v: %s", address, err, body)
	}
	return string(body)
}

type missing struct{ text, want string }

func (m missing) Error() string { return m.text + " lacks " + m.want }

func contains(text, want string) error {
	if !strings.Contains(text, want) {
		return missing{text, want}
	}
	return nil
}

func TestUnscopedFindsTheOneSelectorThatIsNobodys(t *testing.T) {
	tests := map[string]struct {
		query   string
		tenants []string
		want    string
	}{
		"none":                  {`sum(a{tenant_id="acme"})`, []string{"acme"}, ``},
		"the other operand":     {`a + b{tenant_id="acme"}`, []string{"acme"}, `a`},
		"a parameter":           {`topk(scalar(a), b{tenant_id="acme"})`, []string{"acme"}, `a`},
		"another's":             {`a{tenant_id="globex"}`, []string{"acme"}, `a{tenant_id="globex"}`},
		"a regexp for one":      {`a{tenant_id=~"acme"}`, []string{"acme"}, `a{tenant_id=~"acme"}`},
		"several":               {`a{tenant_id=~"acme|beta"}`, []string{"acme", "beta"}, ``},
		"one where several are": {`a{tenant_id=~"acme|beta|globex"}`, []string{"acme", "beta"}, `a{tenant_id=~"acme|beta|globex"}`},
		"in a subquery":         {`max_over_time(rate(a[1m])[5m:])`, []string{"acme"}, `a`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := upstream.Unscoped(tt.query, tt.tenants...); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
