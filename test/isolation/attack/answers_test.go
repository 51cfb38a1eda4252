package attack_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
)

// answersOf are the rows whose answers are filtered.
func answersOf() []family {
	f := family{name: "filtered answers", controls: []attack{
		{name: "rules", request: get("/api/v1/rules"), want: "shop:requests:sum", twin: true},
		{name: "alerts", request: get("/api/v1/alerts"), want: "ShopOpen", twin: true},
		{name: "metadata", request: get("/api/v1/metadata?metric=shop_up_since"), want: "When the shop was started.", twin: true},
		{name: "all metadata", request: get("/api/v1/metadata"), want: "Orders that were taken.", twin: true},
		{name: "target metadata", request: get("/api/v1/targets/metadata?metric=shop_up_since"), want: "When the shop was started.", twin: true},
		{name: "targets", request: get("/api/v1/targets?state=active"), want: "shop:1"},
		{name: "rules of a type", request: get("/api/v1/rules?type=record"), want: "shop:requests:sum", twin: true},
		{name: "rules of a name", request: get("/api/v1/rules?rule_name[]=ShopOpen"), want: "ShopOpen", twin: true},
		{name: "rules of a label", request: get(`/api/v1/rules?match[]={severity="info"}`), want: "ShopOpen", twin: true},
		{name: "rules without alerts", request: get("/api/v1/rules?exclude_alerts=true"), want: "ShopOpen", twin: true},
		{name: "by HTTP/1.0", request: "GET /api/v1/rules HTTP/1.0\r\n{auth}\r\n", want: "ShopOpen"},
	}}
	for _, target := range []string{"/api/v1/rules", "/api/v1/alerts", "/api/v1/metadata", "/api/v1/targets", "/api/v1/targets/metadata", "/api/v1/metrics/rules", "/api/v1/metrics/targets", "/api/v1/metrics/metadata"} {
		for _, p := range []string{
			"type=alert", "type=record", "type=zqx", "rule_name[]=zqx31", "rule_group[]=zqx45", "rule_group[]=shop", "file[]=zqx44.rules.yml", `match[]={tenant_id="zqx01"}`, `match[]={zqx32="zqx33"}`, `match[]={tenant_id!="acme"}`, "match[]={", "exclude_alerts=zqx", "exclude_alerts=true",
			"metric=zqx23_secrets_total", "metric=shop_up_since", "metric=", "limit=0", "limit=1", "limit=-1", "limit=x", "limit=1&limit_per_metric=1", "limit_per_metric=1", "limit_per_metric=99999999999999999999", `match_target={tenant_id="zqx01"}`, `match_target={zqx51="zqx52"}`, "match_target={}", "match_target=",
			"state=any", "state=dropped", "state=active", "state=zqx", "scrapePool=zqx50", "scrapePool=shop", "partial_response=true", "dedup=true",
		} {
			r := target + "?" + p
			twin := !strings.Contains(target, "targets") && !strings.Contains(p, "limit=1") && !strings.Contains(p, "file")
			f.attacks = append(f.attacks, attack{name: r, request: get(r), twin: twin}, attack{name: "gzip " + r, request: get(r, "Accept-Encoding: gzip")})
		}
		for _, accept := range []string{"Accept: text/plain", "Accept: application/vnd.google.protobuf", "Accept: text/html", "Accept-Encoding: gzip, deflate, br", "Accept-Encoding: deflate", "Range: bytes=0-100", "TE: trailers", "Accept: application/yaml"} {
			f.attacks = append(f.attacks, attack{name: accept + " " + target, request: get(target, accept), status: []int{200}})
		}
	}
	return []family{f}
}

// pages are rules asked for by group: what is cut off, and what a token tells.
func pages() []family {
	token := func(file, group string) string {
		sum := sha256.Sum256([]byte(file + ";" + group))
		return hex.EncodeToString(sum[:])
	}
	f := family{name: "pages of rules", controls: []attack{
		{name: "one group", request: get("/api/v1/rules?group_limit=1"), want: "ShopOpen", twin: true},
		{name: "many groups", request: get("/api/v1/rules?group_limit=100"), want: "ShopOpen", twin: true},
	}}
	for _, p := range []string{
		"group_limit=0", "group_limit=-1", "group_limit=x", "group_limit=99999999999", "group_limit=", "group_limit=2", "group_next_token=a", "group_limit=1&group_next_token=zqx",
		"group_limit=1&group_next_token=" + token("zqx44.rules.yml", "zqx45"), "group_limit=1&group_next_token=" + token("zqx44.rules.yml", "zqx46"), "group_limit=1&rule_group[]=zqx45", "group_limit=1&group_next_token=",
	} {
		f.attacks = append(f.attacks, attack{name: p, request: get("/api/v1/rules?" + p), twin: true})
	}
	return []family{f}
}

// errorTexts makes the upstream speak.
func errorTexts() []family {
	f := family{name: "errors and warnings", controls: []attack{
		{name: "an info", request: query("rate(shop_temperature[5m])"), want: "metric might not be a counter"},
		{name: "a deprecated value", request: get("/api/v1/query?query=" + mine + "&time=" + at + "&stats=x"), want: mine},
		{name: "a truncated answer", request: get("/api/v1/series?limit=1&match[]=shop_requests_total"), want: "results truncated due to limit"},
	}}
	for _, q := range []string{
		"shop_requests_total * on (job) shop_requests_total", "shop_requests_total * on (job) group_left () shop_requests_total", "shop_requests_total + ignoring (path) zqx10_requests_total", `label_replace(shop_requests_total, "path", "x", "", "")`, `label_replace(up, "é", "", "", "(")`, `label_join(up, "", "", "")`,
		"rate(shop_requests_total)", "nope(up)", "sum(", "up{", "{__name__=~\".+\"} + on () group_left () {__name__=~\".+\"}", "quantile(2, shop_temperature)", "topk(NaN, shop_temperature)", "limit_ratio(NaN, up)", "shop_temperature[1s:1ms]", "histogram_quantile(2, {'shop.latency'})", "shop_temperature[1m * 0]", "count_values('', up)", `max_over_time(shop_temperature[1m / 0])`, "1 + \"a\"", "double_exponential_smoothing(shop_temperature[5m], 7, 7)", "-{'shop.latency'} + shop_temperature", "avg({__name__=~\"shop.*\"})", "sort({'shop.latency'})",
	} {
		f.attacks = append(f.attacks, attack{name: q, request: query(q), twin: true}, attack{name: "gzip " + q, request: get("/api/v1/query?time="+at+"&query="+url.QueryEscape(q), "Accept-Encoding: gzip")})
	}
	for _, target := range []string{
		"/api/v1/query?query=up&time=zqx", "/api/v1/query?query=up&timeout=x", "/api/v1/query?query=up&timeout=1ns", "/api/v1/query?query=up&limit=x", "/api/v1/query?query=up&lookback_delta=x", "/api/v1/query?query=", "/api/v1/query", "/api/v1/query_range?query=up", "/api/v1/query_range?query=up&start=0&end=99999999999&step=1", "/api/v1/query_range?query=up&start=2&end=1&step=1",
		"/api/v1/query_range?query=up&start=0&end=1&step=0", "/api/v1/query_range?query=up&start=0&end=1&step=-1", "/api/v1/query_exemplars?query=up", "/api/v1/query_exemplars?query=up&start=2&end=1", "/api/v1/series?match[]=up&start=x", "/api/v1/series?match[]=up&start=2&end=1", "/api/v1/labels?limit=x", "/api/v1/labels?start=x", "/api/v1/label/a/values?end=x", "/api/v1/format_query", "/api/v1/format_query?query=(", "/api/v1/parse_query?query=)", "/api/v1/format_query?query=foo/bar", "/api/v1/parse_query?query=sum(a)by(b)", "/api/v1/search/label_values", "/api/v1/search/metric_names?limit=x",
	} {
		f.attacks = append(f.attacks, attack{name: target, request: get(target), twin: true})
	}
	return []family{f}
}
