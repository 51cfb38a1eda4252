package transparency_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/upstream"
)

// twinWorld is one moment of two servers: alone holds acme's data, crowd the
// same data to the last byte and that of strangers, who have it in their names.
type twinWorld struct {
	alone, crowd *upstream.Upstream
	now          time.Time // the last sample
}

const twinSeries = `
	requests_total{tenant_id="acme", job="shop", instance="a", code="200"} 0+30x40
	requests_total{tenant_id="acme", job="shop", instance="a", code="500"} 0+3x40
	requests_total{tenant_id="acme", job="shop", instance="b", code="200"} 0+60x20 0+60x20
	requests_total{tenant_id="acme", job="cart", instance="a", code="200"} 5+1x40
	memory_bytes{tenant_id="acme", job="shop", instance="a"} 100-2x40
	memory_bytes{tenant_id="acme", job="shop", instance="b"} 100+5x30 _x5 7 8 9 10 11
	odd_values{tenant_id="acme", kind="nan"} _x38 NaN NaN
	odd_values{tenant_id="acme", kind="inf"} _x38 Inf Inf
	odd_values{tenant_id="acme", kind="minus"} _x38 -Inf -Inf
	odd_values{tenant_id="acme", kind="tiny"} 1e-300x40
	limit{tenant_id="acme", job="shop"} 2x40
	info_like{tenant_id="acme", job="shop", instance="a", version="1.2"} 1x40
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
	`

const strangeSeries = `
	requests_total{tenant_id="stranger", job="stranger", instance="a", code="200"} 7000+13x40
	requests_total{tenant_id="stranger", job="shop", instance="a", code="200"} 7000+17x40
	requests_total{job="stranger", instance="a", code="200"} 7000+19x40
	requests_total{tenant_id="acme-stranger", job="shop", instance="a", code="200"} 7000+23x40
	memory_bytes{tenant_id="stranger", job="shop", instance="a", stranger="x"} 7000+29x40
	latency_seconds_bucket{tenant_id="stranger", job="shop", le="stranger"} 0+10x40
	native_seconds{tenant_id="stranger", job="stranger"} 1+1x40
	limit{tenant_id="stranger", job="shop"} 9x40
	same{tenant_id="stranger", side="left", n="1"} 1x40
	{"stranger.dot", "stranger.host"="web-1"} 0+2x40
	only_stranger{tenant_id="stranger"} 1+1x40
	`

const twinRules = `
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

const strangeRules = `
groups:
- name: first
  rules:
  - {record: 'stranger:sum', expr: 'sum(only_stranger)', labels: {tenant_id: stranger}}
  - {alert: Stranger, expr: 'vector(1)', labels: {tenant_id: stranger}, annotations: {summary: stranger}}
- name: stranger
  rules:
  - {alert: OfNobodyStranger, expr: 'vector(1)'}
`

func newTwinWorld(t *testing.T) *twinWorld {
	t.Helper()
	acme := func(job, text string) upstream.Target {
		return upstream.Target{Job: job, Address: upstream.Expose(t, text), Labels: map[string]string{"tenant_id": "acme"}}
	}
	// The same addresses for both servers.
	own := []upstream.Target{
		acme("shop", "# HELP scraped_total What acme says.\n# TYPE scraped_total counter\nscraped_total 1\n# TYPE plain gauge\nplain 2\n"),
		acme("cart", "# HELP scraped_seconds How long.\n# TYPE scraped_seconds histogram\nscraped_seconds_bucket{le=\"+Inf\"} 1\nscraped_seconds_sum 1\nscraped_seconds_count 1\n"),
		{Job: "down", Address: "127.0.0.1:1", Labels: map[string]string{"tenant_id": "acme"}},
	}
	strange := []upstream.Target{
		{Job: "shop", Metrics: "# HELP scraped_total What a stranger says.\n# TYPE scraped_total gauge\nscraped_total 1\n", Labels: map[string]string{"tenant_id": "stranger"}},
		{Job: "stranger", Metrics: "# HELP stranger_total A stranger.\n# TYPE stranger_total counter\nstranger_total 1\n"},
	}
	w := &twinWorld{
		alone: upstream.Start(t, upstream.Options{Rules: map[string]string{"acme": twinRules}, Targets: own, Args: bounded}),
		crowd: upstream.Start(t, upstream.Options{Rules: map[string]string{"acme": twinRules, "strange": strangeRules}, Targets: append(own, strange...), Args: bounded}),
		now:   time.Now().Truncate(time.Minute).Add(-time.Minute),
	}
	const step = 15 * time.Second
	start := w.now.Add(-40 * step)
	for _, u := range []*upstream.Upstream{w.alone, w.crowd} {
		u.Load(t, start, step, twinSeries)
		u.Write(t, upstream.Traced("trace-1", w.now.Add(-time.Minute), "tenant_id", "acme"), upstream.Traced("trace-2", w.now, "tenant_id", "acme"))
	}
	w.crowd.Load(t, start, step, strangeSeries)
	w.crowd.Write(t, upstream.Traced("stranger", w.now, "tenant_id", "stranger"))
	w.settle(t, w.alone, "What acme says.")
	w.settle(t, w.crowd, "What acme says.", "What a stranger says.")
	return w
}

// bounded makes some queries fail in the engine.
var bounded = []string{"--query.max-samples=3000"}

// settle waits for the first scrapes and evaluations. What is not loaded yet is
// not listed as unfinished either, so it waits for what must be there as well.
func (w *twinWorld) settle(t *testing.T, u *upstream.Upstream, helps ...string) {
	t.Helper()
	wanted := map[string][]string{
		"/api/v1/rules":   {`"name":"third"`},
		"/api/v1/targets": {`"job":"down"`, `"job":"cart"`, `"job":"shop"`},
		"/api/v1/series?match[]=%7Balertname=~%22Pending|Burning%22%7D": {`"alertstate":"pending"`, `"alertstate":"firing"`, "ALERTS_FOR_STATE"},
		"/api/v1/metadata?metric=scraped_total":                         helps,
		"/api/v1/metadata?metric=scraped_seconds":                       {"How long."},
	}
	err := upstream.Poll(t.Context(), 30*time.Second, func() error {
		for path, texts := range wanted {
			_, body := harness.Fetch(t, u.URL+path, "", nil)
			if strings.Contains(body, `"health":"unknown"`) {
				return io.ErrUnexpectedEOF
			}
			for _, text := range texts {
				if !strings.Contains(body, text) {
					return io.ErrUnexpectedEOF
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal("rules or targets stay without a first result")
	}
}
