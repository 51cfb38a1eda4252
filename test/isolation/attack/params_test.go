package attack_test

import (
	"net/http"
	"net/url"
	"strings"
)

const (
	mine   = "shop_temperature"
	theirs = "zqx10_requests_total"
)

// parameters are pollution: two readers of one request find different things.
func parameters() []family {
	t := "&time=" + at
	between := family{name: "parameters of URL and body", controls: []attack{
		{name: "query in the URL of a POST", request: post("/api/v1/query?query="+mine+t, ""), want: mine},
		{name: "query in the body", request: post("/api/v1/query", "query="+mine+t), want: mine},
		{name: "half and half", request: post("/api/v1/query?time="+at, "query="+mine), want: mine},
		{name: "the same in both", request: post("/api/v1/query?query="+mine, "query="+mine+t), want: mine},
		{name: "selectors in the URL of an empty POST", request: post("/api/v1/labels?match[]="+mine, ""), want: "instance"},
		{name: "selectors in both", request: post("/api/v1/series?match[]="+mine, "match[]=shop_flag"), want: "shop_flag"},
	}, attacks: []attack{
		{name: "query differs", request: post("/api/v1/query?query="+theirs, "query="+mine+t), status: []int{400}},
		{name: "query differs, reversed", request: post("/api/v1/query?query="+mine+t, "query="+theirs), status: []int{400}},
		{name: "time differs", request: post("/api/v1/query?time=1", "query="+mine+t), status: []int{400}},
		{name: "selector in the URL", request: post("/api/v1/series?match[]="+theirs, "match[]="+mine), twin: true},
		{name: "bare selector in the URL", request: post(`/api/v1/labels?match[]={__name__=~".%2B"}`, "match[]="+mine), twin: true},
		{name: "body on GET", request: with("GET", "/api/v1/query?query="+mine, "query="+theirs, "Content-Type: application/x-www-form-urlencoded"), status: []int{400}},
		{name: "chunked body on GET", request: "GET /api/v1/series?match[]=" + mine + " HTTP/1.1\r\nHost: {host}\r\n{auth}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n8\r\nquery=up\r\n0\r\n\r\n", status: []int{400}},
		{name: "body on label values", request: with("GET", "/api/v1/label/__name__/values", "match[]="+theirs, "Content-Type: application/x-www-form-urlencoded"), status: []int{400}},
		{name: "query in the body of explain", request: post("/api/v1/metrics/explain?query="+mine, "query="+theirs), status: []int{400}},
	}}
	within := family{name: "parameters within a query string", controls: []attack{
		{name: "twice the same", request: get("/api/v1/query?query=" + mine + "&query=" + mine + t), want: mine},
		{name: "an escaped semicolon", request: get(`/api/v1/query?query=shop_flag{state!="%3B"}` + t), want: "shop_flag"},
		{name: "an unknown parameter", request: get("/api/v1/query?tenant=zqx01&query=" + mine + t), want: mine},
	}}
	for name, s := range map[string]string{
		"twice": "query=" + mine + "&query=" + theirs, "twice, reversed": "query=" + theirs + "&query=" + mine,
		"empty first": "query=&query=" + theirs, "empty last": "query=" + theirs + "&query=",
		"escaped name": "query=" + mine + "&quer%79=" + theirs, "plus": "query=" + mine + "&+query=" + theirs,
		"semicolon": "query=" + mine + ";query=" + theirs, "semicolon first": ";query=" + theirs, "semicolon in value": "query=" + mine + ";",
		"broken escape": "query=" + mine + "&query=%zz", "broken name": "%zz=1&query=" + mine, "question mark": "?query=" + theirs,
		"array": "query[]=" + theirs + "&query[0]=" + theirs, "case": "Query=" + theirs + "&QUERY=" + theirs, "dot": "query.0=" + theirs,
		"NUL": "query%00=" + theirs, "no value": "query", "no name": "=" + theirs, "ampersands": "&&&", "newline": "query=" + mine + "%0a&%0aquery=" + theirs,
		"matcher twice": `match[]=&match[]={__name__=~".%2B"}`,
	} {
		for _, path := range []string{"/api/v1/query", "/api/v1/series", "/api/v1/labels", "/api/v1/query_exemplars", "/federate", "/api/v1/rules", "/api/v1/metrics/explain"} {
			within.attacks = append(within.attacks, attack{name: name + " " + path, request: get(path + "?" + s)})
		}
	}
	dropped := family{name: "parameters that tell", controls: []attack{{name: "plain", request: get("/api/v1/series?match[]=" + mine), want: mine}}}
	for _, p := range []string{
		"storeMatch[]={a=%22b%22}", "analyze=true", "include_metadata=true", "tenant=zqx01", "tenant_id=zqx01", "x-scope-orgid=zqx01",
		"skip_head=true", "replicaLabels[]=tenant_id", "dedup=false", "partial_response=true", "explain=true", "engine=thanos", "shard_info={}", "nocache=1", "extra_label=tenant_id=zqx01", "extra_filters[]={}",
	} {
		for _, path := range []string{"/api/v1/query", "/api/v1/series", "/api/v1/labels", "/api/v1/search/metric_names", "/federate", "/api/v1/targets", "/api/v1/rules", "/api/v1/metadata"} {
			dropped.attacks = append(dropped.attacks, attack{name: p + " " + path, request: get(path + "?" + p + "&" + everything), status: []int{200}})
		}
	}
	return []family{between, within, dropped}
}

// bodies are content types and encodings that upstreams read, or not.
func bodies() []family {
	own := "query=" + mine + "&time=" + at
	f := family{name: "content types", controls: []attack{
		{name: "form", request: post("/api/v1/query", own), want: mine},
		{name: "with a charset", request: with("POST", "/api/v1/query", own, "Content-Type: application/x-www-form-urlencoded; charset=UTF-8"), want: mine},
		{name: "in capitals", request: with("POST", "/api/v1/query", own, "Content-Type: APPLICATION/X-WWW-FORM-URLENCODED"), want: mine},
		{name: "empty and none", request: with("POST", "/api/v1/query?"+own, ""), want: mine},
		{name: "chunked", request: "POST /api/v1/query?time=" + request(at) + " HTTP/1.1\r\nHost: {host}\r\n{auth}Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n6\r\nquery=\r\n10\r\nshop_temperature\r\n0\r\n\r\n", want: mine},
	}}
	multi := "--b\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\n" + theirs + "\r\n--b--\r\n"
	for _, types := range [][]string{
		{"Content-Type: multipart/form-data; boundary=b"},
		{"Content-Type: application/json"},
		{"Content-Type: text/plain"},
		{"Content-Type:"},
		{},
		{"Content-Type: x"},
		{"Content-Type: application/x-www-form-urlencoded, multipart/form-data; boundary=b"},
		{"Content-Type: application/x-www-form-urlencoded; boundary=b"},
		{"Content-Type: application/x-www-form-urlencoded", "Content-Type: multipart/form-data; boundary=b"},
		{"Content-Type: application/x-protobuf"},
		{"Content-Type: application/x-www-form-urlencoded", "Content-Encoding: gzip"},
		{"Content-Type: application/x-www-form-urlencoded", "Content-Encoding: identity, gzip"},
	} {
		for _, body := range []string{multi, own, `{"query":"` + theirs + `"}`} {
			f.attacks = append(f.attacks, attack{
				name: strings.Join(types, " and ") + " " + body[:5], request: with("POST", "/api/v1/query?query=shop_flag", body, types...), status: []int{http.StatusUnsupportedMediaType},
			})
		}
	}
	for name, text := range map[string]string{
		"UTF-16": "q\x00u\x00e\x00r\x00y\x00=\x00u\x00p\x00", "BOM": "\xef\xbb\xbfquery=" + theirs, "NUL": "query=" + mine + "\x00" + theirs,
		"overlong": "query=%c0%80" + theirs, "lone surrogate": "query=%ed%a0%80", "CRLF": "query=" + mine + "\r\nquery=" + theirs, "latin": "query=\xe9",
		"fullwidth equals": "query%EF%BC%9D" + theirs, "double encoding": "query=%257Bx%257D",
	} {
		f.attacks = append(f.attacks, attack{name: name, request: post("/api/v1/query", text)}, attack{name: name + " in match[]", request: post("/api/v1/series", strings.Replace(text, "query", url.QueryEscape("match[]"), 1))})
	}
	return []family{f}
}
