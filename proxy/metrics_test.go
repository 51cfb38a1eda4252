package proxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/promfence/promfence/proxy"
)

func TestTenantMetrics(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.Limits.MaxPoints = 10 })
	f.Answer(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/labels") {
			w.WriteHeader(http.StatusInternalServerError)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(success))
	})
	n := 0
	for _, tt := range []struct {
		tenant any
		path   string
	}{
		{"acme", "/api/v1/query?query=up"},
		{"acme", "/api/v1/query?query=up("},
		{"acme", "/nowhere"},
		{"beta", "/api/v1/query_range?query=up&start=0&end=11&step=1"},
		{"beta", "/api/v1/labels"},
		{[]string{"acme", "beta"}, "/api/v1/query?query=up"},
		{[]string{"gamma"}, "/api/v1/query?query=up"},
		{"", "/api/v1/query?query=up"},
	} {
		r := f.Request(t, http.MethodGet, tt.path, "")
		r.Header.Set("Authorization", "Bearer "+f.Issuer.Token(t, tt.tenant, nil))
		f.Do(t, r)
		n++
	}
	f.lines(t, n)
	const want = `
# HELP promfence_tenant_rejected_total Requests refused because of a limit, by tenant and by the setting in the section limits.
# TYPE promfence_tenant_rejected_total counter
promfence_tenant_rejected_total{limit="max_points",tenant="beta"} 1
# HELP promfence_tenant_requests_total Requests with a valid token, by tenant and class of the status code.
# TYPE promfence_tenant_requests_total counter
promfence_tenant_requests_total{class="2xx",tenant="acme"} 1
promfence_tenant_requests_total{class="2xx",tenant="beta"} 0
promfence_tenant_requests_total{class="2xx",tenant="gamma"} 1
promfence_tenant_requests_total{class="2xx",tenant="other"} 0
promfence_tenant_requests_total{class="2xx",tenant="several"} 1
promfence_tenant_requests_total{class="4xx",tenant="acme"} 2
promfence_tenant_requests_total{class="4xx",tenant="beta"} 1
promfence_tenant_requests_total{class="4xx",tenant="gamma"} 0
promfence_tenant_requests_total{class="4xx",tenant="other"} 0
promfence_tenant_requests_total{class="4xx",tenant="several"} 0
promfence_tenant_requests_total{class="5xx",tenant="acme"} 0
promfence_tenant_requests_total{class="5xx",tenant="beta"} 1
promfence_tenant_requests_total{class="5xx",tenant="gamma"} 0
promfence_tenant_requests_total{class="5xx",tenant="other"} 0
promfence_tenant_requests_total{class="5xx",tenant="several"} 0
`
	if err := testutil.GatherAndCompare(f.Metrics, strings.NewReader(want), "promfence_tenant_requests_total", "promfence_tenant_rejected_total"); err != nil {
		t.Error(err)
	}
	if got := ofTenant(t, f.Metrics, "promfence_tenant_request_seconds_total", "acme"); got <= 0 {
		t.Errorf("acme's requests took %v s", got)
	}
}

// A tenant may have any name, also one that stands for several tenants elsewhere.
func TestTenantsNamedLikeThoseThatStandForMore(t *testing.T) {
	f := newFence(t, nil)
	n := 0
	for tenant, requests := range map[string]int{"other": 1, "several": 2, "all": 3, `"other"`: 4} {
		for range requests {
			r := f.Request(t, http.MethodGet, "/api/v1/query?query=up", "")
			r.Header.Set("Authorization", "Bearer "+f.Issuer.Token(t, tenant, nil))
			f.Do(t, r)
			n++
		}
	}
	f.lines(t, n)
	for label, want := range map[string]float64{
		"other": 0, "several": 0, "all": 0, `"other"`: 1, `"several"`: 2, `"all"`: 3, `"\"other\""`: 4,
	} {
		if got := ofTenant(t, f.Metrics, "promfence_tenant_requests_total", label); got != want {
			t.Errorf("%v requests of %s, want %v", got, label, want)
		}
		if got := ofTenant(t, f.Metrics, "promfence_tenant_response_bytes_total", label); got != want*float64(len(success)) {
			t.Errorf("%v bytes of %s, want %v", got, label, want*float64(len(success)))
		}
	}
}

// ofTenant adds up a counter's series of a tenant.
func ofTenant(t *testing.T, r *prometheus.Registry, name, tenant string) (sum float64) {
	t.Helper()
	all, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range all {
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if family.GetName() == name && l.GetName() == "tenant" && l.GetValue() == tenant {
					sum += m.GetCounter().GetValue()
				}
			}
		}
	}
	return sum
}
