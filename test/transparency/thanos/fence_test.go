package thanos_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/harness/fence"
	"github.com/promfence/promfence/test/harness/thanos"
	"github.com/promfence/promfence/test/harness/upstream"
)

// stranger is in every name, label and text that is not acme's.
const stranger = "stranger"

// step lies between two samples, of which there are many.
const (
	step    = 15 * time.Second
	samples = 40
)

var (
	now   = time.Now().Truncate(time.Minute).Add(-time.Minute)
	begin = now.Add(-samples * step)
)

const ownSeries = `
	requests_total{job="shop", instance="a", code="200"} 0+30x40
	requests_total{job="shop", instance="a", code="500"} 0+3x40
	requests_total{job="shop", instance="b", code="200"} 0+60x20 0+60x20
	memory_bytes{job="shop", instance="a"} 100-2x40
	memory_bytes{job="shop", instance="b"} 100+5x40
	latency_seconds_bucket{job="shop", le="0.1"} 0+10x40
	latency_seconds_bucket{job="shop", le="1"} 0+20x40
	latency_seconds_bucket{job="shop", le="+Inf"} 0+25x40
	limit{job="shop"} 2x40
	same{side="left", n="1"} 1x40
	same{side="left", n="2"} 1x40
	`

const strangeSeries = `
	requests_total{job="shop", instance="a", code="200"} 7000+17x40
	requests_total{job="stranger", instance="stranger", code="200", stranger="x"} 7000+13x40
	memory_bytes{job="stranger", instance="a"} 7000+29x40
	limit{job="shop"} 9x40
	same{side="left", n="1"} 1x40
	only_stranger{job="stranger"} 1+1x40
	`

const ownRules = `
- name: own
  rules:
  - {record: 'job:requests:sum', expr: 'sum by (job) (requests_total{tenant_id="acme"})', labels: {tenant_id: acme}}
  - {alert: Burning, expr: 'vector(1)', labels: {tenant_id: acme, severity: page}, annotations: {summary: 'It burns.'}}
  - {alert: Pending, expr: 'vector(2)', for: 1h, labels: {tenant_id: acme}}
`

const strangeRules = `
- name: stranger
  rules:
  - {record: 'stranger:sum', expr: 'sum(only_stranger)', labels: {tenant_id: stranger}}
  - {alert: Stranger, expr: 'vector(1)', labels: {tenant_id: stranger}, annotations: {summary: stranger}}
  - {alert: OfNobodyStranger, expr: 'vector(1)'}
`

// twins are two of them: alone holds acme's data, crowd besides it a stranger's.
func twins(t *testing.T) (alone, crowd *thanos.Thanos) {
	t.Helper()
	own := upstream.Target{Job: "shop", Address: upstream.Expose(t, "# HELP scraped_total What acme says.\n# TYPE scraped_total counter\nscraped_total 1\n"), Labels: map[string]string{"tenant_id": "acme"}}
	strange := upstream.Target{Job: stranger, Address: upstream.Expose(t, "# HELP stranger_total stranger\n# TYPE stranger_total counter\nstranger_total 1\n"), Labels: map[string]string{"tenant_id": stranger}}
	alone = thanos.Start(t, upstream.Options{Rules: map[string]string{"rules": "groups:" + ownRules}, Targets: []upstream.Target{own}})
	crowd = thanos.Start(t, upstream.Options{Rules: map[string]string{"rules": "groups:" + ownRules + strangeRules}, Targets: []upstream.Target{own, strange}})
	for _, th := range []*thanos.Thanos{alone, crowd} {
		th.Load(t, "acme", begin, step, ownSeries)
		th.Receive(t, "acme", upstream.Traced("of-acme", now))
	}
	crowd.Load(t, stranger, begin, step, strangeSeries)
	crowd.Receive(t, stranger, upstream.Traced(stranger, now))
	return alone, crowd
}

// settle waits until a query node sees both stores with what was written to them,
// the first scrape and the first evaluation.
func settle(t *testing.T, base string) {
	t.Helper()
	err := upstream.Poll(t.Context(), 30*time.Second, func() error {
		for path, wants := range map[string][]string{
			"/api/v1/rules":    {`"health":"ok"`},
			"/api/v1/targets":  {`"health":"up"`},
			"/api/v1/metadata": {`scraped_total`},
			"/api/v1/label/replica/values?match[]=requests_total":                                              {`"prometheus"`, `"receive"`},
			"/api/v1/query?query=count+by(replica)(requests_total)&dedup=false&time=" + fmt.Sprint(now.Unix()): {`"prometheus"`, `"receive"`},
			"/api/v1/query_exemplars?query=traced_total":                                                       {`of-acme`},
		} {
			text, err := get(t, base+path)
			if err != nil {
				return err
			}
			for _, want := range wants {
				if !strings.Contains(text, want) {
					return fmt.Errorf("%s lacks %s: %s", path, want, text)
				}
			}
			if path == "/api/v1/rules" && strings.Contains(text, `"health":"unknown"`) {
				return fmt.Errorf("a rule has not been evaluated: %s", text)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, address string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

// fenced runs promfence in front of a query node, which it tells the tenant, and
// returns its URL.
func fenced(t *testing.T, idp *authtest.Issuer, base string) string {
	t.Helper()
	return fence.Start(t, append(fence.Trust(idp), "UPSTREAM_URL="+base, "UPSTREAM_TENANT_HEADER=THANOS-TENANT")...).URL
}
