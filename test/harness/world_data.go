package harness

import (
	"slices"
	"testing"

	"github.com/promfence/promfence/test/harness/upstream"
)

const acmeSeries = `
	requests_total{tenant_id="acme", job="shop", instance="a", code="200"} 0+30x40
	requests_total{tenant_id="acme", job="shop", instance="a", code="500"} 0+3x40
	requests_total{tenant_id="acme", job="shop", instance="b", code="200"} 0+60x20 0+60x20
	requests_total{tenant_id="acme", job="cart", instance="a", code="200"} 5+1x40
	errors_total{tenant_id="acme", job="shop", instance="a"} 1+1x40
	memory_bytes{tenant_id="acme", job="shop", instance="a"} 100-2x40
	memory_bytes{tenant_id="acme", job="shop", instance="b"} 100+5x30 _x5 7 8 9 10 11
	odd_values{tenant_id="acme", kind="nan"} _x38 NaN NaN
	odd_values{tenant_id="acme", kind="inf"} _x38 Inf Inf
	odd_values{tenant_id="acme", kind="minus"} _x38 -Inf -Inf
	odd_values{tenant_id="acme", kind="tiny"} 1e-300x40
	limit{tenant_id="acme", job="shop"} 2+0x40
	info_like{tenant_id="acme", job="shop", instance="a", version="1.2"} 1x40
	target_info{tenant_id="acme", job="shop", instance="a", version="1"} 1+0x40
	latency_seconds_bucket{tenant_id="acme", job="shop", le="0.1"} 0+10x40
	latency_seconds_bucket{tenant_id="acme", job="shop", le="1"} 0+20x40
	latency_seconds_bucket{tenant_id="acme", job="shop", le="+Inf"} 0+25x40
	broken_bucket{tenant_id="acme", job="shop", le="one"} 0+10x40
	broken_bucket{tenant_id="acme", job="shop", le="1"} 0+10x40
	native_seconds{tenant_id="acme", job="shop"} {{schema:0 count:4 sum:5 buckets:[1 2 1]}}+{{schema:0 count:4 sum:5 buckets:[1 2 1]}}x40
	mixed{tenant_id="acme", kind="float"} 1+1x40
	mixed{tenant_id="acme", kind="histogram"} {{schema:0 count:4 sum:5 buckets:[1 2 1]}}x40
	{"lat.ency", tenant_id="acme", "host.name"="web-1"} 0+2x40
	quotes{tenant_id="acme", text="a \"b\" \\ c é 😀 <&>"} 1x40
	same{tenant_id="acme", side="left", n="1"} 1x40
	same{tenant_id="acme", side="left", n="2"} 1x40
	same{tenant_id="acme", side="right", n="1"} 1x40
	same{tenant_id="acme", side="right", n="2"} 1x40
	only_acme{tenant_id="acme", job="shop"} 1+1x40
	`

// strangersSeries are those that only others have; some are called like acme's,
// and some of their tenants almost like acme.
const strangersSeries = `
	stranger_secret_total{tenant_id="globex", job="stranger"} 7+13x40
	only_stranger{tenant_id="stranger", job="stranger", stranger="x"} 1+1x40
	stranger_histogram{tenant_id="globex"} {{schema:0 count:4 sum:5 buckets:[1 2 1]}}x40
	{"stranger.dot", "stranger.host"="stranger", tenant_id="globex"} 7+19x40
	{"stranger.nobodys", "stranger.host"="web-1"} 0+2x40
	requests_total{tenant_id="globex", job="stranger", stranger_label="stranger"} 7+17x40
	requests_total{tenant_id="stranger", job="stranger", instance="stranger", code="200"} 7000+13x40
	requests_total{tenant_id="stranger", job="shop", instance="a", code="200"} 7000+17x40
	requests_total{job="stranger", instance="a", code="200"} 7000+19x40
	requests_total{job="stranger-of-nobody"} 7+23x40
	requests_total{tenant_id="acme-stranger", job="shop", instance="a", code="200"} 7000+23x40
	requests_total{tenant_id="stranger|acme", job="stranger"} 7+29x40
	requests_total{tenant_id="acme2", job="stranger"} 7+31x40
	requests_total{tenant_id="ACME", job="stranger"} 7+37x40
	requests_total{tenant_id="xacme", job="stranger"} 7+41x40
	requests_total{tenant_id="", job="stranger-without"} 7+43x40
	memory_bytes{tenant_id="stranger", job="shop", instance="a", stranger="x"} 7000+29x40
	memory_bytes{job="stranger", instance="a"} 7000+29x40
	latency_seconds_bucket{tenant_id="stranger", job="shop", le="stranger"} 0+10x40
	native_seconds{tenant_id="stranger", job="stranger"} 1+1x40
	limit{tenant_id="stranger", job="shop"} 9x40
	same{tenant_id="stranger", side="left", n="1"} 1x40
	`

const acmeRules = `
groups:
- name: first
  interval: 1s
  labels: {tenant_id: acme}
  rules:
  - {record: 'job:requests:sum', expr: 'sum by (job) (requests_total{tenant_id="acme"})', labels: {tenant_id: acme}}
  - {alert: Burning, expr: 'vector(1)', labels: {tenant_id: acme, severity: page}, annotations: {summary: 'It {{ $value }}.'}}
- name: second
  interval: 2s
  limit: 5
  rules:
  - {alert: Pending, expr: 'vector(2)', for: 1h, keep_firing_for: 2h, labels: {tenant_id: acme}}
  - {alert: Quiet, expr: 'vector(1) > 2', labels: {tenant_id: acme}}
- name: third
  rules:
  - {record: 'three', expr: 'vector(3)', labels: {tenant_id: acme}}
`

const strangersRules = `
groups:
- name: first
  rules:
  - {record: 'stranger:sum', expr: 'sum(only_stranger)', labels: {tenant_id: stranger}}
  - {alert: Stranger, expr: 'vector(1)', labels: {tenant_id: stranger}, annotations: {summary: stranger}}
- name: stranger
  rules:
  - {alert: OfNobodystranger, expr: 'vector(1)'}
  - {record: 'stranger:recorded', expr: 'sum(stranger_secret_total)', labels: {tenant_id: globex}}
`

// targets are acme's, and everybody's. Both servers scrape acme's at the same
// addresses.
func targets(t testing.TB) (acme, all []upstream.Target) {
	t.Helper()
	of := func(tenant, job, text string) upstream.Target {
		labels := map[string]string{}
		if tenant != "" {
			labels["tenant_id"] = tenant
		}
		return upstream.Target{Job: job, Address: upstream.Expose(t, text), Labels: labels}
	}
	acme = []upstream.Target{
		of("acme", "shop", "# HELP scraped_total What acme says.\n# TYPE scraped_total counter\nscraped_total 1\n# TYPE plain gauge\nplain 2\n"),
		of("acme", "cart", "# HELP scraped_seconds How long.\n# TYPE scraped_seconds histogram\nscraped_seconds_bucket{le=\"+Inf\"} 1\nscraped_seconds_sum 1\nscraped_seconds_count 1\n"),
		{Job: "down", Address: "127.0.0.1:1", Labels: map[string]string{"tenant_id": "acme"}},
	}
	return acme, append(slices.Clip(acme),
		of("stranger", "shop", "# HELP scraped_total What a stranger says.\n# TYPE scraped_total gauge\nscraped_total 1\n"),
		of("globex", "stranger", "# HELP stranger_only stranger.\n# TYPE stranger_only gauge\nstranger_only 1\n"),
		of("", "stranger", "# HELP stranger_total A stranger.\n# TYPE stranger_total counter\nstranger_total 1\n"),
		upstream.Target{Job: "stranger-down", Address: "127.0.0.1:1", Labels: map[string]string{"tenant_id": "stranger"}},
	)
}
