package attack_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// framing is where one request ends and the next begins.
func framing() []family {
	target := request("/api/v1/query?time=" + at + "&query=shop_temperature")
	head := "POST " + target + " HTTP/1.1\r\nHost: {host}\r\n{auth}Content-Type: application/x-www-form-urlencoded\r\n"
	inner := request("GET /api/v1/status/config HTTP/1.1\r\nHost: {host}\r\n{auth}Connection: close\r\n\r\n")
	return []family{{name: "framing", controls: []attack{
		{name: "pipelined", request: "GET /-/healthy HTTP/1.1\r\nHost: {host}\r\n\r\n" + query(mine), want: mine},
		{name: "Expect", request: with("POST", "/api/v1/query", "query=shop_flag&time="+at, "Content-Type: application/x-www-form-urlencoded", "Expect: 100-continue"), want: "shop_flag"},
		{name: "Upgrade is passed over", request: get(string(target), "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), want: mine},
		{name: "trailers", request: head + "Transfer-Encoding: chunked\r\nTrailer: X-Scope-OrgID\r\nConnection: close\r\n\r\n0\r\nX-Scope-OrgID: zqx01\r\n\r\n", want: mine},
	}, attacks: []attack{
		{name: "TE and CL", request: head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n" + inner},
		{name: "CL and TE", request: head + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + inner},
		{name: "two lengths", request: head + "Content-Length: 0\r\nContent-Length: 6\r\n\r\nabcdef" + inner, status: []int{400}},
		{name: "two equal lengths", request: head + "Content-Length: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
		{name: "a list of lengths", request: head + "Content-Length: 0, 0\r\nConnection: close\r\n\r\n"},
		{name: "a negative length", request: head + "Content-Length: -1\r\n\r\n" + inner, status: []int{400}},
		{name: "a plus length", request: head + "Content-Length: +0\r\n\r\n" + inner, status: []int{400}},
		{name: "a hex length", request: head + "Content-Length: 0x0\r\n\r\n" + inner, status: []int{400}},
		{name: "TE of another coding", request: head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + inner, status: []int{400, 501}},
		{name: "TE with a tab", request: head + "Transfer-Encoding:\tchunked\r\nConnection: close\r\n\r\n0\r\n\r\n"},
		{name: "TE with a space before", request: head + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + inner, status: []int{400}},
		{name: "TE folded", request: head + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + inner},
		{name: "two TE", request: head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + inner, status: []int{400, 501}},
		{name: "a broken chunk", request: head + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n", status: []int{400}},
		{name: "a chunk extension", request: head + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n0;x=" + request(strings.Repeat("y", 9000)) + "\r\n\r\n"},
		{name: "a huge chunk", request: head + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\nffffffffffffffff\r\n", status: []int{400, 408}},
		{name: "bare LF", request: "GET " + target + " HTTP/1.1\nHost: {host}\nConnection: close\n\n"},
		{name: "bare CR", request: get(string(target), "X: a\rX-Scope-OrgID: zqx01"), status: []int{400}},
		{name: "NUL in a header", request: get(string(target), "X: a\x00b"), status: []int{400}},
		{name: "no host", request: "GET " + target + " HTTP/1.1\r\n{auth}\r\n", status: []int{400}},
		{name: "two hosts", request: get(string(target), "Host: other"), status: []int{400}},
		{name: "a host with a path", request: "GET " + target + " HTTP/1.1\r\nHost: a/b\r\n{auth}Connection: close\r\n\r\n"},
		{name: "Expect of something else", request: get(string(target), "Expect: 200-ok"), status: []int{417}},
		{name: "h2c upgrade", request: get(string(target), "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__", "Connection: Upgrade, HTTP2-Settings"), want: mine},
		{name: "CONNECT", request: "CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n{auth}Connection: close\r\n\r\n" + inner, status: []int{404, 405}},
		{name: "smuggled in a body", request: post("/api/v1/query?query=shop_flag", string(inner)), status: []int{400, 200}},
	}}}
}

// headers are those that a hop believes: tenants, addresses, hop-by-hop lists.
func headers(w *world) []family {
	own := "/api/v1/query?time=" + at + "&query=shop_temperature"
	f := family{name: "headers", controls: []attack{{name: "plain", request: get(own), want: mine}}}
	for _, h := range []string{
		"THANOS-TENANT: zqx01", "X-Scope-OrgID: zqx01", "X-Scope-OrgID: acme|zqx01", "X-Prom-Label-Policy: zqx01", "X-Tenant-Id: zqx01", "Cortex-Tenant: zqx01", "X-Grafana-Org-Id: 2",
		"X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: zqx01", "X-Forwarded-Proto: https", "Forwarded: for=127.0.0.1;host=zqx01", "X-Real-IP: ::1", "X-Forwarded-User: zqx01", "X-Remote-User: zqx01",
		"Proxy-Authorization: Basic YTpi", "Cookie: tenant=zqx01", "Proxy: http://zqx.invalid", "Range: bytes=0-1", "If-None-Match: *", "If-Modified-Since: Mon, 01 Jan 2035 00:00:00 GMT",
		"Connection: Authorization", "Connection: X-Request-Id, Host, Accept-Encoding, Content-Type", "Connection: keep-alive, X-Scope-OrgID", "Keep-Alive: timeout=1", "TE: trailers, gzip",
		"Accept: application/vnd.google.protobuf", "Accept: */*;q=0", "Accept-Encoding: gzip;q=0, identity;q=0", "Accept-Encoding: br, zstd, deflate", "Accept-Language: zqx", "User-Agent: " + strings.Repeat("u", 5000),
		"Content-Length: 0", "Content-Encoding: gzip", "Origin: https://zqx.invalid", "Sec-Fetch-Site: cross-site", "X-Prometheus-Remote-Read-Version: 9", "Traceparent: zqx", "Idempotency-Key: a",
	} {
		f.attacks = append(f.attacks, attack{name: h[:min(len(h), 60)], request: get(own, h), status: []int{200}, want: mine, twin: !strings.HasPrefix(h, "Accept-Encoding")})
	}
	f.attacks = append(f.attacks,
		attack{name: "two tokens", request: get(own, "Authorization: Bearer "+w.other), status: []int{401}},
		attack{name: "others' token first", request: request(strings.Replace(string(get(own)), "{auth}", "Authorization: Bearer "+w.other+"\r\n{auth}", 1)), status: []int{401}},
		attack{name: "both tokens in one line", request: request(strings.Replace(string(get(own)), "{auth}", "Authorization: Bearer "+w.acme+", Bearer "+w.other+"\r\n", 1)), status: []int{401}},
		attack{name: "token in the URL", request: request(strings.Replace(string(get(own+"&access_token="+w.acme)), "{auth}", "", 1)), status: []int{401}},
		attack{name: "token in a cookie", request: request(strings.Replace(string(get(own)), "{auth}", "Cookie: token="+w.acme+"\r\n", 1)), status: []int{401}},
		attack{name: "preflight", request: request(strings.Replace(string(bare("OPTIONS", own, "Origin: https://a", "Access-Control-Request-Method: GET")), "{auth}", "", 1)), status: []int{204}},
	)
	ids := family{name: "request ids", controls: []attack{{name: "kept", request: get(own, "X-Request-Id: my-id.1"), want: mine}}}
	for _, id := range []string{"", strings.Repeat("a", 65), `"},{"level":"error"`, "a b", "a\tb", "é", "%0d%0aX: y", "<script>"} {
		ids.attacks = append(ids.attacks, attack{name: fmt.Sprintf("%q", id), request: get(own, "X-Request-Id: "+id), want: mine})
	}
	ids.attacks = append(ids.attacks, attack{name: "twice", request: get(own, "X-Request-Id: a", "X-Request-Id: b"), want: mine})
	return []family{f, ids}
}

// bombs are small for the sender and dear for the receiver.
func bombs() family {
	f := family{name: "bombs", costly: true, controls: []attack{
		{name: "a long list of names", request: post("/api/v1/query", "time="+at+"&query="+url.QueryEscape(`shop_temperature{instance=~"`+strings.Repeat("shop:2|", 4000)+`shop:1"}`)), want: mine},
		{name: "classes that say what not", request: query(`shop_temperature{instance=~"[^/]+:\\d+", job=~"\\S+", tenant_id!~"[^a]+", a!~"(?i)[^x]+"}`), want: mine},
		{name: "forty brackets", request: query(strings.Repeat("(", 40) + mine + strings.Repeat(")", 40)), want: mine},
		{name: "a hundred terms", request: query(mine + strings.Repeat("+"+mine, 100)), want: "shop:1"},
		{name: "ten selectors", request: get("/api/v1/series?" + strings.Repeat("match[]=shop_flag&", 10)), want: "shop_flag"},
	}}
	queries := map[string]string{
		"deep brackets": strings.Repeat("(", 30000) + "1" + strings.Repeat(")", 30000), "open brackets": strings.Repeat("(", 60000), "deep braces": strings.Repeat("{", 60000),
		"unary": strings.Repeat("-", 60000) + "1", "spaced unary": strings.Repeat("- ", 1900) + "1", "long sum": "1" + strings.Repeat("+1", 32000), "a sum at the limit": mine + strings.Repeat("+"+mine, 995),
		"deep subqueries": mine + strings.Repeat("[5m:1m]", 1900), "nested calls": strings.Repeat("abs(", 5000) + mine + strings.Repeat(")", 5000), "calls at the limit": strings.Repeat("abs(", 99) + mine + strings.Repeat(")", 99),
		"many matchers": `{a="b"` + strings.Repeat(`,a="b"`, 990) + "}", "long string": `"` + strings.Repeat("a", 65000) + `"`, "long name": strings.Repeat("a", 65000), "comments": strings.Repeat("#\n", 30000) + "1",
		"many groupings": "sum by (" + strings.Repeat("a,", 1900) + "a) (b)", "powers": "2" + strings.Repeat("^2", 1900), "deep duration": "a[" + strings.Repeat("(", 98) + "1m" + strings.Repeat(")", 98) + "]",
		"long duration": "a[1m" + strings.Repeat("+1m", 1900) + "]", "long number": strings.Repeat("9", 65000), "escapes": `{a="` + strings.Repeat(`\u00e9`, 10000) + `"}`,
		"many offsets": mine + strings.Repeat(" offset 1m", 5000), "or chain": mine + strings.Repeat(" or "+mine, 900), "many strings": strings.Repeat(`"a" `, 15000), "at the end": mine + strings.Repeat(" @ end()", 5000),
	}
	for i, re := range []string{
		"((a{100}){100}){100}", "(a{1000}){10}", "a{1000}", "(x+x+)+y", strings.Repeat("(a*)*", 5000), strings.Repeat("a?", 20000), "(?i)" + strings.Repeat(`\pL`, 1000), strings.Repeat(`\pL`, 50), `(\pL|1){800}`, `[^a]{1000}`, `(?i)[^a]{500}`,
		strings.Repeat("(", 1001) + "a" + strings.Repeat(")", 1001), strings.Repeat("(?:a|", 90) + "b" + strings.Repeat(")", 90), strings.Repeat("(a|b)", 99), strings.Repeat("(a|b|c)", 90), "(?i)(" + strings.Repeat("abc|", 8000) + "d)", "(?i)" + strings.Repeat("é", 15000),
		`[\x{0}-\x{10ffff}]{1000}`, strings.Repeat(`[\d\D]`, 300), `(?i)` + strings.Repeat("[k]", 9000), strings.Repeat("[a-z]", 7000), strings.Repeat(".*", 15000), strings.Repeat("a|", 30000), strings.Repeat("ab|a", 15000), strings.Repeat("(?i:a)", 9000), strings.Repeat(`\b`, 15000), strings.Repeat("x*y*", 9000), "(?:" + strings.Repeat("a{0,9}", 900) + "){9}",
		strings.Repeat("(a", 100) + strings.Repeat(")", 100), strings.Repeat("^", 30000), strings.Repeat("$|", 15000), "(" + strings.Repeat("|", 40000) + ")", strings.Repeat("(|)", 99), strings.Repeat("[[:^alpha:]]", 49), strings.Repeat(`\PL`, 49) + "{2}", strings.Repeat("[k-ſ]", 49),
		"(" + strings.Repeat(`\PL?`, 49) + "){800}", "(" + strings.Repeat(`[^a]|`, 49) + "b){700}", "(?s).{1000}{40}", strings.Repeat("(a{20}|b{20})", 900), strings.Repeat("foo.*bar|", 4000), strings.Repeat(".*foo.*|", 4000), strings.Repeat("(?i)foo|", 4000), strings.Repeat("[ab]", 16) + strings.Repeat("c", 900),
		// Classes that hold both cases of each of their letters: printing them asks every rune.
		strings.Repeat(`\S`, 4000), strings.Repeat(`\D`, 100), "(?i)" + strings.Repeat(`\W`, 900), strings.Repeat("[^/]", 10), strings.Repeat("[^/]", 49), strings.Repeat(`\PN`, 10), strings.Repeat(`[\s\S]`, 5), strings.Repeat(`\p{Any}`, 10), "(?i)" + strings.Repeat("[^a]", 3), "(?i)" + `[\pL\pN]`, "[^/]{1000}", "(?i)[" + strings.Repeat(`\x{80}-\x{10ffff}`, 3000) + "]", "(?i)[" + strings.Repeat("é-\U0010ffff", 5000) + "]", "(?i)[" + strings.Repeat("[:^alpha:]", 5000) + "]",
		// Groups and words that are listed or nested more often than their length tells, and compared with one another.
		strings.Repeat("(a|b", 330) + "c" + strings.Repeat(")", 330), strings.Repeat("(a|b", 320) + "c?" + strings.Repeat(")", 320), strings.Repeat("((a|b)", 200) + "c" + strings.Repeat(")", 200), strings.Repeat("(a|b", 20) + "c?" + strings.Repeat(")", 20),
		"(" + chain(350) + ")", "(" + chain(-350) + ")", "x]|" + chain(350), `x\.|` + chain(-350), `\.|` + chain(280), "(" + chain(15) + ")", strings.Repeat("(a|b)", 8) + strings.Repeat("(c)", 900), strings.Repeat("[ab]", 8) + strings.Repeat("c(?:)", 2000), strings.Repeat("(a|b)", 8) + strings.Repeat("(c|)", 50), strings.Repeat("L", 20000) + "[a-z](b|c)" + strings.Repeat("(d)", 300),
		optional(350), optional(100), "[acegikmoqsuwy]?" + optional(25), "(" + strings.ReplaceAll(optional(120), "?", "x|") + ")*", "a{0,1000}", strings.Repeat("a{0,3}", 15), strings.Repeat(".{0,3}", 30), "(" + strings.Repeat("a", 100) + ")", "(a|b" + strings.Repeat("a", 100) + ")", strings.Repeat("(ab|cd)|", 2800) + "z", strings.Repeat("a(b|c)|", 900) + "z",
		"(" + hosts(2100, `host-%04d\.example\.com:9100`) + ")", "(" + hosts(4300, "host-%04d:9100") + ")", "(" + hosts(20, `host-%04d\.example\.com:9100`) + ")", "(" + hosts(5100, "%b") + ")", "(" + hosts(12000, "%x") + ")", strings.Repeat("(", 60000), strings.Repeat("(", 30000) + strings.Repeat(")", 30000),
	} {
		queries[fmt.Sprintf("regexp %d %.20s", i, re)] = `{a=~"` + strings.ReplaceAll(re, `\`, `\\`) + `"}`
		queries[fmt.Sprintf("regexps %d %.20s", i, re)] = strings.TrimSuffix(strings.Repeat(`{a!~"`+strings.ReplaceAll(re, `\`, `\\`)+`"} or `, 60000/(len(re)+20)), " or ") + " or up"
	}
	queries["a long list and a long chain"] = `{a=~"(` + hosts(3000, "host-%04d:9100") + `)"}` + strings.Repeat("^2", 1800)
	for name, q := range queries {
		q = q[:min(len(q), 65536)]
		for _, path := range []string{"/api/v1/query", "/api/v1/format_query", "/api/v1/metrics/explain"} {
			f.attacks = append(f.attacks, attack{name: name + path, request: post(path, "query="+url.QueryEscape(q)), status: []int{200, 400, 422}})
		}
		f.attacks = append(f.attacks, attack{name: name + " match[]", request: post("/api/v1/series", "match[]="+url.QueryEscape(q)), status: []int{200, 400, 422}})
	}
	f.attacks = append(f.attacks,
		attack{name: "many selectors", request: get("/api/v1/series?" + strings.Repeat("match[]=up&", 5000)), status: []int{400}},
		attack{name: "many selectors below the limit", request: post("/api/v1/series", strings.Repeat("match[]="+url.QueryEscape(`{a=~"(b|c){20}"}`)+"&", 100)), status: []int{200, 400}},
		attack{name: "many parameters", request: post("/api/v1/query", strings.Repeat("a&", 500_000)), status: []int{400}},
		attack{name: "many known parameters", request: get("/api/v1/rules?" + strings.Repeat("rule_name[]=a&", 999)), status: []int{200}},
		attack{name: "a long URL", request: get("/api/v1/query?query=" + strings.Repeat("a", 300_000)), status: []int{431}},
		attack{name: "a long path", request: get("/api/v1/label/" + strings.Repeat("a", 200_000) + "/values")},
		attack{name: "a nested escape in a path", request: get("/api/v1/label/%" + strings.Repeat("25", 60_000) + "41/values")},
		attack{name: "a big header", request: get("/api/v1/query?query=up", "X: "+strings.Repeat("a", 300_000)), status: []int{431}},
		attack{name: "many headers", request: get("/api/v1/query?query=up", strings.Split(strings.TrimSuffix(strings.Repeat("X: a\n", 50_000), "\n"), "\n")...), status: []int{431}},
		attack{name: "a long token", request: request(strings.Replace(string(get("/api/v1/query")), "{auth}", "Authorization: Bearer "+strings.Repeat("a", 80_000)+"\r\n", 1)), status: []int{401}},
		attack{name: "a claimed length", request: request(strings.Replace(string(post("/api/v1/query", "")), "Content-Length: 0", "Content-Length: 9223372036854775807", 1)), status: []int{413}},
		attack{name: "a big body", request: post("/api/v1/query", "query="+strings.Repeat("a", 2<<20)), status: []int{413}},
		attack{name: "a body of semicolons", request: post("/api/v1/query", strings.Repeat(";", 1<<20)), status: []int{400}},
		attack{name: "a body of escapes", request: post("/api/v1/query", "query="+strings.Repeat("%2b", 340_000)), status: []int{400}},
		attack{name: "accepts everything", request: get("/api/v1/query?query=up", "Accept-Encoding: "+strings.Repeat("x,", 100_000))},
	)
	return f
}

// chain is a, aa, aaa and so on, or the other way round.
func chain(n int) string {
	words := make([]string, max(n, -n))
	for i := range words {
		words[i] = strings.Repeat("a", i+1)
	}
	if n < 0 {
		slices.Reverse(words)
	}
	return strings.Join(words, "|")
}

// hosts are n names.
func hosts(n int, format string) string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(words, "|")
}

// optional is n different characters, each of which may be left out.
func optional(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteRune(rune(0x4e00 + i))
		b.WriteByte('?')
	}
	return b.String()
}
