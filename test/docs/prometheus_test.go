package docs_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/test/harness/contract"
)

func TestARealPrometheusThroughPromfence(t *testing.T) {
	a := newAsker(t)
	t.Run("documented examples", a.documentedExamples)
	t.Run("answers", a.answers)
	t.Run("syntax trees", a.syntaxTrees)
	t.Run("refusals", a.refusals)
}

// The examples of the document are what a newcomer tries first. Each of them
// must be accepted, at both base paths, in the URL and as a form. Those of
// Alertmanager need one.
func (a *asker) documentedExamples(t *testing.T) {
	doc, err := contract.Document()
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths.Map() {
		if strings.HasPrefix(path, "/alertmanager/") { // TestAcmeSeesItsAlertsAndSilences
			continue
		}
		for method, op := range item.Operations() {
			want := http.StatusOK
			if strings.HasSuffix(path, "_explain") || strings.HasSuffix(path, "_cost") {
				want = http.StatusNotFound // this Prometheus doesn't have it
			}
			values := exampleParameters(op)
			values.Del("group_next_token")          // one that is good comes with an answer
			if strings.Contains(path, "/search/") { // Prometheus 3.15 panics when it has no data in the range
				values.Del("start")
				values.Del("end")
			}
			target, form := strings.Replace(path, "{name}", "job", 1), ""
			switch {
			case strings.HasSuffix(path, "/read"):
				form = readRequest(t)
			case method == http.MethodPost:
				form = values.Encode()
			case len(values) > 0:
				target += "?" + values.Encode()
			}
			if status, text := a.do(t, method, target, form); status != want {
				t.Errorf("%s %s with %s: %d %s", method, target, values.Encode(), status, text)
			}
		}
	}
}

// Answers of every shape are as documented; do's transport checks them.
func (a *asker) answers(t *testing.T) {
	hour := "&start=" + time.Now().Add(-time.Hour).UTC().Format(time.RFC3339) + "&end=" + time.Now().Add(time.Minute).UTC().Format(time.RFC3339)
	for name, tt := range map[string]struct{ target, want string }{
		"a vector":              {"/query?query=http_requests_total", `"vector"`},
		"a matrix":              {"/query?query=" + url.QueryEscape("http_requests_total[5m]"), `"values"`},
		"a scalar":              {"/query?query=1%2B1", `"scalar"`},
		"a string":              {"/query?query=%22a%22", `"string"`},
		"not a number":          {"/query?query=" + url.QueryEscape("vector(0)/0"), `NaN`},
		"a histogram":           {"/query?query=" + url.QueryEscape(`{"lat.ency"}`), `"buckets"`},
		"an empty histogram":    {"/query?query=" + url.QueryEscape(`{"lat.ency"} * 0`), `"histogram"`},
		"histograms":            {"/query_range?query=mixed&step=15" + hour, `"histograms"`},
		"nothing":               {"/query?query=nothing", `"result":[]`},
		"statistics":            {"/query?query=http_requests_total&stats=all", `"timings"`},
		"statistics of a range": {"/query_range?query=http_requests_total&stats=true&step=1m" + hour, `"samples"`},
		"a cut off answer":      {"/query?query=http_requests_total&limit=1", `"warnings"`},
		"an info":               {"/query?query=" + url.QueryEscape("rate(temperature[5m])"), `"infos"`},
		"a warning":             {"/query?query=" + url.QueryEscape("rate(mixed[15m])"), `"warnings"`},
		"exemplars":             {"/query_exemplars?query=http_requests_total" + hour, `"trace_id"`},
		"no exemplars":          {"/query_exemplars?query=1", ``},
		"series":                {"/series?match[]=http_requests_total&limit=1", `"warnings"`},
		"label names":           {"/labels?match[]=http_requests_total", `"job"`},
		"label values":          {"/label/__name__/values", `"lat.ency"`},
		"an odd label":          {"/label/U__http_2e_status/values", `[]`},
		"metric names found":    {"/search/metric_names?search[]=requests&include_score=true&sort_by=score", `"score"`},
		"few metric names":      {"/search/metric_names?limit=1&batch_size=1", `"has_more":true`},
		"label values found":    {"/search/label_values?label=job&search[]=ap", `"api"`},
		"rules":                 {"/rules", `"recording"`},
		"rules without alerts":  {"/rules?exclude_alerts=true&type=alert", `"alerts":null`},
		"alerts":                {"/alerts", `"firing"`},
		"targets":               {"/targets", `"activeTargets"`},
		"active targets":        {"/targets?state=active", `"down"`},
		"metadata":              {"/metadata", `"Orders."`},
		"metadata, all of it":   {"/metadata?metric=&limit=&limit_per_metric=", `"Orders."`},
		"all targets' metadata": {"/targets/metadata?match_target=&metric=&limit=", `"counter"`},
		"metadata of one":       {"/targets/metadata?metric=shop_orders_total", `"counter"`},
		"metadata of a target":  {"/targets/metadata?match_target=" + url.QueryEscape(`{job="shop"}`), `"metric"`},
		"a formatted query":     {"/format_query?query=1%2B1", `1 + 1`},
		"a version":             {"/status/buildinfo", `"version"`},
		"an explanation":        {"/explain?query=up", `tenant_id=\"acme\"`},
		"federation":            {"/federate?match[]=http_requests_total", `http_requests_total{`},
	} {
		t.Run(name, func(t *testing.T) {
			target := "/api/v1/metrics" + strings.NewReplacer("[]", "%5B%5D").Replace(tt.target)
			status, text := a.do(t, "GET", target, "")
			if status/100 != 2 || !strings.Contains(text, tt.want) {
				t.Errorf("%d %s, want %s in it", status, text, tt.want)
			}
		})
	}
}

// Every kind of node that the parser knows is a documented one.
func (a *asker) syntaxTrees(t *testing.T) {
	for _, query := range []string{
		`sum by (job) (rate(http_requests_total{code=~"5..", job!="x"}[5m]))`,
		`topk without (a) (3, -up)`, `(up == bool 1) * on (job) group_left (team) info_metric`, `up / ignoring (a) up or up unless up`,
		`max_over_time(up[5m:1m] offset 10m)`, `up @ 1767225600`, `up @ start()`, `up[5m] @ end()`, `label_replace(up, "a", "$1", "b", "(.*)")`,
		`1 + 0x1F`, `"text"`, `time()`, `up offset -5m`, `up[5m]`, `{"http.requests", "a.b"="c"}`, `count_values("v", up)`,
	} {
		if status, text := a.do(t, "GET", "/api/v1/metrics/parse_query?query="+url.QueryEscape(query), ""); status != http.StatusOK {
			t.Errorf("%s: %d %s", query, status, text)
		}
	}
}

// Refusals are documented too, the upstream's and promfence's own.
func (a *asker) refusals(t *testing.T) {
	for name, tt := range map[string]struct {
		method, target, form string
		want                 int
	}{
		"bad PromQL":            {"GET", "/api/v1/query?query=sum(", "", 400},
		"no query":              {"GET", "/api/v1/query", "", 400},
		"a bad time":            {"GET", "/api/v1/query?query=up&time=noon", "", 400},
		"no step":               {"POST", "/api/v1/query_range", "query=up&start=1&end=2", 400},
		"no selector":           {"GET", "/api/v1/series", "", 400},
		"two queries":           {"POST", "/api/v1/query?query=up", "query=down", 400},
		"info":                  {"GET", "/api/v1/query?query=info(up)", "", 400},
		"what the engine can't": {"GET", "/api/v1/query?query=" + url.QueryEscape("http_requests_total * on () http_requests_total"), "", 422},
		"no such endpoint":      {"GET", "/api/v1/status/config", "", 404},
		"another method":        {"DELETE", "/api/v1/query", "", 405},
		"a page's next":         {"GET", "/api/v1/rules?group_next_token=1", "", 400},
		"a path in a label":     {"GET", "/api/v1/label/a%2Fb/values", "", 404},
		"too large a query":     {"POST", "/api/v1/query", "query=" + strings.Repeat("a", 1<<17), 400},
		"too large a body":      {"POST", "/api/v1/query", "query=" + strings.Repeat("a", 2<<20), 413},
	} {
		t.Run(name, func(t *testing.T) {
			status, text := a.do(t, tt.method, tt.target, tt.form)
			if status != tt.want || !strings.Contains(text, `"status":"error"`) {
				t.Errorf("%d %s, want %d", status, text, tt.want)
			}
		})
	}
	stranger := &asker{a.address, "none"}
	if status, _ := stranger.do(t, "GET", "/api/v1/query", ""); status != http.StatusUnauthorized {
		t.Errorf("a bad token: %d", status)
	}
}
