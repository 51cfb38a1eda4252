package record_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/promfence/promfence/proxy/record"
)

// requests adds up the requests that are counted for a value of the label tenant.
func requests(t *testing.T, r prometheus.Gatherer, tenant string) (sum float64) {
	t.Helper()
	all, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range all {
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if family.GetName() == "promfence_tenant_requests_total" && l.GetName() == "tenant" && l.GetValue() == tenant {
					sum += m.GetCounter().GetValue()
				}
			}
		}
	}
	return sum
}

// However many tenants come, at once or after settings were read again, the
// metrics stay few, and no request is left uncounted.
func TestTenantMetricsAreBounded(t *testing.T) {
	registry := prometheus.NewRegistry()
	const tenants, rounds = record.CountedTenants + 50, 2
	for round := range rounds {
		recorder := record.New(record.Options{Registerer: registry})
		var all sync.WaitGroup
		for i := range tenants {
			all.Go(func() {
				r := recorder.Begin(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
				r.Identify(caller(t, fmt.Sprintf("tenant-%d", i+round*25)))
				r.NameTenants()
				r.Began(http.StatusOK)
				r.End(nil, 0)
			})
		}
		all.Wait()
	}
	const own = 3 * (record.CountedTenants + 2) // three classes, and besides the tenants other and several
	if n, err := testutil.GatherAndCount(registry, "promfence_tenant_requests_total"); err != nil || n != own {
		t.Errorf("%d series, want %d; %v", n, own, err)
	}
	sum := requests(t, registry, "other")
	if sum < 50+25 {
		t.Errorf("%v requests of others", sum)
	}
	for i := range tenants + 25 {
		sum += requests(t, registry, fmt.Sprintf("tenant-%d", i))
	}
	if sum != tenants*rounds {
		t.Errorf("%v requests are counted, want %d", sum, tenants*rounds)
	}
}

// A method or a path of a caller's makes no series.
func TestWhatACallerWritesIsNoLabel(t *testing.T) {
	registry := prometheus.NewRegistry()
	recorder := record.New(record.Options{Registerer: registry})
	for i := range 10 {
		r := recorder.Begin(httptest.NewRequestWithContext(t.Context(), fmt.Sprintf("X%d", i), "/", nil))
		r.Path(fmt.Sprintf("/x%d", i))
		r.Began(http.StatusNotFound)
		r.End(nil, 0)
	}
	if n, err := testutil.GatherAndCount(registry, "promfence_requests_total"); err != nil || n != 1 {
		t.Errorf("%d series of ten methods and paths; %v", n, err)
	}
}

func TestCountingATenantsRequestAllocatesNothing(t *testing.T) {
	count := record.CountTenants()
	for i := range record.CountedTenants + 10 {
		who := []string{fmt.Sprintf("tenant-%d", i)}
		count(who)
		if n := testing.AllocsPerRun(100, func() { count(who) }); n != 0 {
			t.Errorf("%v allocations for %s", n, who)
		}
	}
}

func BenchmarkCountTenant(b *testing.B) {
	count := record.CountTenants()
	who := make([][]string, record.CountedTenants+1)
	for i := range who {
		who[i] = []string{fmt.Sprintf("tenant-%d", i)}
		count(who[i])
	}
	for name, i := range map[string]int{"known": 50, "other": record.CountedTenants} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				count(who[i])
			}
		})
	}
}
