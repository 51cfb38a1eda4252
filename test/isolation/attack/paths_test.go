package attack_test

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/promfence/promfence/proxy"
)

// everything is what a caller sends who wants all there is.
var everything = url.Values{
	"query": {`{__name__=~".+"}`}, "match[]": {`{__name__=~".+"}`}, "label": {"__name__"},
	"time": {at}, "start": {at}, "end": {until}, "step": {"60"}, "include_metadata": {"true"},
}.Encode()

// shown is a piece of acme's own data in the answer of each endpoint.
var shown = map[string]string{
	"/query": `"shop_temperature"`, "/query_range": `"shop_temperature"`, "/query_exemplars": "own-trace",
	"/series": `"shop_temperature"`, "/labels": `"http.method"`, "/label/{name}/values": `"/cart"`,
	"/search/metric_names": "shop_temperature", "/search/label_names": "http.method", "/search/label_values": "shop_temperature",
	"/rules": "ShopOpen", "/alerts": "ShopOpen", "/metadata": "When the shop was started.", "/targets": "shop:1",
	"/targets/metadata": "When the shop was started.", "/format_query": "__name__", "/parse_query": "vectorSelector",
	"/status/buildinfo": "version", "/explain": `tenant_id=\"acme\"`, "/federate": "shop_temperature",
}

func endpoints(*world) []family {
	f := family{name: "endpoints"}
	for method, path := range proxy.Endpoints() {
		row := strings.TrimPrefix(strings.TrimPrefix(path, "/api/v1"), "/metrics")
		if row == "" {
			continue
		}
		target := strings.Replace(path, "{name}", "path", 1)
		sent := everything
		switch row {
		case "/query_exemplars":
			sent = url.Values{"query": {"shop_traced_total or zqx61_total"}, "start": {"0"}, "end": {until}}.Encode()
		case "/federate":
			// Federation looks at the present.
			sent = url.Values{"match[]": {`{__name__=~".+"}`}}.Encode()
			shown[row] = "shop_up_since"
		case "/rules":
			sent = "exclude_alerts=false"
		case "/read":
			continue // a family of its own
		}
		r := get(target + "?" + sent)
		if method == http.MethodPost {
			r = post(target, sent)
		}
		if want, ok := shown[row]; ok {
			f.controls = append(f.controls, attack{name: method + " " + path, request: r, want: want})
		} else {
			f.attacks = append(f.attacks, attack{name: method + " " + path, request: r, status: []int{404}})
		}
		for _, m := range []string{"PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "get", "GETT"} {
			f.attacks = append(f.attacks, attack{name: m + " " + path, request: bare(m, target+"?"+sent), status: []int{405}})
		}
		f.attacks = append(f.attacks, attack{
			name: "gzip " + path, request: get(target+"?"+sent, "Accept-Encoding: gzip"), status: []int{200, 404, 405},
		})
	}
	return []family{f}
}

// paths are spellings that some hop could take for another endpoint.
func paths() []family {
	q := "?" + everything
	f := family{name: "paths", controls: []attack{
		{name: "plain", request: get("/api/v1/series" + q), want: "shop_temperature"},
		{name: "absolute form", request: get("http://{host}/api/v1/series" + q), want: "shop_temperature"},
		{name: "absolute form of another host", request: get("http://zqx.invalid/api/v1/series" + q), want: "shop_temperature"},
		{name: "UTF-8 label", request: get("/api/v1/label/http.method/values" + q), want: "GET"},
		{name: "escaped label", request: get("/api/v1/label/http%2Emethod/values" + q), want: "GET"},
		{name: "U__ label", request: get("/api/v1/label/U__http_2e_method/values" + q), want: "GET"},
	}}
	for _, path := range []string{
		"/", "//", "/api", "/api/v1", "/api/v1/", "/api/v2/query", "/api/v1/metrics", "/api/v1/metrics/", "/metrics", "/graph", "/classic/graph",
		"/consoles/index.html", "/debug/pprof/", "/debug/pprof/heap", "/-/reload", "/-/quit", "/version", "/static/a", "/config", "/flags",
		"/api/v1/status/config", "/api/v1/status/flags", "/api/v1/status/tsdb", "/api/v1/status/runtimeinfo", "/api/v1/status/walreplay",
		"/api/v1/status", "/api/v1/metrics/status/config", "/api/v1/admin/tsdb/snapshot", "/api/v1/admin/tsdb/delete_series",
		"/api/v1/write", "/api/v1/otlp/v1/metrics", "/api/v1/alertmanagers", "/api/v1/scrape_pools", "/api/v1/targets/relabel_steps",
		"/api/v1/notifications", "/api/v1/notifications/live", "/api/v1/features", "/api/v1/openapi.yaml", "/api/v1/stores", "/api/v1/receive",
		"/api/v1/query/", "/api/v1//query", "//api/v1/query", "/api//v1/query", "/api/v1/./query", "/api/v1/x/../query", "/./api/v1/query",
		"/api/v1/query/.", "/api/v1/query/..", "/api/v1/query/../status/config", "/api/v1/label/../status/config", "/api/v1/query%2f..%2fstatus%2fconfig",
		"/api/v1/quer%79", "/api/v1/%71uery", "/%61pi/v1/query", "/api%2fv1%2fquery", "/api/v1%2fquery", "/api/v1/query%00", "/api/v1/query%20",
		"/api/v1/query;x=1", "/api/v1/query%3b", "/api/v1/query%3fquery=up", "/api/v1/query%23", "/api/v1/query#x", `/api/v1\query`, "/api/v1/query%5c",
		"/API/V1/QUERY", "/api/v1/Query", "/api/v1/query.json", "/prometheus/api/v1/query", "/api/v1/metrics/api/v1/metrics/query", "/api/v1/metrics/metrics/query",
		"/api/v1/labels/", "/api/v1/label/", "/api/v1/label//values", "/api/v1/label/values", "/api/v1/label/path/values/", "/api/v1/label/path//values",
		"/api/v1/label/./values", "/api/v1/label/../values", "/api/v1/label/%2e%2e/values", "/api/v1/label/%252e%252e/values", "/api/v1/label/%25252e%25252e/values",
		"/api/v1/label/a%2fb/values", "/api/v1/label/a%252fb/values", "/api/v1/label/..%2f..%2fstatus%2fconfig%3f/values", "/api/v1/label/a%5cb/values",
		"/api/v1/label/a%2f..%2f..%2fquery%3fquery=up%23/values", "/api/v1/label/path/names", "/api/v1/l%61bel/path/values", "/api/v1/label/path/v%61lues",
		"/api/v1/l%61bel/^/values", `/api/v1/l%61bel/"/values`, "/api/v1/label/path/values;x", "/federate/", "/%66ederate", "//federate", "/api/v1/federate",
		"/api/v1/explain", "/docs/../api/v1/status/config", "/docs/%2e%2e/api/v1/query", "/-/healthy/../../api/v1/query", "/-/ready/",
	} {
		f.attacks = append(f.attacks, attack{name: path, request: get(path + q), status: []int{400, 404}})
	}
	for _, target := range []string{"*", "{host}", "api/v1/query" + q, "", "http://", "http:///api/v1/query" + q, "http:api/v1/query", "?query=up", "\x00", "/api/v1/query\t?x", "/api/v1/query?\x01"} {
		f.attacks = append(f.attacks, attack{name: "target " + target, request: get(target)})
	}
	for _, name := range []string{"%00", "%ff", "%0a", "é", "%c3%a9", "tenant_id", "U__tenant__id", "zqx04", "zqx12%20label", "U__zqx12_20_label", "%7B%7D", "%22", "U__", "__name__", "a%25b"} {
		f.attacks = append(f.attacks, attack{name: "label " + name, request: get("/api/v1/label/" + name + "/values"), twin: true})
		f.attacks = append(f.attacks, attack{name: "label of frontend " + name, request: get("/api/v1/metrics/label/" + name + "/values"), twin: true})
	}
	return []family{f}
}

func methods() []family {
	f := family{name: "methods", controls: []attack{{name: "GET", request: query("shop_temperature"), want: "shop_temperature"}}}
	target := "/api/v1/query?" + everything
	for _, method := range []string{"", "CONNECT", "GET\x00", "GET POST", "OPTIONS", "PRI", "X-GET", strings.Repeat("M", 9000), "GET,POST", "gEt", "*"} {
		f.attacks = append(f.attacks, attack{name: "method " + method[:min(len(method), 12)], request: bare(method, target), status: []int{400, 404, 405, 431, 501}})
	}
	for _, line := range []string{"X-HTTP-Method-Override: PUT", "X-HTTP-Method: DELETE", "X-Method-Override: POST", "X-Original-URL: /api/v1/status/config", "X-Rewrite-URL: /api/v1/status/config", "X-Forwarded-Prefix: /api/v1/status", "X-Forwarded-Uri: /api/v1/status/config"} {
		f.attacks = append(f.attacks, attack{name: line, request: get("/api/v1/query?query=shop_temperature&time="+at, line), status: []int{200}, want: "shop_temperature", twin: true})
	}
	f.attacks = append(f.attacks, attack{name: "HTTP/0.9", request: "GET /api/v1/query?query=up\r\n"},
		attack{name: "HTTP/3.0", request: "GET /api/v1/query?query=up HTTP/3.0\r\nHost: {host}\r\n{auth}\r\n", status: []int{505}},
		attack{name: "HTTP/1.0", request: "GET /api/v1/query?query=shop_flag&time=" + request(at) + " HTTP/1.0\r\n{auth}\r\n", status: []int{200}, want: "shop_flag"})
	return []family{f}
}
