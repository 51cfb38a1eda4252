// Package clients_test holds promfence against the programs that people use: what
// each gets through promfence is what it gets from an upstream that holds this
// tenant's data alone.
package clients_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/harness/contract"
	"github.com/promfence/promfence/test/harness/upstream"
)

// A world is a Prometheus with acme's data, and one with a stranger's besides,
// behind promfence.
type world struct {
	alone  string // URLs
	crowd  string
	fence  string
	idp    *authtest.Issuer
	token  string // acme's
	now    time.Time
	fenced *http.Client // shows the token
}

const (
	step     = 15 * time.Second
	stranger = "stranger" // in every name and value that is not acme's
)

const ownSeries = `
	requests_total{tenant_id="acme", job="shop", instance="a", code="200"} 0+30x40
	requests_total{tenant_id="acme", job="shop", instance="a", code="500"} 0+3x40
	requests_total{tenant_id="acme", job="cart", instance="b", code="200"} 0+60x40
	memory_bytes{tenant_id="acme", job="shop", instance="a"} 100-2x40
	latency_seconds_bucket{tenant_id="acme", job="shop", le="1"} 0+20x40
	latency_seconds_bucket{tenant_id="acme", job="shop", le="+Inf"} 0+25x40
	native_seconds{tenant_id="acme", job="shop"} {{schema:0 count:4 sum:5 buckets:[1 2 1]}}+{{schema:0 count:4 sum:5 buckets:[1 2 1]}}x40
	{"lat.ency", tenant_id="acme", "host.name"="web-1"} 0+2x40
	same{tenant_id="acme", side="left", n="1"} 1x40
	same{tenant_id="acme", side="left", n="2"} 1x40
	`

const strangeSeries = `
	requests_total{tenant_id="stranger", job="shop", instance="a", code="200"} 7000+17x40
	requests_total{tenant_id="stranger", job="stranger", instance="stranger", code="200"} 7000+13x40
	memory_bytes{job="stranger", instance="a"} 7000+29x40
	only_stranger{tenant_id="stranger", job="stranger", stranger="x"} 1+1x40
	`

const ownRules = `
- name: own
  rules:
  - {record: 'job:requests:sum', expr: 'sum by (job) (requests_total{tenant_id="acme"})', labels: {tenant_id: acme}}
  - {alert: Burning, expr: 'vector(1)', labels: {tenant_id: acme, severity: page}, annotations: {summary: 'It burns.'}}
`

const strangeRules = `
- name: stranger
  rules:
  - {alert: Stranger, expr: 'vector(1)', labels: {tenant_id: stranger}, annotations: {summary: stranger}}
  - {alert: OfNobodyStranger, expr: 'vector(1)'}
`

// No client can tell promfence from an upstream that holds acme's data alone.
func TestClientsCannotTell(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]func(*testing.T, *world){
		"client_golang":                          clientGolangCannotTell,
		"client_golang reads refusals":           clientGolangReadsRefusals,
		"client_golang falls back to GET":        clientGolangFallsBackToGET,
		"Grafana":                                grafanaCannotTell,
		"Grafana shows a sentence for a refusal": grafanaShowsASentenceForARefusal,
		"the editor's client":                    theEditorsClientCannotTell,
		"a Prometheus that federates":            aFederatingPrometheusCannotTell,
		"a Prometheus that reads":                aReadingPrometheusCannotTell,
		"promtool":                               promtoolCannotTell,
	} {
		t.Run(name, func(t *testing.T) { test(t, w) })
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	target := func(tenant, text string) upstream.Target {
		return upstream.Target{Job: tenant + "-job", Address: upstream.Expose(t, text), Labels: map[string]string{"tenant_id": tenant}}
	}
	own := []upstream.Target{target("acme", "# HELP scraped_total What acme says.\n# TYPE scraped_total counter\nscraped_total 1\n")}
	all := append(own, target(stranger, "# HELP stranger_total stranger\n# TYPE stranger_total counter\nstranger_total 1\n"))
	alone := upstream.Start(t, upstream.Options{Rules: map[string]string{"rules": "groups:" + ownRules}, Targets: own})
	crowd := upstream.Start(t, upstream.Options{Rules: map[string]string{"rules": "groups:" + ownRules + strangeRules}, Targets: all})
	w := &world{alone: alone.URL, crowd: crowd.URL, idp: authtest.NewIssuer(t), now: time.Now().Truncate(time.Minute)}
	for _, u := range []*upstream.Upstream{alone, crowd} {
		u.Load(t, w.now.Add(-40*step), step, ownSeries)
		u.Write(t, upstream.Traced("of-acme", w.now, "tenant_id", "acme"))
	}
	crowd.Load(t, w.now.Add(-40*step), step, strangeSeries)
	crowd.Write(t, upstream.Traced(stranger, w.now, "tenant_id", stranger))
	w.fence = contract.Promfence(t, w.idp, w.crowd)
	w.token = w.idp.Token(t, "acme", nil)
	w.fenced = &http.Client{Transport: bearer{w.token}}
	for _, u := range []string{w.alone, w.crowd} {
		settle(t, u)
	}
	return w
}

// settle waits for the first scrapes and evaluations.
func settle(t *testing.T, base string) {
	t.Helper()
	err := upstream.Poll(t.Context(), 20*time.Second, func() error {
		for _, path := range []string{"/api/v1/rules", "/api/v1/targets"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
			if err != nil {
				return err
			}
			_, body := do(t, http.DefaultClient, req)
			if strings.Contains(body, `"health":"unknown"`) || !strings.Contains(body, `"health":`) {
				return fmt.Errorf("%s: %s", path, body)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A bearer shows a token with every request.
type bearer struct{ token string }

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return http.DefaultTransport.RoundTrip(r)
}

func do(t *testing.T, c *http.Client, req *http.Request) (status int, body string) {
	t.Helper()
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
