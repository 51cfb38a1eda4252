package docs_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/harness/contract"
	"github.com/promfence/promfence/test/harness/upstream"
)

const rules = `groups:
- name: api
  rules:
  - record: job:requests:rate
    expr: sum by (job) (rate(http_requests_total{tenant_id="acme"}[5m]))
    labels: {tenant_id: acme}
  - alert: Always
    expr: vector(1)
    keep_firing_for: 1m
    labels: {tenant_id: acme, severity: page}
    annotations: {summary: always}
  - alert: Broken
    expr: vector(1) * on () group_left () (vector(1) or label_replace(vector(1), "a", "b", "", ""))
    labels: {tenant_id: acme}
`

const metrics = `# HELP shop_orders_total Orders.
# TYPE shop_orders_total counter
shop_orders_total 3
`

// asker asks a promfence in front of a real Prometheus that holds something of
// every kind; what it gets is checked against the document on the way.
type asker struct {
	address, token string
}

func newAsker(t *testing.T) *asker {
	t.Helper()
	prometheus := upstream.Start(t, upstream.Options{
		Rules: map[string]string{"api": rules},
		Targets: []upstream.Target{
			{Job: "shop", Metrics: metrics, Labels: map[string]string{"tenant_id": "acme"}},
			{Job: "down", Address: "127.0.0.1:1", Labels: map[string]string{"tenant_id": "acme"}},
			{Job: "other", Metrics: metrics, Labels: map[string]string{"tenant_id": "beta"}},
		},
	})
	now := time.Now().Truncate(time.Second)
	prometheus.Load(t, now.Add(-10*time.Minute), 15*time.Second, `
		http_requests_total{job="api", tenant_id="acme"} 7+3x40
		http_requests_total{job="web", tenant_id="acme"} 7+3x40
		{"lat.ency", tenant_id="acme"} {{schema:0 count:4 sum:5 z_bucket:1 z_bucket_w:0.1 buckets:[1 2] n_buckets:[1]}}x40
		temperature{tenant_id="acme"} 1+1x40
		mixed{tenant_id="acme"} 1 2 {{schema:0 count:1 sum:1 buckets:[1]}}x38
	`)
	prometheus.Write(t, prompb.TimeSeries{
		Labels:    []prompb.Label{{Name: "__name__", Value: "http_requests_total"}, {Name: "job", Value: "api"}, {Name: "tenant_id", Value: "acme"}},
		Samples:   []prompb.Sample{{Timestamp: now.UnixMilli(), Value: 127}},
		Exemplars: []prompb.Exemplar{{Labels: []prompb.Label{{Name: "trace_id", Value: "abc"}}, Value: 1, Timestamp: now.UnixMilli()}},
	})
	idp := authtest.NewIssuer(t)
	a := &asker{contract.Promfence(t, idp, prometheus.URL), idp.Token(t, "acme", nil)}
	err := upstream.Poll(t.Context(), 20*time.Second, func() error { return a.complete(t) })
	if err != nil {
		t.Fatalf("the upstream does not hold everything: %v", err)
	}
	return a
}

// complete waits for what Prometheus does by itself: rules and scrapes. It asks
// for no metadata, of which promfence remembers for a while which metrics count.
func (a *asker) complete(t *testing.T) error {
	for path, wanted := range map[string]string{
		"/api/v1/rules":                         `"health":"err"`,
		"/api/v1/alerts":                        `"alertname":"Always"`,
		"/api/v1/targets?scrapePool=down":       `"health":"down"`,
		"/api/v1/query?query=shop_orders_total": `"value"`,
	} {
		if _, text := a.do(t, "GET", path, ""); !strings.Contains(text, wanted) {
			return fmt.Errorf("%s lacks %s", path, wanted)
		}
	}
	return nil
}

// do sends a request and returns the answer's status and body.
func (a *asker) do(t *testing.T, method, target, form string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, a.address+target, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	switch {
	case strings.HasSuffix(target, "/read"):
		req.Header.Set("Content-Type", "application/x-protobuf")
		req.Header.Set("Content-Encoding", "snappy")
		req.Header.Set("X-Prometheus-Remote-Read-Version", "0.1.0")
	case form != "":
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// exampleParameters are the document's own examples of an operation's
// parameters, but for those that only fit after an answer.
func exampleParameters(op *openapi3.Operation) url.Values {
	values := url.Values{}
	add := func(name string, example any) {
		if list, ok := example.([]any); ok {
			for _, one := range list {
				values.Add(name, fmt.Sprint(one))
			}
		} else {
			values.Set(name, fmt.Sprint(example))
		}
	}
	for _, p := range op.Parameters {
		if p.Value.In == "query" {
			add(p.Value.Name, p.Value.Example)
		}
	}
	if op.RequestBody != nil {
		if form := op.RequestBody.Value.Content["application/x-www-form-urlencoded"]; form != nil {
			for name, property := range form.Schema.Value.Properties {
				add(name, property.Value.Examples[0])
			}
		}
	}
	return values
}

// readRequest asks for one series by remote read.
func readRequest(t *testing.T) string {
	t.Helper()
	text, err := (&prompb.ReadRequest{Queries: []*prompb.Query{{
		EndTimestampMs: time.Now().UnixMilli(),
		Matchers:       []*prompb.LabelMatcher{{Name: "__name__", Value: "http_requests_total"}},
	}}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return string(snappy.Encode(nil, text))
}
