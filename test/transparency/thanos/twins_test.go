package thanos_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/harness/compare"
)

// What acme asks of a Thanos that holds only acme's data, and of promfence in
// front of one that holds a stranger's too: at the root, below a prefix, with
// another engine, and where Thanos enforces tenancy, too, by the header that
// promfence sets.
func TestPromfenceIsTransparentInFrontOfThanos(t *testing.T) {
	alone, crowd := twins(t)
	idp := authtest.NewIssuer(t)
	token := idp.Token(t, "acme", nil)
	for name, tt := range map[string]struct {
		prefix     string
		args, more []string // of both query nodes, and of the crowd's besides
	}{
		"at the root":          {"", nil, nil},
		"below a prefix":       {"/below/thanos", nil, []string{"--web.route-prefix=/below/thanos", "--web.external-prefix=/below/thanos"}},
		"with another default": {"", []string{"--query.promql-engine=thanos"}, nil},
		"which enforces, too":  {"", nil, []string{"--query.enforce-tenancy", "--query.default-tenant-id=acme"}},
	} {
		t.Run(name, func(t *testing.T) {
			direct, base := alone.Query(t, tt.args...), crowd.Query(t, slices.Concat(tt.args, tt.more)...)+tt.prefix
			settle(t, direct)
			settle(t, base)
			through := fenced(t, idp, base)
			asked, told := 0, 0
			for _, q := range questions() {
				enforces := strings.HasPrefix(name, "which")
				if enforces && strings.Contains(fmt.Sprint(q.Params), `tenant_id="stranger"`) {
					continue // Thanos replaces a matcher that it dislikes, promfence's intersection too.
				}
				if name != "at the root" && q.Header.Get("Accept-Encoding") == "gzip" {
					continue
				}
				want, got := q.Ask(t, direct, "", now), q.Ask(t, through, token, now)
				if text := fmt.Sprint(got.Body, got.Header); strings.Contains(text, stranger) {
					t.Errorf("%s tells of a stranger: %s", q, text)
				}
				tolerate(q, &want, &got)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-direct +promfence):\n%s", q, diff)
				}
				asked++
				if want.Status == http.StatusOK && !strings.Contains(fmt.Sprint(want.Body), "data:[] ") {
					told++
				}
			}
			t.Logf("%d of %d answers hold something", told, asked)
			if told < 400 {
				t.Errorf("only %d answers hold something", told)
			}
		})
	}
}

var (
	parserName    = regexp.MustCompile(` \(promfence's PromQL parser, [^)]*\)$`)
	parameterName = regexp.MustCompile(`^invalid parameter "[^"]*": `)
)

// explained is the tenant's matcher in the plan of a query.
var explained = regexp.MustCompile(` tenant_id="acme"`)

// tolerate takes out of both answers what is meant to differ.
func tolerate(q compare.Question, want, got *compare.Answer) {
	for _, a := range []*compare.Answer{want, got} {
		body, ok := a.Body.(map[string]any)
		if !ok {
			continue
		}
		if text, ok := body["error"].(string); ok {
			// The parser that refuses is promfence's, and says so.
			body["error"] = parameterName.ReplaceAllString(parserName.ReplaceAllString(text, ""), "")
		}
		if q.Path == "/api/v1/metadata" {
			without(body, "help") // No Thanos tells whose a text is.
		}
		if q.Params.Has("analyze") { // An analysis tells the addresses of stores: it is not asked for.
			without(body, "warnings")
			without(body, "analysis")
		}
		if strings.Contains(q.Path, "explain") {
			reword(body, explained, "") // A plan is the enforced query's.
		}
		switch q.Path {
		case "/api/v1/query_exemplars", "/api/v1/rules", "/api/v1/alerts", "/api/v1/targets", "/api/v1/metadata":
			delete(a.Header, "Content-Encoding") // Filtered answers are short, and go out plain.
		}
	}
}

// reword rewords all texts of a JSON value.
func reword(v any, old *regexp.Regexp, text string) any {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			v[name] = reword(inner, old, text)
		}
	case []any:
		for i, inner := range v {
			v[i] = reword(inner, old, text)
		}
	case string:
		return old.ReplaceAllString(v, text)
	}
	return v
}

// without takes a member out of every object of a JSON value.
func without(v any, name string) {
	switch v := v.(type) {
	case map[string]any:
		delete(v, name)
		for _, inner := range v {
			without(inner, name)
		}
	case []any:
		for _, inner := range v {
			without(inner, name)
		}
	}
}

// own are the parameters that Thanos adds to Prometheus's.
var own = [][]string{
	{},
	{"dedup", "true"},
	{"dedup", "false"},
	{"partial_response", "true"},
	{"partial_response", "false"},
	{"max_source_resolution", "0s"},
	{"max_source_resolution", "5m"},
	{"max_source_resolution", "auto"},
	{"replicaLabels[]", "replica"},
	{"replicaLabels[]", "instance"},
	{"replicaLabels[]", "replica", "replicaLabels[]", "code"},
	{"replicaLabels[]", "tenant_id"},
	{"engine", "prometheus"},
	{"engine", "thanos"},
	{"dedup", "false", "engine", "thanos", "partial_response", "false"},
	{"dedup", "x"},
	{"partial_response", "x"},
	{"max_source_resolution", "x"},
	{"engine", "x"},
	{"tenant", "stranger"},
	{"storeMatch[]", `{__address__=~".*"}`},
	{"analyze", "true"},
	{"lookback_delta", "1m"},
	{"limit", "1"},
	{"stats", "true"},
	{"timeout", "10s"},
}

var expressions = []string{
	`requests_total`, `sum by (job) (rate(requests_total[5m]))`, `topk(2, requests_total)`, `requests_total / on (job) group_left limit`, `memory_bytes offset 1m`, `max_over_time(rate(requests_total[1m])[5m:1m])`,
	`histogram_quantile(0.9, sum by (le) (rate(latency_seconds_bucket[5m])))`, `requests_total{tenant_id=~".*"}`, `requests_total{tenant_id="stranger"}`, `only_stranger`, `{job=~".+"}`, `count({__name__=~".+", instance=~"a|b"})`,
	`rate(memory_bytes[5m])`, `vector(1)`, `1`, `same{side="left"} + on () same`, `label_replace(requests_total, "x", "y", "job", "(")`, `sort_by_label(requests_total, "code")`,
	`sum(`, ``, `nofunction(requests_total)`,
}

// extended are Thanos's own functions; its engine alone has them.
var extended = []string{`xrate(requests_total[5m])`, `xincrease(requests_total[5m])`, `xdelta(memory_bytes[5m])`, `sum by (job) (xrate(requests_total{code="200"}[1m]))`}

func questions() (all []compare.Question) {
	at, start := fmt.Sprint(now.Unix()), fmt.Sprint(begin.Unix())
	add := func(path string, params url.Values, methods ...string) {
		for _, method := range methods {
			for _, encoding := range []string{"identity", "gzip"} {
				all = append(all, compare.Question{Method: method, Path: path, Params: params, Header: http.Header{"Accept-Encoding": {encoding}}, Unordered: true})
			}
		}
	}
	for _, base := range []string{"query", "query_range", "query_explain", "query_range_explain"} {
		when := url.Values{"time": {at}}
		if strings.Contains(base, "range") {
			when = url.Values{"start": {start}, "end": {at}, "step": {"30"}}
		}
		explained := strings.Contains(base, "explain")
		for _, query := range expressions {
			for _, pairs := range own {
				plain := len(pairs) == 0 || len(pairs) == 2 && pairs[0] == "engine" && pairs[1] != "x"
				if query != "requests_total" && (explained || !plain) {
					continue
				}
				params := form(pairs...)
				maps.Copy(params, when)
				params.Set("query", query)
				add("/api/v1/"+base, params, http.MethodGet, http.MethodPost)
			}
		}
		for _, query := range extended {
			params := url.Values{"query": {query}, "engine": {"thanos"}}
			maps.Copy(params, when)
			if !explained {
				add("/api/v1/"+base, params, http.MethodPost)
			}
		}
	}
	for _, path := range []string{"/api/v1/series", "/api/v1/labels", "/api/v1/label/job/values", "/api/v1/label/replica/values", "/api/v1/label/tenant_id/values"} {
		methods := []string{http.MethodGet, http.MethodPost}
		if strings.Contains(path, "/label/") {
			methods = methods[:1]
		}
		for _, pairs := range slices.Concat(own[:12], [][]string{{"limit", "100"}, {"limit", "x"}, {"dedup", "x"}, {"storeMatch[]", `{a="b"}`}, {"start", start, "end", at}}) {
			add(path, form(append(pairs, "match[]", `requests_total`)...), methods...)
		}
		for _, selector := range []string{`only_stranger`, `{job="shop"}`, `requests_total{tenant_id="stranger"}`, `requests_total{`} {
			add(path, form("match[]", selector), methods...)
		}
		add(path, form("match[]", "requests_total", "match[]", "only_stranger"), methods...)
		add(path, url.Values{}, methods...)
	}
	add("/api/v1/query_exemplars", form("query", "traced_total", "start", start, "end", at), http.MethodGet, http.MethodPost)
	add("/api/v1/query_exemplars", form("query", "only_stranger", "start", start, "end", at), http.MethodGet)
	for _, pairs := range [][]string{{}, {"type", "alert"}, {"type", "record"}, {"type", "x"}, {"rule_name[]", "Burning"}, {"rule_group[]", stranger}, {"match[]", `{severity="page"}`}} {
		add("/api/v1/rules", form(pairs...), http.MethodGet)
	}
	add("/api/v1/alerts", nil, http.MethodGet)
	add("/api/v1/metadata", nil, http.MethodGet)
	add("/api/v1/metadata", form("metric", "stranger_total"), http.MethodGet)
	add("/api/v1/metadata", form("metric", "scraped_total"), http.MethodGet)
	add("/api/v1/targets", nil, http.MethodGet)
	add("/api/v1/status/buildinfo", nil, http.MethodGet)
	return all
}

// form makes parameters of pairs.
func form(pairs ...string) url.Values {
	all := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		all.Add(pairs[i], pairs[i+1])
	}
	return all
}
