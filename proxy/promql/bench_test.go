package promql_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/promql"
)

// BenchmarkNewQueries narrows queries that nobody has sent before: as dashboards have
// them, and the longest chain that the default limits allow.
func BenchmarkNewQueries(b *testing.B) {
	tenants, err := policy.ForTenants("tenant_id", "acme")
	if err != nil {
		b.Fatal(err)
	}
	e, err := new(promql.Enforcers).For(tenants)
	if err != nil {
		b.Fatal(err)
	}
	for name, query := range map[string]string{
		"rate":     `sum by (code) (rate(http_requests_total%d{job="api"}[5m]))`,
		"ratio":    `sum(rate(http_requests_total%d{job="api",code=~"5.."}[5m])) / sum(rate(http_requests_total{job="api"}[5m]))`,
		"quantile": `histogram_quantile(0.99, sum by (le, handler) (rate(http_request_duration_seconds_bucket%d{job="api",handler!=""}[5m])))`,
		"join":     `sum by (pod) (kube_pod_info%d{namespace="a"} * on (pod) group_left (node) kube_pod_labels{app=~"web|api"}) > 0.5`,
		"chain":    "x%d" + strings.Repeat(" + x", 999),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				if _, err := e.Expression(fmt.Sprintf(query, n), promql.Limits{QueryBytes: 64 << 10, QueryDepth: 100, QueryTerms: 2000}.Budget()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
