package clients_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/compare"
	"github.com/promfence/promfence/test/harness/contract"
	"github.com/promfence/promfence/test/harness/upstream"
)

// grafanas are headers that Grafana's datasource proxy sends, among them several
// credentials at once: those that "Forward OAuth identity" adds.
func grafanas(token string) http.Header {
	return http.Header{
		"Authorization": {"Bearer " + token}, "X-Id-Token": {token}, "X-Grafana-Id": {"a.grafana.id"}, "Cookie": {"grafana_session=secret"},
		"User-Agent": {"Grafana/12.0.0"}, "Accept-Encoding": {"gzip"}, "X-Grafana-Org-Id": {"1"}, "X-Dashboard-Uid": {"abc"}, "X-Panel-Id": {"2"}, "X-Datasource-Uid": {"prom"},
		"X-Query-Group-Id": {"q1"}, "X-Dashboard-Title": {"Shop"}, "X-Panel-Title": {"Rate"}, "X-Grafana-From-Expr": {"true"}, "Fromalert": {"true"}, "X-Rule-Uid": {"r"},
		"X-Forwarded-For": {"192.0.2.7"}, "X-Real-Ip": {"192.0.2.7"}, "Origin": {"https://grafana.test"}, "Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	}
}

// conversation is what Grafana asks from adding the datasource to a dashboard.
func conversation(now time.Time) []compare.Question {
	start, end := fmt.Sprint(now.Add(-10*time.Minute).Unix()), fmt.Sprint(now.Unix())
	span := func(pairs ...string) url.Values {
		v := url.Values{"start": {start}, "end": {end}}
		for i := 0; i+1 < len(pairs); i += 2 {
			v.Add(pairs[i], pairs[i+1])
		}
		return v
	}
	empty := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	post := func(name, path string, v url.Values) compare.Question {
		return compare.Question{Name: name, Method: http.MethodPost, Path: path, Params: v, Unordered: true}
	}
	get := func(name, path string, v url.Values) compare.Question {
		return compare.Question{Name: name, Method: http.MethodGet, Path: path, Params: v, Unordered: true}
	}
	return []compare.Question{
		post("save & test: 1+1", "/api/v1/query", url.Values{"query": {"1+1"}, "time": {end}}),
		get("save & test: the version and flavor", "/api/v1/status/buildinfo", nil),
		{Name: "labels, all in the URL of a POST", Method: http.MethodPost, Path: "/api/v1/labels?" + span("match[]", `{__name__="requests_total"}`).Encode(), Header: empty},
		{Name: "labels of a filter", Method: http.MethodPost, Path: "/api/v1/labels?" + span("match[]", `{__name__="requests_total",job="shop"}`, "limit", "40000").Encode(), Header: empty},
		{Name: "series, all in the URL of a POST", Method: http.MethodPost, Path: "/api/v1/series?" + span("match[]", "requests_total").Encode(), Header: empty},
		post("labels, all in the body", "/api/v1/labels", span("match[]", "requests_total")),
		get("labels", "/api/v1/labels", span()),
		get("names of metrics", "/api/v1/label/__name__/values", span("limit", "40000")),
		get("names of metrics, filtered", "/api/v1/label/__name__/values", span("match[]", `{__name__=~".*requests.*"}`, "limit", "40000")),
		get("values of a label", "/api/v1/label/job/values", span("match[]", "requests_total", "limit", "40000")),
		get("values of a UTF-8 label", "/api/v1/label/U__host_2e_name/values", span()),
		get("metadata", "/api/v1/metadata", url.Values{"limit": {"40000"}}),
		get("metadata of one", "/api/v1/metadata", url.Values{"metric": {"scraped_total"}}),
		post("exemplars", "/api/v1/query_exemplars", span("query", "traced_total")),
		get("rules of the alert list", "/api/v1/rules", nil),
		get("rules of a group", "/api/v1/rules", url.Values{"rule_group[]": {"first"}}),
		post("a panel", "/api/v1/query_range", span("query", "sum by (job) (rate(requests_total[1m0s]))", "step", "30")),
		post("a panel of a variable with several values", "/api/v1/query_range", span("query", `requests_total{job=~"shop|cart",instance=~"(a|b)"}`, "step", "15")),
		post("a table", "/api/v1/query", url.Values{"query": {"topk(5, requests_total)"}, "time": {end + ".123"}}),
		post("a heatmap", "/api/v1/query_range", span("query", "sum by (le) (increase(latency_seconds_bucket[1m]))", "step", "60")),
		post("a panel with an info", "/api/v1/query_range", span("query", "rate(memory_bytes[1m])", "step", "30")),
		post("an alert rule", "/api/v1/query", url.Values{"query": {"requests_total > 100"}, "time": {end}}),
		get("a query variable", "/api/v1/series", span("match[]", "memory_bytes")),
		get("query_result()", "/api/v1/query", url.Values{"query": {"count by (job) (requests_total)"}, "time": {end}}),
		post("a mistake in the editor", "/api/v1/query_range", span("query", "sum(rate(", "step", "30")),
		post("a mistake that the engine finds", "/api/v1/query", url.Values{"query": {"same + on () same"}, "time": {end}}),
		get("formatting", "/api/v1/format_query", url.Values{"query": {"sum by(job)(requests_total)"}}),
		get("parsing", "/api/v1/parse_query", url.Values{"query": {"sum(requests_total)"}}),
	}
}

func grafanaCannotTell(t *testing.T, w *world) {
	asked := upstream.Record(t, w.Crowd.URL)
	fence := contract.Promfence(t, w.idp, asked.URL)
	for _, q := range conversation(w.Now) {
		bare := q
		q.Header = grafanas(w.token)
		maps.Copy(q.Header, bare.Header)
		want, got := bare.Ask(t, w.Alone.URL, "", w.Now), q.Ask(t, fence, w.token, w.Now)
		for _, a := range []*compare.Answer{&want, &got} {
			delete(a.Header, "Content-Encoding")
			if body, ok := a.Body.(map[string]any); ok && a.Status == http.StatusBadRequest {
				body["error"], _, _ = strings.Cut(fmt.Sprint(body["error"]), " (promfence's PromQL parser")
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-alone +promfence):\n%s", q.Name, diff)
		}
		if strings.Contains(fmt.Sprint(got), harness.Stranger) {
			t.Errorf("%s tells of a stranger: %v", q.Name, got)
		}
	}
	sentNothingOfTheCaller(t, asked.Requests(), w.token)
}

// sentNothingOfTheCaller holds that credentials and headers that tell who asks end at
// promfence.
func sentNothingOfTheCaller(t *testing.T, requests []upstream.Request, token string) {
	t.Helper()
	for _, r := range requests {
		for name := range r.Header {
			switch name {
			case "Authorization", "X-Id-Token", "X-Grafana-Id", "Cookie", "X-Dashboard-Uid", "X-Forwarded-For", "X-Real-Ip", "Origin":
				t.Errorf("the upstream was sent %s with %s", name, r.Path)
			}
		}
		if strings.Contains(fmt.Sprint(r.Header, r.RawQuery, string(r.Body)), token) {
			t.Errorf("the upstream was sent the token with %s", r.Path)
		}
	}
}

// Grafana shows the sentence of an error's body with the statuses below, and the
// status's own name with the others.
func grafanaShowsASentenceForARefusal(t *testing.T, w *world) {
	expired := w.idp.Token(t, "acme", map[string]any{"exp": w.Now.Unix() - 3600})
	for name, tt := range map[string]struct {
		token, method, path, body string
		status                    int
		kind, text                string
	}{
		"save & test without OAuth forwarding": {"", "POST", "/api/v1/query", "query=1%2B1", 401, "unauthorized", "token"},
		"save & test with an expired login":    {expired, "POST", "/api/v1/query", "query=1%2B1", 401, "unauthorized", "expired"},
		"a user without a tenant":              {w.idp.Token(t, nil, nil), "POST", "/api/v1/query", "query=1%2B1", 403, "forbidden", "tenant"},
		"a broken query":                       {w.token, "POST", "/api/v1/query_range", "query=sum(&start=1&end=2&step=1", 400, "bad_data", "unclosed left parenthesis"},
		"a query of info()":                    {w.token, "POST", "/api/v1/query", "query=info(up)", 400, "bad_data", "group_left"},
		"a broken selector":                    {w.token, "POST", "/api/v1/labels?match[]=" + url.QueryEscape("{"), "", 400, "bad_data", "parse error"},
		"a page that is not there":             {w.token, "GET", "/api/v1/status/tsdb", "", 404, "not_found", "no such endpoint"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, w.fence+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = grafanas(tt.token)
		req.Header.Del("Accept-Encoding")
		if tt.token == "" {
			req.Header.Del("Authorization")
		}
		if tt.method == http.MethodPost {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		got := harness.Do(t, req)
		status, text := got.Status, got.Body
		var body struct{ Status, ErrorType, Error string }
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			t.Errorf("%s: %v in %s", name, err, text)
		}
		if status != tt.status || body.Status != "error" || body.ErrorType != tt.kind || !strings.Contains(body.Error, tt.text) || !strings.Contains(body.Error, " ") {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
}
