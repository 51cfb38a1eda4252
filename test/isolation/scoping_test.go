// Package isolation_test holds the promise of non-interference against a real
// Prometheus: what acme sees among strangers is what acme would see alone, for
// every endpoint and every way to write a query.
//
// attack tries to break the promise on the wire, property holds it over every
// expression of Prometheus's own tests.
package isolation_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/fence"
	"github.com/promfence/promfence/test/harness/upstream"
)

// ways are ways to write a query. Each must find something of acme's, which is
// its control, unless it begins with "nothing:".
var ways = map[string]string{
	"a name":                `requests_total`,
	"no name":               `{job="shop"}`,
	"a matcher on the name": `{__name__="requests_total"}`,
	"a regexp for the name": `{__name__=~".+"}`,
	"the name is not":       `{__name__!="errors_total", job=~".+"}`,
	"a quoted name":         `{"requests_total"}`,
	"a UTF-8 name":          `{"lat.ency"}`,
	"a UTF-8 label":         `{"lat.ency", "host.name"="web-1"}`,

	"a rate":                     `rate(requests_total[5m])`,
	"an aggregation":             `sum(requests_total)`,
	"by the tenant":              `sum by (tenant_id) (requests_total)`,
	"without the tenant":         `sum without (tenant_id) (requests_total)`,
	"an aggregation's parameter": `topk(scalar(limit), requests_total)`,
	"only the parameter":         `topk(scalar(sum(requests_total)), vector(1))`,
	"a quantile's parameter":     `quantile(scalar(limit), requests_total)`,
	"a nested parameter":         `bottomk(scalar(count(topk(scalar(limit), errors_total))), requests_total)`,
	"values counted":             `count_values("v", requests_total)`,
	"how many series there are":  `count({__name__=~".+", job="shop"})`,
	"how many names there are":   `count(count by (__name__) ({__name__=~".+", job="shop"}))`,
	"grouping":                   `group by (job, tenant_id) ({__name__=~".+", job=~".+"})`,
	"a limit":                    `limitk(1, requests_total)`,
	"a ratio":                    `limit_ratio(1, requests_total)`,

	"a subquery":                  `max_over_time(rate(requests_total[2m])[5m:1m])`,
	"a subquery in a subquery":    `avg_over_time(max_over_time(requests_total[2m:1m])[4m:1m])`,
	"an offset":                   `requests_total offset 2m`,
	"a negative offset":           `requests_total offset -30s`,
	"at a time":                   `requests_total @ end()`,
	"at the start, and an offset": `sum_over_time(requests_total[3m] @ start() offset 30s)`,
	"a range in words":            `rate(requests_total[2m*2])`,
	"an anchored range":           `increase(requests_total[5m] anchored)`,
	"a smoothed rate":             `rate(requests_total[5m] smoothed)`,

	"a sum of two":                 `requests_total + requests_total`,
	"a ratio by label":             `errors_total / ignoring(code) group_right requests_total`,
	"on a label":                   `requests_total * on (job) group_left limit`,
	"joined with info":             `requests_total * on (job, instance) group_left(version) target_info`,
	"or":                           `only_acme or stranger_secret_total`,
	"or, the other way round":      `stranger_secret_total or only_acme`,
	"and":                          `requests_total and on (job) errors_total`,
	"unless":                       `requests_total unless on () stranger_secret_total`,
	"unless what others have":      `requests_total unless on () requests_total{job="stranger"}`,
	"a comparison":                 `requests_total > bool on (job, instance, code) requests_total offset 1m`,
	"a fill":                       `requests_total + on (job, instance, code) fill(0) requests_total offset 1m`,
	"compared with what others do": `sum(requests_total) >= bool scalar(sum(limit))`,
	"arithmetic around":            `-(2 * requests_total ^ 2) % 7`,

	"not the tenant":                `requests_total{tenant_id!="globex"}`,
	"a regexp for every tenant":     `requests_total{tenant_id=~".*"}`,
	"a regexp for two":              `requests_total{tenant_id=~"acme|globex"}`,
	"a regexp against others":       `requests_total{tenant_id!~"globex|beta"}`,
	"the tenant itself":             `requests_total{tenant_id="acme"}`,
	"the tenant twice":              `requests_total{tenant_id="acme", tenant_id=~"a.*"}`,
	"nothing: another tenant":       `requests_total{tenant_id="globex"}`,
	"nothing: no tenant":            `requests_total{tenant_id=""}`,
	"nothing: another in a regexp":  `requests_total{tenant_id=~"globex|beta"}`,
	"nothing: another in quotes":    `{"requests_total", "tenant_id"="globex"}`,
	"nothing: who is not acme":      `requests_total{tenant_id!="acme"}`,
	"nothing: another's own metric": `stranger_secret_total`,

	"a histogram's quantile":          `histogram_quantile(0.9, sum by (le) (rate(latency_seconds_bucket[5m])))`,
	"a native histogram":              `histogram_count(native_seconds)`,
	"a native quantile":               `histogram_quantile(0.5, sum(rate(native_seconds[5m])))`,
	"a new label":                     `label_replace(requests_total, "tenant_id", "globex", "job", "shop")`,
	"a joined label":                  `label_join(requests_total, "x", "-", "tenant_id", "job")`,
	"sorted by label":                 `sort_by_label(requests_total, "code")`,
	"sorted":                          `sort_desc(requests_total)`,
	"a time":                          `timestamp(requests_total)`,
	"a prediction":                    `predict_linear(memory_bytes[5m], 60)`,
	"a smoothing":                     `double_exponential_smoothing(memory_bytes[5m], scalar(limit) * 0 + 0.5, 0.5)`,
	"what is there":                   `present_over_time(requests_total[5m])`,
	"what is not there":               `count(absent(stranger_secret_total))`,
	"a scalar":                        `scalar(sum(requests_total))`,
	"a scalar in a function":          `clamp_max(requests_total, scalar(sum(limit)))`,
	"no series at all":                `vector(1)`,
	"comments and blanks":             "# stranger_secret_total\n requests_total # {tenant_id=\"globex\"}\n",
	"a string that looks like PromQL": `count_values("v", label_replace(requests_total, "x", "{tenant_id=\"globex\"}", "", ""))`,
}

func TestAcmeSeesWhatAcmeWouldSeeAloneHoweverTheQueryIsWritten(t *testing.T) {
	w := harness.NewWorld(t)
	seen := upstream.Record(t, w.Crowd.URL)
	f := fence.Before(t, seen.URL)
	token := f.Token(t, "acme")
	at := w.Now.Format(time.RFC3339)
	for name, query := range ways {
		t.Run(name, func(t *testing.T) {
			instant := harness.Form("query", query, "time", at)
			ranged := harness.Form("query", query, "start", w.Now.Add(-3*time.Minute).Format(time.RFC3339), "end", at, "step", "30")
			for path, params := range map[string]map[string][]string{"/query": instant, "/query_range": ranged} {
				status, want := harness.Fetch(t, w.Alone.URL+"/api/v1"+path, "", params)
				if status != http.StatusOK {
					t.Fatalf("alone, Prometheus answers %d: %s", status, want)
				}
				if found := len(harness.Result(t, want)) > 0; found == strings.HasPrefix(name, "nothing:") {
					t.Fatalf("alone, %s answers %s", path, want)
				}
				for _, base := range []string{"/api/v1", "/api/v1/metrics"} {
					for _, method := range []string{http.MethodGet, http.MethodPost} {
						got := harness.Send(t, method, f.URL+base+path, token, params)
						if got.Status != http.StatusOK {
							t.Errorf("%s %s: %d: %s", method, base+path, got.Status, got.Body)
							continue
						}
						if diff := cmp.Diff(harness.Result(t, want), harness.Result(t, got.Body)); diff != "" {
							t.Errorf("%s %s (-alone +crowd):\n%s", method, base+path, diff)
						}
						if strings.Contains(got.Body, harness.Stranger) {
							t.Errorf("%s %s tells: %s", method, base+path, got.Body)
						}
					}
				}
			}
			for _, asked := range seen.Take() {
				if loose := upstream.Unscoped(asked.Params().Get("query"), "acme"); loose != "" {
					t.Errorf("the upstream was asked %s, in which %s is nobody's", asked.Params().Get("query"), loose)
				}
			}
		})
	}
}

func TestTheUpstreamIsAskedForTheTenantInEverySelector(t *testing.T) {
	behind := harness.Answering(t)
	f := fence.Before(t, behind.URL)
	tests := map[string]struct {
		tenant      any
		query, want string
	}{
		"one selector":           {"acme", `sum(rate(http_requests_total[5m]))`, `sum(rate(http_requests_total{tenant_id="acme"}[5m]))`},
		"each of several":        {"acme", `topk(scalar(a), b) / c offset 5m`, `topk(scalar(a{tenant_id="acme"}), b{tenant_id="acme"}) / c{tenant_id="acme"} offset 5m`},
		"two tenants":            {[]string{"beta", "acme"}, `up`, `up{tenant_id=~"acme|beta"}`},
		"a dot in a name":        {[]string{"a.b", "c"}, `up`, `up{tenant_id=~"a\\.b|c"}`},
		"a quote in a name":      {`a"} or up{x="`, `up`, `up{tenant_id="a\"} or up{x=\""}`},
		"a matcher of one's own": {"acme", `up{tenant_id=~"a.*"}`, `up{tenant_id="acme",tenant_id=~"a.*"}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			status, body := harness.Fetch(t, f.URL+"/api/v1/metrics/query", f.Token(t, tt.tenant), harness.Form("query", tt.query))
			if status != http.StatusOK {
				t.Fatalf("%d: %s", status, body)
			}
			asked := behind.Take()
			if len(asked) != 1 || asked[0].Path != "/api/v1/query" {
				t.Fatalf("the upstream was asked %+v", asked)
			}
			got := strings.NewReplacer(`{tenant_id=~"a.*",tenant_id="acme"}`, `{tenant_id="acme",tenant_id=~"a.*"}`).Replace(asked[0].Params().Get("query"))
			if got != tt.want {
				t.Errorf("asked for %s, want %s", got, tt.want)
			}
		})
	}
}

func TestSeveralTenantsInOneTokenSeeTheirUnionAndNoMore(t *testing.T) {
	w := harness.NewWorld(t)
	f := fence.Before(t, w.Crowd.URL)
	token := f.Token(t, []string{"acme", "beta"})
	_, body := harness.Fetch(t, f.URL+"/api/v1/query", token, harness.Form("query", `sum by (tenant_id) (limit)`, "time", w.Now.Format(time.RFC3339)))
	got := ""
	for _, series := range harness.Result(t, body) {
		var e struct {
			Metric map[string]string
			Value  [2]any
		}
		if err := json.Unmarshal([]byte(series), &e); err != nil {
			t.Fatal(err)
		}
		got += fmt.Sprint(e.Metric["tenant_id"], " has ", e.Value[1], ". ")
	}
	if got != "acme has 2. beta has 902. " {
		t.Errorf("%q in %s", got, body)
	}
	_, body = harness.Fetch(t, f.URL+"/api/v1/metrics/label/tenant_id/values", token, nil)
	if !strings.Contains(body, `["acme","beta"]`) {
		t.Errorf("tenants: %s", body)
	}
	_, body = harness.Fetch(t, f.URL+"/api/v1/query", token, harness.Form("query", `requests_total{tenant_id="globex"}`))
	if len(harness.Result(t, body)) != 0 {
		t.Errorf("globex, who is not among them: %s", body)
	}
}

func TestAConflictIsEmptyOrRefusedNeverSomebodyElses(t *testing.T) {
	w := harness.NewWorld(t)
	seen := upstream.Record(t, w.Crowd.URL)
	tests := map[string]struct {
		setting string
		status  int
	}{
		"intersect": {"TENANCY_ON_CONFLICT=intersect", 200},
		"reject":    {"TENANCY_ON_CONFLICT=reject", 403},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := fence.Before(t, seen.URL, tt.setting)
			token := f.Token(t, "acme")
			for path, params := range map[string]map[string][]string{
				"/query":  harness.Form("query", `requests_total{tenant_id="globex"}`),
				"/series": harness.Form("match[]", `requests_total{tenant_id="globex"}`),
				"/labels": harness.Form("match[]", `{tenant_id="globex"}`),
			} {
				status, body := harness.Fetch(t, f.URL+"/api/v1"+path, token, params)
				if status != tt.status || strings.Contains(body, harness.Stranger) {
					t.Errorf("%s: %d, want %d: %s", path, status, tt.status, body)
				}
				if status == 200 && len(harness.Result(t, body)) != 0 {
					t.Errorf("%s: not empty: %s", path, body)
				}
			}
			if status, body := harness.Fetch(t, f.URL+"/api/v1/query", token, harness.Form("query", `requests_total{tenant_id="acme"}`)); status != 200 || len(harness.Result(t, body)) == 0 {
				t.Errorf("one's own name: %d %s", status, body)
			}
			if asked := seen.Take(); tt.status == 403 && len(asked) != 1 {
				t.Errorf("the upstream was asked %d times, want once, for one's own", len(asked))
			}
		})
	}
}
