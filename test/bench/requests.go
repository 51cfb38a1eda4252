package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"net/url"
	"strings"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/promql"
)

// queryList is a dashboard: an endpoint and a query on each line. "#" stands
// where a metric's name ends.
//
//go:embed queries.txt
var queryList string

// The marks in a template are as long as what is put in their place, and mean
// nothing to PromQL or to percent-encoding. The stub finds the tenant behind
// "_of_".
const (
	tenantMark = "tQQQQ"
	startMark  = "1111111111"
	endMark    = "2222222222"
	uniqueMark = "33333333"
	repeated   = "_of_" + tenantMark
	unique     = "_" + uniqueMark + repeated
	tokenMark  = "~"
)

// A template is a request's bytes with holes.
type template struct {
	raw   []byte
	holes []hole
}

type hole struct {
	at   int
	mark byte // the first byte of the mark
}

// A caller is a tenant's name and a token that holds it.
type caller struct{ tenant, token string }

// A source writes the nth request of a process over buf.
type source func(buf []byte, n uint64) []byte

// requests are the same requests as promfence gets them and, for proxies that
// enforce nothing, as it would send them.
type requests struct{ plain, enforced source }

func (r requests) to(p *process) source {
	if p.enforces {
		return r.plain
	}
	return r.enforced
}

// of gives the callers turns, each with all templates, and moves the range by a
// scrape interval when all had theirs.
func of(templates []template, callers []caller) source {
	const now = 1763884800
	return func(buf []byte, n uint64) []byte {
		c, rest := callers[n%uint64(len(callers))], n/uint64(len(callers))
		t := &templates[rest%uint64(len(templates))]
		return t.fill(buf, c, now+15*(rest/uint64(len(templates))), n)
	}
}

func (t *template) fill(buf []byte, c caller, end, n uint64) []byte {
	buf = append(buf[:0], t.raw...)
	for _, h := range t.holes {
		switch h.mark {
		case tenantMark[0]:
			copy(buf[h.at:], c.tenant)
		case tokenMark[0]:
			copy(buf[h.at:], c.token)
		case startMark[0]:
			digits(buf[h.at:h.at+len(startMark)], end-3*3600)
		case endMark[0]:
			digits(buf[h.at:h.at+len(endMark)], end)
		case uniqueMark[0]:
			digits(buf[h.at:h.at+len(uniqueMark)], n)
		}
	}
	return buf
}

func digits(b []byte, n uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i], n = '0'+byte(n%10), n/10
	}
}

// newTemplate spells a request as Grafana's back end does, except that it does
// not ask for compression. X-Tenant is what prom-label-proxy believes.
func newTemplate(method, path string, form url.Values, token string) template {
	var b bytes.Buffer
	target, body := path, form.Encode()
	if method == "GET" && body != "" {
		target, body = path+"?"+body, ""
	}
	mark := strings.Repeat(tokenMark, len(token))
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: metrics.example.com\r\nUser-Agent: Grafana/12.2.1\r\nAuthorization: Bearer %s\r\nX-Tenant: %s\r\n", method, target, mark, tenantMark)
	if body != "" {
		fmt.Fprintf(&b, "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n" + body)
	t := template{raw: b.Bytes()}
	for _, m := range []string{tenantMark, startMark, endMark, uniqueMark, mark} {
		for at := 0; ; at += len(m) {
			i := bytes.Index(t.raw[at:], []byte(m))
			if i < 0 {
				break
			}
			at += i
			t.holes = append(t.holes, hole{at, m[0]})
		}
	}
	return t
}

// dashboard makes the requests of the query list. nameEnd, repeated or unique,
// ends each metric's name.
func dashboard(nameEnd string, callers []caller) (requests, error) {
	tenants, err := policy.ForTenants("tenant_id", tenantMark)
	if err != nil {
		return requests{}, err
	}
	enforcer, err := new(promql.Enforcers).For(tenants)
	if err != nil {
		return requests{}, err
	}
	var plain, enforced []template
	for line := range strings.Lines(queryList) {
		kind, query, _ := strings.Cut(strings.TrimSpace(line), " ")
		query = strings.ReplaceAll(query, "#", nameEnd)
		text, err := enforcer.Explain(query)
		if err != nil {
			return requests{}, fmt.Errorf("%s: %w", query, err)
		}
		plain = append(plain, request(kind, query, callers[0].token))
		enforced = append(enforced, request(kind, text, callers[0].token))
	}
	return requests{of(plain, callers), of(enforced, callers)}, nil
}

// request spells one line of the query list.
func request(kind, query, token string) template {
	const base = "/api/v1/"
	instant := url.Values{"query": {query}, "time": {endMark}}
	selected := url.Values{"match[]": {query}, "start": {startMark}, "end": {endMark}}
	switch kind {
	case "get":
		return newTemplate("GET", base+"query", instant, token)
	case "post":
		return newTemplate("POST", base+"query", instant, token)
	case "series", "labels": // with POST, prom-label-proxy adds a selector rather than to narrow the one sent
		return newTemplate("GET", base+kind, selected, token)
	case "values":
		return newTemplate("GET", base+"label/instance/values", selected, token)
	case "rules":
		return newTemplate("GET", base+"rules", nil, token)
	}
	return newTemplate("POST", base+"query_range", url.Values{
		"query": {query}, "start": {startMark}, "end": {endMark}, "step": {"15"},
	}, token)
}

// one is a single request, the same for all subjects but for the tenant's
// matcher.
func one(kind, query, enforced string, callers []caller) requests {
	token := callers[0].token
	return requests{of([]template{request(kind, query, token)}, callers), of([]template{request(kind, enforced, token)}, callers)}
}

// longest is a+a+… with as many and as long names as the default limits allow.
func longest() string {
	const terms, size = 1000, 64 << 10
	name := strings.Repeat("a", size/terms-len(unique)-1) + unique
	return strings.Repeat(name+"+", terms-1) + name
}
