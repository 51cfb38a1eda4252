package attack_test

import (
	"bytes"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"

	"github.com/promfence/promfence/test/harness/upstream"
)

// Everything that is not acme's carries a marker, each thing its own: what an
// attack names itself may come back in an error, and nothing else.
var marker = regexp.MustCompile(`zqx\d\d|907331`)

// began is the time of the loaded series; scraping begins half an hour later.
var (
	began = time.Now().Truncate(time.Minute).Add(-30 * time.Minute)
	at    = strconv.FormatInt(began.Add(10*time.Minute).Unix(), 10)
	until = strconv.FormatInt(began.Add(20*time.Minute).Unix(), 10)
)

const (
	acmeSeries = `
		shop_requests_total{tenant_id="acme", job="shop", instance="shop:1", path="/cart"} 0+10x20
		shop_requests_total{tenant_id="acme", job="shop", instance="shop:1", path="/pay"} 0+20x20
		shop_temperature{tenant_id="acme", job="shop", instance="shop:1"} 20+1x20
		{"shop.latency", tenant_id="acme", "http.method"="GET", job="shop", instance="shop:1"} {{schema:0 count:4 sum:5 buckets:[1 2 1]}}x20
		target_info{tenant_id="acme", job="shop", instance="shop:1", version="1.2"} 1x20
		shop_flag{tenant_id="acme", job="shop", instance="shop:1", state="open \"now\""} 1x20
	`
	// Others have what acme has, under another tenant, and things of their own.
	otherSeries = `
		shop_requests_total{tenant_id="zqx01", job="shop", instance="shop:1", path="/cart"} 907331000+7x20
		shop_requests_total{tenant_id="zqx01", job="zqx02", instance="zqx03:1", zqx04="zqx05"} 907331001+7x20
		shop_temperature{tenant_id="zqx01", job="shop", instance="shop:1", zqx04="zqx05"} 907331002x20
		{"shop.latency", tenant_id="zqx01", "zqx06.method"="zqx07", job="zqx02"} {{schema:0 count:907331 sum:907331 buckets:[1 907331 1]}}x20
		target_info{tenant_id="zqx01", job="shop", instance="shop:1", zqx08="zqx09"} 1x20
		zqx10_requests_total{tenant_id="zqx01", job="zqx02"} 907331003+7x20
		{"zqx11.utf8 name", tenant_id="zqx01", "zqx12 label"="zqx13"} 907331004x20
		zqx14_lookalike{tenant_id="ACME", zqx15="zqx16"} 907331005x20
		shop_requests_total{tenant_id="acme2", zqx15="zqx16"} 907331006x20
		shop_requests_total{tenant_id="acme|zqx17", zqx15="zqx16"} 907331007x20
		shop_requests_total{tenant_id="acm", zqx15="zqx16"} 907331008x20
		shop_requests_total{tenant_id=" acme", zqx15="zqx16"} 907331009x20
		shop_requests_total{zqx15="zqx16"} 907331010x20
		zqx18_nobodys{zqx15="zqx16"} 907331011x20
	`
	acmeExposition = `
# HELP shop_up_since When the shop was started.
# TYPE shop_up_since gauge
shop_up_since 12
# HELP shop_orders_total Orders that were taken.
# TYPE shop_orders_total counter
shop_orders_total 5
`
	otherExposition = `
# HELP shop_up_since zqx20 has words about it.
# TYPE shop_up_since gauge
shop_up_since{zqx21="zqx22"} 907331020
# HELP zqx23_secrets_total zqx24 words.
# TYPE zqx23_secrets_total counter
zqx23_secrets_total 907331021
`
	acmeRules = `
  - record: shop:requests:sum
    expr: sum(shop_up_since{tenant_id="acme"})
    labels: {tenant_id: acme}
  - alert: ShopOpen
    expr: vector(1)
    labels: {tenant_id: acme, severity: info}
    annotations: {summary: the shop is open}
`
	otherRules = `
  - record: zqx30:requests:sum
    expr: sum(zqx23_secrets_total)
    labels: {tenant_id: zqx01}
  - alert: zqx31
    expr: vector(907331)
    labels: {tenant_id: zqx01, zqx32: zqx33}
    annotations: {zqx34: zqx35}
`
	nobodysRules = `
  - alert: zqx36
    expr: vector(907331)
    labels: {zqx37: zqx38}
    annotations: {zqx39: "zqx40 {{ $value }}"}
  - alert: zqx41
    expr: 1/0 + on() group_left() zqx42_broken{a="zqx43"
`
)

// A world is acme's data twice: among everybody's behind the fence, and alone.
type world struct {
	*fence
	crowd, alone *upstream.Upstream
	asked        *upstream.Recorder // between the fence and the crowd
	acme, other  string             // tokens
	tenants      []string           // those of acme's token

	asker   int     // how many tokens were made to measure costs
	dearest float64 // seconds of CPU of one request
}

func newWorld(t *testing.T, settings ...string) *world {
	t.Helper()
	own := upstream.Target{Job: "shop", Metrics: acmeExposition, Labels: map[string]string{"tenant_id": "acme", "instance": "shop:1"}}
	w := &world{
		alone: upstream.Start(t, upstream.Options{
			Rules: map[string]string{"shop": "groups:\n- name: shop\n  rules:" + acmeRules}, Targets: []upstream.Target{own},
		}),
		crowd: upstream.Start(t, upstream.Options{
			Rules: map[string]string{
				"shop":  "groups:\n- name: shop\n  rules:" + acmeRules + otherRules,
				"zqx44": "groups:\n- name: zqx45\n  rules:" + otherRules + "- name: zqx46\n  rules:" + nobodysRules[:strings.Index(nobodysRules, "  - alert: zqx41")],
			},
			Targets: []upstream.Target{
				own,
				{Job: "zqx50", Metrics: otherExposition, Labels: map[string]string{"tenant_id": "zqx01", "zqx51": "zqx52"}},
				{Job: "zqx53", Metrics: "zqx54_nobodys 907331\n", Labels: map[string]string{"zqx55": "zqx56"}},
				{Job: "zqx57", Address: "zqx58.invalid:80", Labels: map[string]string{"tenant_id": "zqx01"}},
				{Job: "shop", Address: "zqx59.invalid:80", Labels: map[string]string{"tenant_id": "zqx01", "instance": "shop:1"}},
			},
		}),
	}
	w.alone.Load(t, began, time.Minute, acmeSeries)
	w.crowd.Load(t, began, time.Minute, acmeSeries)
	w.crowd.Load(t, began, time.Minute, otherSeries)
	exemplar := func(metric, tenant, trace string) prompb.TimeSeries {
		return prompb.TimeSeries{
			Labels:    []prompb.Label{{Name: "__name__", Value: metric}, {Name: "tenant_id", Value: tenant}},
			Samples:   []prompb.Sample{{Timestamp: began.UnixMilli(), Value: 1}},
			Exemplars: []prompb.Exemplar{{Labels: []prompb.Label{{Name: "trace_id", Value: trace}}, Value: 1, Timestamp: began.UnixMilli()}},
		}
	}
	w.alone.Write(t, exemplar("shop_traced_total", "acme", "own-trace"))
	w.crowd.Write(t, exemplar("shop_traced_total", "acme", "own-trace"), exemplar("shop_traced_total", "zqx01", "zqx60"), exemplar("zqx61_total", "zqx01", "zqx62"))
	w.tenants = []string{"acme"}
	w.asked = upstream.Record(t, w.crowd.URL)
	w.fence = startFence(t, w.asked.URL, settings...)
	w.acme, w.other = w.Issuer.Token(t, "acme", nil), w.Issuer.Token(t, "zqx01", nil)
	w.settled(t)
	return w
}

// settled waits until both servers have scraped and evaluated everything.
func (w *world) settled(t *testing.T) {
	t.Helper()
	for _, wait := range []struct{ url, path, want string }{
		{w.crowd.URL, "/api/v1/rules", `"state":"firing","name":"ShopOpen"`},
		{w.crowd.URL, "/api/v1/rules", `"name":"zqx36"`},
		{w.crowd.URL, "/api/v1/metadata", "zqx24 words"},
		{w.crowd.URL, "/api/v1/metadata", "When the shop"},
		{w.crowd.URL, "/api/v1/targets", "zqx59"},
		{w.crowd.URL, "/api/v1/query?query=shop:requests:sum", "shop:requests:sum"},
		{w.alone.URL, "/api/v1/query?query=shop:requests:sum", "shop:requests:sum"},
		{w.alone.URL, "/api/v1/metadata", "When the shop"},
	} {
		addr := strings.TrimPrefix(wait.url, "http://")
		err := upstream.Poll(t.Context(), 20*time.Second, func() error {
			if a := send(t, addr, "", get(wait.path)); !bytes.Contains(a.body, []byte(wait.want)) {
				return missing(wait.path + " lacks " + wait.want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

type missing string

func (m missing) Error() string { return string(m) }

// leaks returns what an answer tells of others, or of the machinery.
func (w *world) leaks(r request, a *answer) []string {
	sent := string(r)
	for range 2 {
		if s, err := url.QueryUnescape(sent); err == nil {
			sent += s
		}
	}
	sent += string(unsnapped([]byte(sent[strings.Index(sent, "\r\n\r\n")+4:])))
	var found []string
	for _, m := range marker.FindAll(a.plain, -1) {
		if !strings.Contains(sent, string(m)) && !slices.Contains(found, string(m)) {
			found = append(found, string(m))
		}
	}
	for _, u := range []string{w.crowd.URL, w.asked.URL} {
		if bytes.Contains(a.plain, []byte(strings.TrimPrefix(u, "http://"))) {
			found = append(found, "the upstream's address")
		}
	}
	return found
}

// unsnapped is the body of remote read in its plain form, or nothing.
func unsnapped(body []byte) []byte {
	if n, err := snappy.DecodedLen(body); err != nil || n > 1<<24 {
		return nil
	}
	plain, err := snappy.Decode(nil, body)
	if err != nil {
		return nil
	}
	return plain
}
