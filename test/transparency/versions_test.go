package transparency_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/compare"
	"github.com/promfence/promfence/test/harness/fence"
	"github.com/promfence/promfence/test/harness/gobuild"
	"github.com/promfence/promfence/test/harness/upstream"
)

// A version is one server of another version than go.mod's. It holds 4 series of acme's
// and 50 of globex's.
type version struct {
	*upstream.Upstream
	now time.Time
}

const samplesOfEach = 40

func startVersion(t *testing.T, o upstream.Options) version {
	t.Helper()
	v := version{upstream.Start(t, o), time.Now().Truncate(time.Minute).Add(-time.Minute)}
	lines := `requests_total{tenant_id="acme", job="shop", instance="a"} 0+30x40
		requests_total{tenant_id="acme", job="shop", instance="b"} 0+60x40
		latency_seconds_bucket{tenant_id="acme", job="shop", le="1"} 0+20x40
		latency_seconds_bucket{tenant_id="acme", job="shop", le="+Inf"} 0+25x40
	`
	for i := range 50 {
		lines += fmt.Sprintf("requests_total{tenant_id=\"globex\", job=\"shop\", instance=\"stranger-%d\"} 7+%dx40\n", i, i)
	}
	v.Load(t, v.now.Add(-samplesOfEach*harness.Step), harness.Step, lines)
	return v
}

// ask asks promfence as acme.
func (v version) ask(t *testing.T, f *fence.Fence, path string, pairs ...string) (status int, body string) {
	t.Helper()
	params := harness.Form(append(pairs, "time", fmt.Sprint(v.now.Unix()), "start", fmt.Sprint(v.now.Add(-5*time.Minute).Unix()), "end", fmt.Sprint(v.now.Unix()), "step", "15")...)
	return harness.Fetch(t, f.URL+path, f.Token(t, "acme"), params)
}

// core holds answers through promfence against those of the server itself to what
// promfence makes of each: in these, $ stands for the tenant's matcher.
func (v version) core(t *testing.T, f *fence.Fence) {
	t.Helper()
	token, held := f.Token(t, "acme"), 0
	same := func(path string, pairs ...string) {
		spelled := func(matcher string) url.Values {
			params := url.Values{}
			for name, values := range harness.Form(pairs...) {
				for _, value := range values {
					value = strings.NewReplacer("{$,", "{"+matcher+",", "$", "{"+matcher+"}").Replace(value)
					if value = strings.ReplaceAll(value, "{,", "{"); value != "{}" {
						params.Add(name, value)
					}
				}
			}
			return params
		}
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if method == http.MethodPost && (path == "/federate" || strings.Contains(path, "/label/")) {
				continue
			}
			ours := compare.Question{Method: method, Path: path, Params: spelled(""), Unordered: true}
			direct := compare.Question{Method: method, Path: path, Params: spelled(`tenant_id="acme"`), Unordered: true}
			want, got := direct.Ask(t, v.URL, "", v.now), ours.Ask(t, f.URL, token, v.now)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-direct +promfence):\n%s", ours, diff)
			}
			if text := fmt.Sprint(got.Body); strings.Contains(text, harness.Stranger) || got.Status != http.StatusOK {
				t.Errorf("%s: %d %s", ours, got.Status, text)
			} else if strings.Contains(text, "acme") || strings.Contains(text, "shop") {
				held++
			}
		}
	}
	at, from := fmt.Sprint(v.now.Unix()), fmt.Sprint(v.now.Add(-5*time.Minute).Unix())
	for _, query := range []string{
		`requests_total$`, `{$,job="shop"}`, `{$,__name__=~"requests.*"}`, `sum by (job) (rate(requests_total$[5m]))`, `requests_total$ / on (job, instance) requests_total$ offset 1m`,
		`histogram_quantile(0.9, sum by (le, job) (rate(latency_seconds_bucket$[5m])))`, `max_over_time(rate(requests_total$[1m])[5m:1m])`, `topk(1, requests_total$)`, `label_replace(requests_total$, "x", "y", "job", ".*op")`,
	} {
		same("/api/v1/query", "query", query, "time", at)
		same("/api/v1/query_range", "query", query, "start", from, "end", at, "step", "30")
	}
	same("/api/v1/series", "match[]", `requests_total$`, "start", from, "end", at)
	same("/api/v1/labels", "match[]", `$`, "start", from, "end", at)
	same("/api/v1/label/instance/values", "match[]", `$`, "start", from, "end", at)
	same("/federate", "match[]", `{$,job="shop"}`)
	if held < 30 {
		t.Errorf("only %d answers hold something", held)
	}
}

// A Prometheus 3.16 that bounds and tells what a query costs enforces promfence's limits
// for each tenant: of several the strictest. What it estimates is of the tenant's series.
func TestPrometheus316EnforcesLimits(t *testing.T) {
	v := startVersion(t, upstream.Options{Program: gobuild.Prometheus316, Args: []string{"--enable-feature=query-cost"}})
	f := fence.Before(t, v.URL, "LIMITS_MAX_SERIES=3", "LIMITS_MAX_SAMPLES_READ=60", "LIMITS_MAX_QUERY_DURATION=1m")
	f.Await(t, func() error { return f.Says("the upstream enforces these limits") })

	const all = `{job="shop"}` // all four series of acme's
	for _, tt := range []struct {
		name, path string
		params     []string
		status     int
		says       string
	}{
		{"two series", "/api/v1/query", []string{"query", "requests_total"}, 200, `"result":[{`},
		{"four series", "/api/v1/query", []string{"query", all}, 422, `"errorType":"cost_limit","error":"the query selects more series than the upstream's limit allows (limits.max_series is 3)`},
		{"a looser limit of the caller's", "/api/v1/query", []string{"query", all, "max_series", "50"}, 422, "limits.max_series is 3"},
		{"no limit of the caller's", "/api/v1/query", []string{"query", all, "max_series", "0"}, 422, "limits.max_series is 3"},
		{"a stricter one", "/api/v1/query", []string{"query", "requests_total", "max_series", "1"}, 422, "(max_series is 1)"},
		{"two of the caller's", "/api/v1/query", []string{"query", "requests_total", "max_series", "50", "max_series", "1"}, 422, "(max_series is 1)"},
		{"one that nobody can read", "/api/v1/query", []string{"query", "requests_total", "max_series", "many"}, 400, `invalid parameter \"max_series\"`},
		{"few samples", "/api/v1/query_range", []string{"query", `requests_total{instance="a"}`}, 200, `"result":[{`},
		{"many samples", "/api/v1/query_range", []string{"query", `sum_over_time(requests_total[9m])`}, 422, "limits.max_samples_read is 60"},
		{"an estimate of the tenant's own", "/api/v1/query_cost", []string{"query", "requests_total"}, 200, `"seriesTouched":2,`},
		{"an estimate of a range", "/api/v1/query_range_cost", []string{"query", "requests_total"}, 200, `"seriesTouched":2,`},
		{"an estimate above somebody's limit", "/api/v1/query_cost", []string{"query", "requests_total", "max_query_duration", "-1"}, 400, `invalid parameter \"max_query_duration\"`},
	} {
		if status, body := v.ask(t, f, tt.path, tt.params...); status != tt.status || !strings.Contains(body, tt.says) {
			t.Errorf("%s: %d %s, want %d with %s", tt.name, status, body, tt.status, tt.says)
		}
	}
	if _, body := harness.Fetch(t, v.URL+"/api/v1/query_cost", "", harness.Form("query", "requests_total", "time", fmt.Sprint(v.now.Unix()))); !strings.Contains(body, `"seriesTouched":52,`) {
		t.Errorf("everybody's estimate is %s, want 52 series", body)
	}
	v.counts(t, f)

	above := fence.Before(t, v.URL, "LIMITS_MAX_QUERY_DURATION=10m")
	if status, body := v.ask(t, above, "/api/v1/query", "query", "requests_total"); status != 400 || !strings.Contains(body, "limits.max_query_duration is 10m, which is above the upstream's own limit of 2m0s") {
		t.Errorf("a setting above the upstream's: %d %s", status, body)
	}
	v.core(t, fence.Before(t, v.URL))
	v.core(t, fence.Before(t, v.URL, "LIMITS_MAX_SERIES=1000"))
}

// counts holds the count of samples against what the upstream itself says of a query.
func (v version) counts(t *testing.T, f *fence.Fence) {
	t.Helper()
	const query, name = `requests_total`, "promfence_tenant_samples_read_total"
	_, body := v.ask(t, f, "/api/v1/query", "query", query, "stats", "true")
	var told struct {
		Data struct {
			Stats struct{ Samples struct{ SamplesRead float64 } }
		}
	}
	if err := json.Unmarshal([]byte(body), &told); err != nil || told.Data.Stats.Samples.SamplesRead == 0 {
		t.Fatalf("no statistics for who asks: %v in %s", err, body)
	}
	before := f.Metrics(t)[name]
	if _, body := v.ask(t, f, "/api/v1/query", "query", query); strings.Contains(body, "stats") || strings.Contains(body, "samplesRead") || !json.Valid([]byte(body)) {
		t.Errorf("statistics that nobody asked for: %s", body)
	}
	if got := f.Metrics(t)[name] - before; got != told.Data.Stats.Samples.SamplesRead {
		t.Errorf("%v samples are counted, want %v", got, told.Data.Stats.Samples.SamplesRead)
	}
}

// A Prometheus 2.55 enforces no limits of its engine, and says nothing of them. All else
// is as with others.
func TestPrometheus255(t *testing.T) {
	v := startVersion(t, upstream.Options{Program: gobuild.Prometheus255})
	f := fence.Before(t, v.URL, "LIMITS_MAX_SERIES=1")
	f.Await(t, func() error { return f.Says("nobody enforces these limits") })
	v.core(t, f)
	if status, body := v.ask(t, f, "/api/v1/query_cost", "query", "requests_total"); status != http.StatusNotFound {
		t.Errorf("an estimate that it does not make: %d %s", status, body)
	}
}
