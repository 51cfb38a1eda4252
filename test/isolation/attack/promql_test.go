package attack_test

import (
	"net/url"
	"strings"
)

// hidden are places in an expression where a selector can stand, at %, and
// functions that make something of the labels of what they get.
var hidden = []string{
	"%", "(%)", "((%))", "-%", "+%", "sum(%)", "sum by (tenant_id) (%)", "count by (__name__, tenant_id) (%)", "sum without (job) (%)", "count(%) by (tenant_id)",
	"topk(3, %)", "topk(scalar(count(%)), vector(1))", "bottomk(count_scalar, vector(1)) or %", "quantile(scalar(max(%)), vector(1))", "count_values('v', %)", "count_values by (tenant_id) ('v', %)",
	"limitk(9, %)", "limit_ratio(1, %)", "limit_ratio(scalar(%) > bool 0, vector(1))", "group by (tenant_id, job, instance) (%)", "stddev(%)",
	"rate(%[5m])", "increase(%[5m:1m])", "max_over_time(sum by (tenant_id) (%)[5m:1m])", "%[5m]", "last_over_time(%[5m] offset 1m)", "%[5m] @ end()", "max_over_time(%[10m:])", "avg_over_time((%)[5m:1m] @ start() offset -1m)",
	"% @ 1", "% @ start()", "% @ end() offset 1m", "% offset 1m", "% offset -1m", "% offset (1m + 1m)", "max_over_time(%[2m * 2])", "max_over_time(%[step() + 5m])", "max_over_time(%[max(1m, 5m)])", "rate(%[5m] smoothed)", "increase(%[5m] anchored)",
	"% or vector(1)", "vector(1) or %", "% and %", "% unless vector(1)", "vector(1) unless on() %", "% * on (job) group_left (tenant_id) shop_temperature", "shop_temperature * on () group_left (tenant_id, zqx04) %", "shop_temperature + on () group_right () %",
	"% == bool 1", "% > bool %", "% == %", "shop_temperature + fill(0) %", "shop_temperature + on (job) fill_left(1) %", "% ^ % ^ %", "% atan2 %",
	"label_replace(%, 'tenant_id', 'acme', '', '')", "label_replace(%, 'a', '$1', 'tenant_id', '(.*)')", "label_join(%, 'a', ',', 'tenant_id', '__name__')", "sort(%)", "sort_desc(%)", "sort_by_label(%, 'tenant_id')",
	"scalar(%)", "vector(scalar(%))", "timestamp(%)", "histogram_quantile(0.9, %)", "histogram_quantile(scalar(%), {'shop.latency'})", "histogram_count(%)", "histogram_fraction(0, scalar(count(%)), {'shop.latency'})",
	"present_over_time(%[5m])", "changes(%[5m])", "predict_linear(%[5m], scalar(%))", "double_exponential_smoothing(%[5m], 0.5, 0.5)", "quantile_over_time(scalar(count(%)) / 100, shop_temperature[5m])", "clamp(%, scalar(%), 10)", "round(%, 5)",
	"ts_of_max_over_time(%[5m])", "mad_over_time(%[5m])", "first_over_time(%[5m])", "day_of_week(%)", "time() - %", "histogram_quantiles(%, 'q', 0.5)",
	"# {tenant_id='acme'}\n%", "% # x\n", "%#}\n", "sum(# a\n%)", "\n\t%\r\n", "sum by (tenant_id,) (%)", "sum(%,)",
}

// wanted are selectors that mean somebody else, in every spelling.
var wanted = []string{
	theirs, `{__name__=~".+"}`, `{__name__!=""}`, `{job="shop"}`, `{job!=""}`, `{zqx04="zqx05"}`, `shop_requests_total`, `shop_requests_total{tenant_id="zqx01"}`, `shop_requests_total{tenant_id!="acme"}`, `shop_requests_total{tenant_id=~".*"}`, `shop_requests_total{tenant_id=~"zqx01|acme"}`,
	`shop_requests_total{tenant_id!~"acme"}`, `shop_requests_total{tenant_id=""}`, `shop_requests_total{tenant_id!=""}`, `shop_requests_total{tenant_id="acme",tenant_id="zqx01"}`, `shop_requests_total{tenant_id="acme"}`, `shop_requests_total{tenant_id=~"acme"}`, `shop_requests_total{tenant_id!~"zqx.*"}`,
	`{"shop_requests_total"}`, `{"shop_requests_total", "tenant_id"="zqx01"}`, `{'tenant_id'=~'.+', __name__='shop_requests_total'}`, "{`tenant_id`!=`acme`, __name__!=``}", `{"tenant\u005fid"="zqx01", job="shop"}`, `{"\x74enant_id"=~".+", job="shop"}`, `{"zqx11.utf8 name"}`, `{"\u007aqx11.utf8 name"}`,
	`{__name__="shop_requests_total", __name__=~".*"}`, `{__name__!~"", job=~"s.*"}`, `{__name__=~"shop.*|zqx.*"}`, `{__name__="zqx10_requests_total"}`, `{tenant_id="zqx01"}`, `{tenant_id=~"(?i)ACME"}`, `{tenant_id=~"acme|"}`, `{tenant_id=~"acme.*"}`, `{tenant_id="acme|zqx17"}`, `{tenant_id=" acme"}`, `{tenant_id="ACME"}`,
	`shop_requests_total{tenant_id="acme"/*"} or {job="shop"}`, `shop_requests_total{job="shop" , }`, `shop_requests_total{job="\"} or {a=\""}`, "shop_requests_total{job!=`\"} or {tenant_id=\"zqx01`}", `{"tenant_id" = "zqx01"}`, `{U__tenant_id="acme", job="shop"}`, `{"U__tenant__id"="acme", job="shop"}`,
	`ALERTS`, `{__name__=~"ALERTS.*"}`, `up`, `scrape_samples_scraped`, `shop_requests_total{tenant_id=~"acme", tenant_id!~"acme"}`, "shop_requests_total{tenant_id\n=\n\"zqx01\"}", "shop_requests_total{tenant_id#c\n=\"zqx01\"}",
}

func promQL() []family {
	f := family{name: "PromQL"}
	for _, q := range []string{"shop_temperature", "sum by (tenant_id) (shop_requests_total)", "topk(scalar(count(shop_flag)), shop_temperature)", "max_over_time(shop_temperature[5m:1m])", `label_replace(shop_temperature, "a", "$1", "job", "(.*)")`, `{"shop.latency", "http.method"="GET"}`, `shop_temperature * on (job, instance) group_left (version) target_info`, `shop_flag{state="open \"now\""}`} {
		value := `"value"`
		if strings.Contains(q, "latency") {
			value = `"histogram"`
		}
		f.controls = append(f.controls, attack{name: q, request: query(q), want: value, twin: true}, attack{name: "POST " + q, request: post("/api/v1/metrics/query", "time="+at+"&query="+url.QueryEscape(q)), want: value})
	}
	add := func(q string) {
		f.attacks = append(f.attacks, attack{name: q, request: query(q), twin: !strings.Contains(q, "absent")})
	}
	for _, h := range hidden {
		for _, s := range []string{wanted[0], wanted[1], wanted[6], wanted[7]} {
			add(strings.ReplaceAll(h, "%", s))
		}
	}
	for _, s := range wanted {
		for _, h := range []string{"%", "count(%)", "sum by (tenant_id, job) (rate(%[5m]))", "topk(scalar(sum(%)), vector(1))", "vector(1) unless on () %", "absent(%)", "absent_over_time(%[5m])"} {
			add(strings.ReplaceAll(h, "%", s))
		}
		f.attacks = append(f.attacks,
			attack{name: "range " + s, request: get("/api/v1/query_range?step=60&start=" + at + "&end=" + until + "&query=" + url.QueryEscape(s)), twin: true},
			attack{name: "exemplars " + s, request: get("/api/v1/query_exemplars?start=0&end=" + until + "&query=" + url.QueryEscape(s)), twin: true},
		)
	}
	info := family{name: "info()", controls: []attack{{name: "the join", request: query("shop_temperature * on (job, instance) group_left (version) target_info"), want: "1.2"}}}
	for _, q := range []string{"info(shop_temperature)", `info(shop_temperature, {zqx08=~".+"})`, `info(shop_temperature, {__name__="target_info"})`, "sum(info(shop_temperature))", "INFO(shop_temperature)", "info (shop_temperature)", "info#\n(shop_temperature)", "topk(scalar(info(shop_temperature)), vector(1))", "info(info(shop_temperature))", "rate(info(shop_temperature)[5m:1m])"} {
		info.attacks = append(info.attacks, attack{name: q, request: query(q), status: []int{400}}, attack{name: "explain " + q, request: get("/api/v1/metrics/explain?query=" + url.QueryEscape(q)), status: []int{400}})
	}
	return []family{f, info}
}

// selectorsOf are the ways of match[].
func selectorsOf() []family {
	f := family{name: "match[]", controls: []attack{
		{name: "series", request: get("/api/v1/series?match[]=shop_flag"), want: "shop_flag", twin: true},
		{name: "labels", request: get("/api/v1/labels"), want: "http.method"},
		{name: "labels of a selector", request: get("/api/v1/labels?match[]=shop_flag"), want: "state", twin: true},
		{name: "values", request: get("/api/v1/label/tenant_id/values"), want: `["acme"]`, twin: true},
		{name: "federate", request: get(`/federate?match[]={__name__=~"shop.*"}`), want: "shop_up_since"},
	}}
	targets := []string{"/api/v1/series?", "/api/v1/labels?", "/api/v1/label/__name__/values?", "/api/v1/label/tenant_id/values?", "/api/v1/label/zqx04/values?", "/api/v1/metrics/series?start=0&", "/api/v1/series?limit=1&", "/api/v1/label/job/values?limit=1&"}
	for _, s := range append([]string{"", "{}", `{a=""}`, `{tenant_id=~""}`, `{__name__=""}`, "1", "up + up", "up[5m]", "up offset 1m", "{", "up}", "(up)", "up or " + theirs, `up,` + theirs}, wanted...) {
		for _, target := range targets {
			// Which series a limit leaves is not the same twice.
			twin := target != "/api/v1/series?limit=1&"
			f.attacks = append(f.attacks, attack{name: target + s, request: get(target + "match[]=" + url.QueryEscape(s)), twin: twin})
		}
		f.attacks = append(f.attacks,
			attack{name: "POST " + s, request: post("/api/v1/series", "match[]=shop_flag&match[]="+url.QueryEscape(s)), twin: true},
			attack{name: "federate " + s, request: get("/federate?match[]=" + url.QueryEscape(s)), status: []int{200, 400}},
			attack{name: "rules " + s, request: get("/api/v1/rules?match[]=" + url.QueryEscape(s)), twin: true},
			attack{name: "match_target " + s, request: get("/api/v1/targets/metadata?match_target=" + url.QueryEscape(s)), status: []int{200, 400}},
		)
	}
	f.attacks = append(f.attacks,
		attack{name: "no selector for series", request: get("/api/v1/series"), status: []int{400}, twin: true},
		attack{name: "no selector for federate", request: get("/federate"), status: []int{200}},
		attack{name: "an escaped name", request: get("/api/v1/series?match%5B%5D=" + theirs), twin: true},
		attack{name: "an index", request: get("/api/v1/series?match[0]=" + theirs), status: []int{400}},
		attack{name: "no brackets", request: get("/api/v1/series?match=" + theirs), status: []int{400}},
	)
	return []family{f}
}

func searches() []family {
	f := family{name: "search", controls: []attack{
		{name: "names", request: get("/api/v1/search/metric_names?search[]=shop&start=" + at), want: "shop_temperature"},
		{name: "names by POST", request: post("/api/v1/search/metric_names", "search[]=shop&match[]=shop_flag"), want: "shop_flag"},
		{name: "labels", request: get("/api/v1/search/label_names?search[]=http"), want: "http.method"},
		{name: "values", request: get("/api/v1/search/label_values?label=path"), want: "/cart"},
	}}
	for _, target := range []string{"/api/v1/search/metric_names?", "/api/v1/search/label_names?", "/api/v1/search/label_values?label=tenant_id&", "/api/v1/search/label_values?label=zqx04&", "/api/v1/search/label_values?label=__name__&"} {
		for _, p := range []string{"", "search[]=zqx", "search[]=", "search[]=zqx&fuzz_threshold=1", "search[]=zqx&fuzz_alg=subsequence&fuzz_threshold=1", "match[]=" + theirs, "match[]={}", `match[]={tenant_id="zqx01"}`, "include_metadata=true", "include_metadata=1&search[]=shop", "include_score=true&sort_by=score", "limit=0", "limit=1", "batch_size=1", "case_sensitive=true&search[]=ZQX", "sort_by=zqx"} {
			f.attacks = append(f.attacks, attack{name: target + p, request: get(target + p), twin: !strings.Contains(p, "include_metadata") && !strings.Contains(p, "limit=1")}, attack{name: "gzip " + target + p, request: get(target+p, "Accept-Encoding: gzip")})
		}
	}
	return []family{f}
}
