package harness

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/test/harness/upstream"
)

// Marker is in every name, label, value and text that is not acme's, so that
// one look at an answer's bytes tells whether any of it got out.
const Marker = "GLOBEX"

// A World is one moment of two Prometheus servers: Crowd holds everybody's series
// and Alone only acme's. What acme sees of Crowd must be what Alone answers.
type World struct {
	Crowd, Alone *upstream.Upstream
	Now          time.Time // the last sample
}

// sharedSeries are those that everybody has; %s is a tenant and %d where the
// values begin, so that a sum tells whose they are.
const sharedSeries = `
	requests_total{job="shop", instance="a", code="200"%s} %d+30x20
	requests_total{job="shop", instance="a", code="500"%s} %d+3x20
	requests_total{job="shop", instance="b", code="200"%s} %d+60x20
	errors_total{job="shop", instance="a"%s} %d+1x20
	memory_bytes{job="shop", instance="a"%s} %d+5x20
	latency_seconds_bucket{job="shop", le="0.1"%s} %d+10x20
	latency_seconds_bucket{job="shop", le="1"%s} %d+20x20
	latency_seconds_bucket{job="shop", le="+Inf"%s} %d+25x20
	limit{job="shop"%s} %d+0x20
	{"lat.ency", "host.name"="web-1"%s} %d+2x20
	target_info{job="shop", instance="a", version="1"%s} %d+0x20
	`

// strangersSeries are those that only others have; none is called like acme's.
const strangersSeries = `
	GLOBEX_secret_total{tenant_id="globex", job="GLOBEX"} 7+13x20
	requests_total{tenant_id="globex", job="GLOBEX", GLOBEX_label="GLOBEX"} 7+17x20
	{"GLOBEX.dot", "GLOBEX.host"="GLOBEX", tenant_id="globex"} 7+19x20
	requests_total{job="GLOBEX-of-nobody"} 7+23x20
	requests_total{tenant_id="GLOBEX|acme", job="GLOBEX"} 7+29x20
	requests_total{tenant_id="acme2", job="GLOBEX"} 7+31x20
	requests_total{tenant_id="ACME", job="GLOBEX"} 7+37x20
	requests_total{tenant_id="xacme", job="GLOBEX"} 7+41x20
	requests_total{tenant_id="", job="GLOBEX"} 7+43x20
	GLOBEX_histogram{tenant_id="globex"} {{schema:0 count:4 sum:5 buckets:[1 2 1]}}x20
	`

// ownSeries are those that only acme has.
const ownSeries = `
	native_seconds{tenant_id="acme", job="shop"} {{schema:0 count:4 sum:5 buckets:[1 2 1]}}+{{schema:0 count:4 sum:5 buckets:[1 2 1]}}x20
	only_acme{tenant_id="acme", job="shop"} 1+1x20
	`

// of fills the shared series in for a tenant; "" is nobody.
func of(tenant string, from int) string {
	label := ""
	if tenant != "" {
		label = fmt.Sprintf(", tenant_id=%q", tenant)
	}
	lines := strings.ReplaceAll(sharedSeries, "%s", label)
	return strings.ReplaceAll(lines, "%d", fmt.Sprint(from))
}

// NewWorld starts both servers and loads them.
func NewWorld(t testing.TB) *World {
	t.Helper()
	w := &World{
		Crowd: upstream.Start(t, upstream.Options{Rules: crowdRules, Targets: crowdTargets}),
		Alone: upstream.Start(t, upstream.Options{Rules: aloneRules, Targets: aloneTargets}),
		Now:   time.Now().Truncate(time.Minute),
	}
	const step = 30 * time.Second
	start := w.Now.Add(-20 * step)
	for _, u := range []*upstream.Upstream{w.Crowd, w.Alone} {
		u.Load(t, start, step, of("acme", 1)+ownSeries)
		u.Write(t, upstream.Traced("trace-of-acme", w.Now, "tenant_id", "acme"))
	}
	w.Crowd.Load(t, start, step, of("globex", 5000)+of("beta", 900)+of("", 70000)+strangersSeries)
	w.Crowd.Write(t, upstream.Traced("trace-of-GLOBEX", w.Now, "tenant_id", "globex"))
	return w
}

// Settle waits until everybody's rules were evaluated and targets scraped.
func (w *World) Settle(t testing.TB) {
	t.Helper()
	for u, signs := range map[*upstream.Upstream][]string{
		w.Crowd: {`scraped_total{tenant_id="acme"}`, "GLOBEX_only", "node_GLOBEX", `ALERTS{alertname="GLOBEXBurns"}`, "acme:recorded", `up{job="GLOBEX-down"}`},
		w.Alone: {"scraped_total", `ALERTS{alertname="AcmeBurns"}`, "acme:recorded"},
	} {
		for _, sign := range signs {
			err := upstream.Poll(t.Context(), 20*time.Second, func() error {
				_, body := Fetch(t, u.URL+"/api/v1/query", "", Form("query", sign))
				if len(Result(t, body)) == 0 {
					return fmt.Errorf("still no %s", sign)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

var (
	acmeRules = `
- name: acme
  rules:
  - {alert: AcmeBurns, expr: 'vector(1)', labels: {tenant_id: acme}}
  - {record: 'acme:recorded', expr: 'vector(1)', labels: {tenant_id: acme}}
`
	strangersRules = `
- name: mixed
  rules:
  - {alert: GLOBEXBurns, expr: 'vector(1)', labels: {tenant_id: globex}, annotations: {text: GLOBEX}}
  - {alert: OfNobodyGLOBEX, expr: 'vector(1)'}
- name: GLOBEX
  rules:
  - {record: 'GLOBEX:recorded', expr: 'sum(GLOBEX_secret_total)', labels: {tenant_id: globex}}
`
	aloneRules = map[string]string{"rules": "groups:" + acmeRules}
	crowdRules = map[string]string{"rules": "groups:" + acmeRules + strangersRules}

	acmeTarget = upstream.Target{
		Job: "shop", Labels: map[string]string{"tenant_id": "acme"},
		Metrics: "# HELP scraped_total What acme says.\n# TYPE scraped_total counter\nscraped_total 1\n",
	}
	aloneTargets = []upstream.Target{acmeTarget}
	crowdTargets = []upstream.Target{
		acmeTarget,
		{
			Job: "GLOBEX", Labels: map[string]string{"tenant_id": "globex"},
			Metrics: "# HELP scraped_total What GLOBEX says.\n# TYPE scraped_total counter\nscraped_total 1\n" +
				"# HELP GLOBEX_only GLOBEX.\n# TYPE GLOBEX_only gauge\nGLOBEX_only 1\n",
		},
		{Job: "GLOBEX-of-nobody", Metrics: "# HELP node_GLOBEX GLOBEX.\n# TYPE node_GLOBEX gauge\nnode_GLOBEX 1\n"},
		{Job: "GLOBEX-down", Address: "127.0.0.1:1", Labels: map[string]string{"tenant_id": "globex"}},
	}
)
