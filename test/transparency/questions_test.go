package transparency_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage/remote"

	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/compare"
)

// expressions are answered, with an annotation or without, or fail in the engine.
var expressions = []string{
	`requests_total`, `{job="shop"}`, `{__name__=~"requests.*|memory.*"}`, `requests_total{code!="200"}`, `{"lat.ency"}`, `{"lat.ency", "host.name"="web-1"}`,
	`sum(requests_total)`, `sum by (job) (requests_total)`, `sum without (instance) (requests_total)`, `count by (code) (requests_total)`,
	`avg(memory_bytes)`, `min(memory_bytes) or max(memory_bytes)`, `stddev(requests_total)`, `group(requests_total)`, `quantile(0.9, requests_total)`,
	`topk(2, requests_total)`, `bottomk(scalar(limit), requests_total)`, `count_values("v", limit)`, `limitk(10, requests_total)`,
	`sort(requests_total)`, `sort_desc(requests_total)`, `sort_by_label(requests_total, "instance", "code")`,
	`rate(requests_total[5m])`, `irate(requests_total[1m])`, `increase(requests_total[5m])`, `delta(memory_bytes[5m])`, `deriv(memory_bytes[5m])`, `resets(requests_total[10m])`, `changes(memory_bytes[10m])`,
	`predict_linear(memory_bytes[5m], 600)`, `double_exponential_smoothing(memory_bytes[5m], 0.5, 0.5)`, `last_over_time(memory_bytes[5m])`, `avg_over_time(memory_bytes[5m])`,
	`quantile_over_time(0.5, memory_bytes[5m])`, `max_over_time(rate(requests_total[1m])[5m:1m])`, `sum_over_time(requests_total[1m] offset 1m)`, `memory_bytes @ end()`, `memory_bytes offset -1m`,
	`rate(requests_total[5m] smoothed)`, `increase(requests_total[5m] anchored)`,
	`odd_values`, `odd_values > 0`, `sum(odd_values)`, `quotes`, `limit * 2`, `-limit`, `limit ^ 2 % 3`, `limit > bool 1`, `scalar(limit)`, `vector(1)`, `"a text"`, `1/0`, `-1/0`, `0/0`, `time() > bool 0`,
	`histogram_quantile(0.9, sum by (le) (rate(latency_seconds_bucket[5m])))`, `histogram_quantile(0.5, native_seconds)`, `histogram_count(native_seconds)`, `histogram_fraction(0, 1, rate(native_seconds[5m]))`, `native_seconds`, `sum(native_seconds)`,
	`requests_total + on (job, instance, code) requests_total`, `requests_total / on (job) group_left limit`, `requests_total * on (job, instance) group_left (version) info_like`,
	`requests_total and on (job) limit`, `requests_total or memory_bytes`, `requests_total unless on (code) requests_total{code="500"}`, `requests_total + on (job, instance, code) fill(0) requests_total{job="shop"}`,
	`label_replace(requests_total, "x", "$1", "job", "(.*)op")`, `label_join(requests_total, "x", "-", "job", "code")`, `clamp(memory_bytes, 0, 50)`, `round(memory_bytes, 7)`, `timestamp(memory_bytes)`, `ln(memory_bytes)`, `day_of_week(vector(0))`,
	`nothing_of_that_name`, `sum(nothing_of_that_name)`, `only_stranger`, `requests_total{tenant_id="stranger"}`, `requests_total{tenant_id=~".*"}`, `sum by (tenant_id) (requests_total)`, `requests_total{tenant_id!="acme"}`,
	// With a warning or an info.
	`rate(memory_bytes[5m])`, `increase(limit[5m])`, `histogram_quantile(2, latency_seconds_bucket)`, `quantile(-1, requests_total)`, `sum(mixed)`, `avg(mixed)`, `mixed + on () group_left limit`, `histogram_quantile(0.9, broken_bucket)`, `rate(mixed[5m])`,
	`histogram_quantile(0.9, memory_bytes)`, `sort(mixed)`, `min(mixed)`, `native_seconds > 1`, `native_seconds * on () native_seconds`, `label_replace(rate(memory_bytes[5m]), "x", "y", "", "")`,
}

// failing expressions are refused by the parser or fail in the engine.
var failing = map[string]difference{
	``: parserNamed, `sum(`: parserNamed, `requests_total{`: parserNamed, `rate(requests_total)`: parserNamed, `{}`: parserNamed, `{job=""}`: parserNamed,
	`1 +`: parserNamed, `requests_total[5m`: parserNamed, `nofunction(requests_total)`: parserNamed, `requests_total{job=~"("}`: parserNamed,
	`sum by (requests_total`: parserNamed, `"unterminated`: parserNamed, `requests_total[0s]`: parserNamed, "a\xff": parserNamed, `info(memory_bytes)`: refused400,

	`same{side="left"} + on () same{side="right"}`:              same,
	`same{side="left"} + on () group_left same{side="right"}`:   same,
	`label_replace(requests_total, "__name__", "x", "", "")`:    same,
	`label_replace(requests_total, "x", "y", "job", "(")`:       same,
	`label_replace(requests_total, "", "y", "job", "")`:         same,
	`count_values("", requests_total)`:                          same,
	`label_join(requests_total, "", "-", "job")`:                same,
	`label_replace(requests_total, "job", "x", "job", ".*")`:    same,
	`rate({job=~".+"}[10m])`:                                    same, // the same labels without the name
	`double_exponential_smoothing(memory_bytes[5m], 2, 0.5)`:    same,
	`sum_over_time({__name__=~".+"}[10m:1s])`:                   same, // too many samples
	`topk(scalar(nothing_of_that_name), requests_total)`:        same,
	`requests_total[5m - 10m]`:                                  positionMoved,
	`limit_ratio(scalar(nothing_of_that_name), requests_total)`: same,
}

// questions are a few hundred requests: endpoints × parameters × methods ×
// encodings × mistakes.
func questions(t *testing.T, w *harness.World) []question {
	t.Helper()
	at := fmt.Sprint(w.Now.Unix())
	start, end := fmt.Sprint(w.Now.Add(-10*time.Minute).Unix()), at
	var all []question
	// each asks with both methods and encodings.
	each := func(q question, methods ...string) {
		for _, method := range methods {
			q.Method = method
			all = append(all, q, q.compressed())
		}
	}
	both := []string{http.MethodGet, http.MethodPost}
	for _, base := range []string{"/api/v1/query", "/api/v1/query_range"} {
		when := []string{"time", at}
		if base == "/api/v1/query_range" {
			when = []string{"start", start, "end", end, "step", "30"}
		}
		ask := func(q question, pairs ...string) {
			q.Path, q.Params = base, harness.Form(append(pairs, when...)...)
			each(q, both...)
		}
		for _, query := range expressions {
			ask(question{Question: compare.Question{Unordered: !strings.HasPrefix(query, "sort")}}, "query", query)
		}
		ask(question{differs: absentTenant}, "query", `absent(nothing_of_that_name{job="x"})`)
		ask(question{differs: absentTenant}, "query", `absent_over_time(nothing_of_that_name[5m])`)
		for query, differs := range failing {
			if base == "/api/v1/query_range" && differs == positionMoved {
				differs = same // A range query is never of ranges, which the upstream says.
			}
			ask(question{differs: differs}, "query", query)
		}
		for _, pairs := range [][]string{
			{"limit", "2"},
			{"limit", "0"},
			{"stats", "true"},
			{"stats", "all"},
			{"stats", "some"},
			{"lookback_delta", "1m"},
			{"timeout", "10s"},
			{"timeout", "5"},
			{"dedup", "true", "partial_response", "false", "max_source_resolution", "0s", "engine", "thanos"},
			{"unknown", "x"},
			{"analyze", "true"},
			{"storeMatch[]", "{a=\"b\"}"},
			{"limit", "-1"},
			{"limit", "x"},
			{"limit", "99999999999999999999"},
			{"lookback_delta", "x"},
			{"timeout", "x"},
			{"timeout", "1ns"},
			{"timeout", ""},
		} {
			ask(question{Question: compare.Question{Unordered: pairs[0] != "limit"}}, append(pairs, "query", "sort(requests_total)")...)
		}
		ask(question{differs: refused400}, "query", "limit", "query", "memory_bytes")
		ask(question{}, "query", "limit", "query", "limit")
	}
	all = append(all, times(w, at, start, end)...)
	all = append(all, lists(start, end)...)
	all = append(all, filtered()...)
	all = append(all, reads(t, w)...)
	all = append(all, oddRequests(at)...)
	return all
}

func (q question) compressed() question {
	q.Header = q.Header.Clone()
	if q.Header == nil {
		q.Header = http.Header{}
	}
	q.Header.Set("Accept-Encoding", "gzip")
	return q
}

// times are all spellings of a time, a step and a range, right and wrong.
func times(w *harness.World, at, start, end string) (all []question) {
	rfc := w.Now.UTC().Format(time.RFC3339)
	for _, v := range []string{at, at + ".5", rfc, "2026-13-45", "x", "1e400", "NaN", "", "-1", " " + at} {
		all = append(all, question{Question: compare.Question{Method: http.MethodGet, Path: "/api/v1/query", Params: harness.Form("query", "limit", "time", v), Unordered: true, Clock: v == ""}})
	}
	all = append(all, question{Question: compare.Question{Method: http.MethodGet, Path: "/api/v1/query", Params: harness.Form("query", "vector(1)"), Clock: true}})
	for _, p := range []url.Values{
		harness.Form("start", rfc, "end", rfc, "step", "1m"), harness.Form("start", start, "end", end, "step", "1m30s"), harness.Form("start", start, "end", end, "step", "0.5"),
		harness.Form("start", end, "end", start, "step", "15"), harness.Form("start", start, "end", end, "step", "0"), harness.Form("start", start, "end", end, "step", "-1"), harness.Form("start", start, "end", end, "step", "x"),
		harness.Form("start", start, "end", end), harness.Form("start", start, "step", "15"), harness.Form("end", end, "step", "15"), harness.Form("start", "0", "end", end, "step", "1"), harness.Form("start", "x", "end", end, "step", "1"),
	} {
		p.Set("query", "requests_total")
		all = append(all,
			question{Question: compare.Question{Method: http.MethodGet, Path: "/api/v1/query_range", Params: p}},
			question{Question: compare.Question{Method: http.MethodPost, Path: "/api/v1/query_range", Params: p}})
	}
	return all
}

// lists are the endpoints that tell of names, values, series and exemplars.
func lists(start, end string) (all []question) {
	ask := func(path string, differs difference, methods []string, params ...url.Values) {
		for _, p := range params {
			for _, method := range methods {
				q := question{Question: compare.Question{Method: method, Path: path, Params: p}, differs: differs}
				all = append(all, q, q.compressed())
			}
		}
	}
	get, both := []string{http.MethodGet}, []string{http.MethodGet, http.MethodPost}
	selections := []url.Values{
		harness.Form("match[]", "requests_total"), harness.Form("match[]", `{job="shop"}`), harness.Form("match[]", "requests_total", "match[]", "memory_bytes"), harness.Form("match[]", `{__name__=~".+"}`),
		harness.Form("match[]", `{"lat.ency"}`), harness.Form("match[]", "nothing_of_that_name"), harness.Form("match[]", "only_stranger"), harness.Form("match[]", `requests_total{tenant_id="stranger"}`),
		harness.Form("match[]", "requests_total", "start", start, "end", end), harness.Form("match[]", "requests_total", "start", "0", "end", "1"), harness.Form("match[]", "requests_total", "limit", "1"), harness.Form("match[]", "requests_total", "limit", "0"),
		harness.Form("match[]", "requests_total", "limit", "-1"), harness.Form("match[]", "requests_total", "start", "x"), harness.Form("match[]", "requests_total", "start", end, "end", start),
	}
	refused := []url.Values{harness.Form("match[]", ""), harness.Form("match[]", "{}"), harness.Form("match[]", `{job=""}`), harness.Form("match[]", `{job=~".*"}`), harness.Form("match[]", "requests_total["), harness.Form("match[]", "sum(requests_total)")}
	names := []string{"/api/v1/labels", "/api/v1/label/job/values", "/api/v1/label/__name__/values", "/api/v1/label/host.name/values", "/api/v1/label/U__host_2e_name/values", "/api/v1/label/nothing/values"}
	for _, path := range append(names, "/api/v1/series") {
		methods := both
		if strings.Contains(path, "/label/") {
			methods = get
		}
		ask(path, same, methods, selections...)
		for _, p := range refused {
			differs := parserNamed
			if path == "/api/v1/series" && strings.HasPrefix(p.Get("match[]"), "{") {
				differs = same
			}
			ask(path, differs, methods, p)
		}
		ask(path, same, methods, url.Values{}, harness.Form("start", start, "end", end))
		ask(path, anyOfThem, methods, harness.Form("limit", "3"))
	}
	ask("/api/v1/query_exemplars", same, both, harness.Form("query", "traced_total", "start", start, "end", end), harness.Form("query", "nothing_of_that_name", "start", start, "end", end),
		harness.Form("query", "traced_total or only_stranger", "start", start, "end", end), harness.Form("query", "traced_total", "start", "x", "end", end), harness.Form("query", "traced_total", "start", end, "end", start))
	ask("/api/v1/query_exemplars", parserNamed, both, harness.Form("query", "sum(", "start", start, "end", end))
	for _, path := range []string{"/api/v1/format_query", "/api/v1/parse_query"} {
		ask(path, same, both, harness.Form("query", "sum by(job)(rate(requests_total{job=~'a|b'}[5m:1m]))"), harness.Form("query", `{"lat.ency"} offset -5m @ 12`), harness.Form("query", "a+b"))
		ask(path, parserNamed, both, harness.Form("query", "sum("), harness.Form("query", ""))
	}
	for _, path := range []string{"/api/v1/search/metric_names", "/api/v1/search/label_names", "/api/v1/search/label_values"} {
		ask(path, same, both, harness.Form("label", "job"), harness.Form("search[]", "requ", "label", "job"), harness.Form("search[]", "sho", "label", "job", "include_score", "true", "sort_by", "score"),
			harness.Form("match[]", "requests_total", "label", "job", "limit", "1"), harness.Form("label", "job", "limit", "x"), harness.Form("label", "job", "fuzz_threshold", "101"), harness.Form("label", "job", "sort_by", "x"), harness.Form("match[]", "only_stranger", "label", "job"))
	}
	ask("/api/v1/search/label_values", same, both, harness.Form("search[]", "x"))
	ask("/federate", same, get, append(selections[:8:8], url.Values{}, harness.Form("match[]", "{}"), harness.Form("match[]", `{job=""}`), harness.Form("match[]", "odd_values"), harness.Form("match[]", "native_seconds"), harness.Form("match[]", "quotes"))...)
	ask("/federate", statusOnly, get, harness.Form("match[]", "requests_total["), harness.Form("match[]", ""))
	ask("/api/v1/status/buildinfo", same, get, url.Values{})
	many := url.Values{} // as long lists of federation are
	for i := range 1000 {
		many.Add("match[]", fmt.Sprintf(`{__name__="requests_total",job="shop",code!="%d"}`, i))
	}
	ask("/federate", same, get, many)
	ask("/api/v1/series", same, both, many)
	for i := range all {
		all[i].filtered = all[i].Path == "/api/v1/query_exemplars"
	}
	return all
}

// filtered are the endpoints whose answers promfence filters.
func filtered() (all []question) {
	for path, params := range map[string][]url.Values{
		"/api/v1/rules": {
			{},
			harness.Form("type", "alert"), harness.Form("type", "record"), harness.Form("type", "x"), harness.Form("rule_name[]", "Burning"), harness.Form("rule_group[]", "second"), harness.Form("rule_name[]", "Stranger"),
			harness.Form("match[]", `{severity="page"}`), harness.Form("match[]", "{"), harness.Form("exclude_alerts", "true"), harness.Form("exclude_alerts", "x"), harness.Form("group_limit", "1"), harness.Form("group_limit", "2"), harness.Form("group_limit", "100"),
			harness.Form("group_limit", "0"), harness.Form("group_limit", "x"), harness.Form("group_next_token", "abc"), harness.Form("group_limit", "1", "group_next_token", "nosuch"),
		},
		"/api/v1/alerts":  {{}},
		"/api/v1/targets": {{}, harness.Form("state", "active"), harness.Form("state", "dropped"), harness.Form("state", "any"), harness.Form("state", "x"), harness.Form("scrapePool", "shop"), harness.Form("scrapePool", "stranger")},
		"/api/v1/metadata": {
			{},
			harness.Form("metric", "scraped_total"), harness.Form("metric", "stranger_total"), harness.Form("metric", "nothing_of_that_name"), harness.Form("limit", "0"), harness.Form("limit", "x"),
			harness.Form("limit_per_metric", "1"), harness.Form("limit_per_metric", "x"), harness.Form("limit", "-1"),
		},
		"/api/v1/targets/metadata": {
			{}, harness.Form("metric", "scraped_total"), harness.Form("match_target", `{job="shop"}`), harness.Form("match_target", `{job="stranger"}`), harness.Form("match_target", `{job!="shop"}`), harness.Form("match_target", "{}"), harness.Form("match_target", "{"), harness.Form("limit", "0"), harness.Form("limit", "x"), harness.Form("metric", "stranger_total"),
		},
	} {
		for _, p := range params {
			q := question{Question: compare.Question{Method: http.MethodGet, Path: path, Params: p}, filtered: true}
			switch {
			case p.Get("match[]") == "{" || p.Get("match_target") == "{":
				q.differs = parserNamed
			case path == "/api/v1/targets" && p.Get("state") != "active" && p.Get("state") != "x":
				q.differs = noCounts
			}
			all = append(all, q, q.compressed())
		}
	}
	return all
}

// reads are remote reads, sampled and in chunks.
func reads(t *testing.T, w *harness.World) (all []question) {
	t.Helper()
	for name, matchers := range map[string][]*labels.Matcher{
		"a name":       {labels.MustNewMatcher(labels.MatchEqual, "__name__", "requests_total")},
		"a regexp":     {labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+_bytes|odd.*|native.*|mixed")},
		"a stranger's": {labels.MustNewMatcher(labels.MatchEqual, "__name__", "only_stranger")},
	} {
		for _, kind := range []prompb.ReadRequest_ResponseType{prompb.ReadRequest_SAMPLES, prompb.ReadRequest_STREAMED_XOR_CHUNKS} {
			query, err := remote.ToQuery(w.Now.Add(-5*time.Minute).UnixMilli(), w.Now.UnixMilli(), matchers, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := (&prompb.ReadRequest{Queries: []*prompb.Query{query, query}, AcceptedResponseTypes: []prompb.ReadRequest_ResponseType{kind}}).Marshal()
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, question{Question: compare.Question{
				Name: fmt.Sprintf("remote read of %s as %s", name, kind), Method: http.MethodPost, Path: "/api/v1/read", Body: string(snappy.Encode(nil, body)),
				Header: http.Header{"Content-Type": {"application/x-protobuf"}, "Content-Encoding": {"snappy"}, "X-Prometheus-Remote-Read-Version": {"0.1.0"}},
			}})
		}
	}
	return all
}
