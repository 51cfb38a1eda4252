package isolation_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/access"
	"github.com/promfence/promfence/test/harness/fence"
)

// selecting are queries and selectors of more than one label.
var selecting = []string{
	`requests_total`, `{job="shop"}`, `{__name__=~".+_total|.+bytes",job=~".+"}`, `sum by (tier) (rate(requests_total[5m]))`, `sum without (tenant_id, realm) (requests_total)`,
	`topk(2, requests_total)`, `count by (tenant_id, tier, realm) ({job=~".+"})`, `requests_total{tier="prod"}`, `requests_total{tier=~".*"}`, `requests_total{tier=""}`,
	`requests_total{tier!="dev",tenant_id!="acme"}`, `requests_total{realm!~"eu"}`, `requests_total{tenant_id=""}`, `{"lat.ency"}`, `max_over_time(memory_bytes[5m:1m] offset 1m)`,
	`requests_total / on (tenant_id, tier, realm, job) group_left memory_bytes`, `requests_total unless on (tier) memory_bytes{tier="stage"}`, `stranger_only or memory_bytes`,
	`histogram_quantile(0.5, sum by (le) (rate(latency_seconds_bucket[5m])))`, `histogram_count(sum(native_seconds))`, `label_replace(memory_bytes, "tier", "dev", "tier", ".*")`, `vector(1)`,
}

// requests are those that a label policy must hold for, by path.
func requests(now time.Time) map[string][]url.Values {
	at, from := now.Format(time.RFC3339), now.Add(-5*time.Minute).Format(time.RFC3339)
	all := map[string][]url.Values{
		"/query_exemplars":     {harness.Form("query", "traced_total", "start", from, "end", at), harness.Form("query", `traced_total{tier="prod"}`, "start", from, "end", at)},
		"/rules":               {{}, harness.Form("type", "alert"), harness.Form("type", "record"), harness.Form("exclude_alerts", "true"), harness.Form("rule_name[]", "Stranger")},
		"/alerts":              {{}},
		"/metadata":            {{}, harness.Form("metric", "scraped_total"), harness.Form("metric", "stranger_total")},
		"/targets":             {{}, harness.Form("state", "active"), harness.Form("state", "dropped")},
		"/targets/metadata":    {{}, harness.Form("metric", "scraped_total"), harness.Form("match_target", `{job="stranger"}`), harness.Form("match_target", `{tier="prod"}`)},
		"/search/metric_names": {{}, harness.Form("search[]", "total")},
		"/search/label_names":  {{}},
		"/search/label_values": {harness.Form("label", "tier"), harness.Form("label", "tenant_id"), harness.Form("label", "stranger")},
		"/labels":              {{}, harness.Form("match[]", `{tier="prod"}`)},
		"/series":              {harness.Form("match[]", `{tenant_id=~".*"}`, "match[]", `{__name__=~".+"}`)},
		"/federate":            {harness.Form("match[]", `{__name__=~"requests_total|memory_bytes|stranger_only"}`), harness.Form("match[]", `requests_total{tier=""}`), {}},
		"/status/buildinfo":    {{}},
	}
	for _, name := range []string{"tier", "tenant_id", "realm", "job", "stranger", "__name__", "U__host_2e_name"} {
		all["/label/"+name+"/values"] = []url.Values{{}, harness.Form("match[]", "requests_total"), harness.Form("match[]", `{tier="prod"}`)}
	}
	for _, q := range selecting {
		all["/query"] = append(all["/query"], harness.Form("query", q, "time", at))
		all["/query_range"] = append(all["/query_range"], harness.Form("query", q, "start", from, "end", at, "step", "60"))
		if !strings.Contains(q, "(") && !strings.Contains(q, " ") {
			all["/series"] = append(all["/series"], harness.Form("match[]", q))
		}
	}
	return all
}

// policed starts a promfence that takes these policies in front of an upstream.
func policed(t *testing.T, upstreamURL string, policies []policy.Policy, settings ...string) *fence.Fence {
	t.Helper()
	file := filepath.Join(t.TempDir(), "promfence.yaml")
	harness.WriteFile(t, file, string(access.File(t, policies...)))
	return fence.Before(t, upstreamURL, append(settings, "CONFIG="+file)...)
}

// What a label policy shows of a Prometheus is what one answers that holds nothing
// else, at every endpoint.
func TestALabelPolicyShowsWhatIsThereWithoutTheOthers(t *testing.T) {
	for _, a := range access.Cases {
		t.Run(a.Name, func(t *testing.T) {
			w := newPolicyWorld(t, a.Labels(t))
			f := policed(t, w.Crowd.URL, a.Policies)
			token := f.Issuer.Token(t, "nobody", a.Claims)
			compared, told := 0, 0
			for path, tries := range requests(w.Now) {
				for _, params := range tries {
					base := "/api/v1"
					if path == "/federate" {
						base = ""
					}
					want := harness.Send(t, http.MethodGet, w.Alone.URL+base+path, "", params)
					got := harness.Send(t, http.MethodGet, f.URL+base+path, token, params)
					compared++
					if strings.Contains(got.Body, harness.Stranger) && !strings.Contains(params.Encode(), harness.Stranger) {
						t.Errorf("%s?%s tells of strangers: %s", path, params.Encode(), got.Body)
					}
					if diff := gocmp.Diff(sorted(t, path, want), sorted(t, path, got)); diff != "" {
						t.Errorf("%s?%s (-alone +crowd):\n%s", path, params.Encode(), diff)
					}
					if len(got.Body) > 100 {
						told++
					}
				}
			}
			if diff := gocmp.Diff(remoteRead(t, w.Alone.URL, "", w.Now), remoteRead(t, f.URL, token, w.Now)); diff != "" {
				t.Errorf("remote read (-alone +crowd):\n%s", diff)
			}
			if t.Logf("%d answers compared, %d of them with something", compared, told); told < 50 {
				t.Errorf("only %d of %d answers hold something", told, compared)
			}
		})
	}
}

// volatile differs between two servers, or from one moment to the next. A rule without
// one of the labels is shown without its health.
var volatile = []string{"lastScrape", "lastScrapeDuration", "evaluationTime", "lastEvaluation", "activeAt", "health", "lastError", "file", "score"}

// sorted spells an answer so that its order and the time do not matter.
func sorted(t *testing.T, path string, r harness.Reply) []string {
	t.Helper()
	lines := []string{fmt.Sprint(r.Status)}
	for line := range strings.Lines(r.Body) {
		var v any
		if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &v) != nil {
			lines = append(lines, line)
			continue
		}
		if path == "/targets" { // pool counts are nobody's
			delete(member(v, "data"), "droppedTargetCounts")
		}
		text, err := json.Marshal(steady(v))
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(text))
	}
	slices.Sort(lines[1:])
	return lines
}

func member(v any, name string) map[string]any {
	object, _ := v.(map[string]any)
	inner, _ := object[name].(map[string]any)
	return inner
}

// steady takes out what is volatile and sorts arrays of objects and texts.
func steady(v any) any {
	switch v := v.(type) {
	case map[string]any:
		maps.DeleteFunc(v, func(name string, _ any) bool { return slices.Contains(volatile, name) })
		for name, inner := range v {
			v[name] = steady(inner)
		}
	case []any:
		for i := range v {
			v[i] = steady(v[i])
		}
		if len(v) > 0 && !isNumber(v[0]) {
			slices.SortFunc(v, func(a, b any) int { return strings.Compare(spelled(a), spelled(b)) })
		}
	}
	return v
}

func isNumber(v any) bool { _, ok := v.(float64); return ok }

func spelled(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// remoteRead returns the series that a remote read of several queries brings.
func remoteRead(t *testing.T, address, token string, now time.Time) (series []string) {
	t.Helper()
	query := func(ms ...*prompb.LabelMatcher) *prompb.Query {
		return &prompb.Query{StartTimestampMs: now.Add(-time.Hour).UnixMilli(), EndTimestampMs: now.UnixMilli(), Matchers: ms}
	}
	request, err := (&prompb.ReadRequest{Queries: []*prompb.Query{
		query(&prompb.LabelMatcher{Name: "__name__", Value: "requests_total"}),
		query(&prompb.LabelMatcher{Type: prompb.LabelMatcher_RE, Name: "job", Value: ".+"}, &prompb.LabelMatcher{Name: "tier", Value: "prod"}),
		query(&prompb.LabelMatcher{Type: prompb.LabelMatcher_NEQ, Name: "tenant_id", Value: "acme"}, &prompb.LabelMatcher{Name: "__name__", Value: "memory_bytes"}),
	}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+"/api/v1/read", bytes.NewReader(snappy.Encode(nil, request)))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy", "X-Prometheus-Remote-Read-Version": "0.1.0"} {
		req.Header.Set(name, value)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	got := harness.Do(t, req)
	raw, err := snappy.Decode(nil, []byte(got.Body))
	var answer prompb.ReadResponse
	if err != nil || answer.Unmarshal(raw) != nil || got.Status != http.StatusOK {
		t.Fatalf("%d, %v: %q", got.Status, err, got.Body)
	}
	for i, r := range answer.Results {
		for _, s := range r.Timeseries {
			series = append(series, fmt.Sprint(i, s.Labels, s.Samples))
		}
	}
	slices.Sort(series)
	if len(series) == 0 {
		t.Error("the remote read brought nothing")
	}
	return series
}
