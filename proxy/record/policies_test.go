package record_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/promfence/promfence/proxy/record"
)

// However many identities come, with lists of their own, their policies hold little, and
// no request is left uncounted, also while somebody scrapes.
func TestPolicyMetricsAreBoundedAndWhole(t *testing.T) {
	t.Parallel()
	counts := record.NewPolicyCounts()
	registry := prometheus.NewRegistry()
	registry.MustRegister(counts)
	const callers, requests, several = 8, 500, 100
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			shared := names(several)
			for i := range requests {
				counts.Request(shared, false)
				counts.Request(names(several), true)
				if n := counts.Held(); n > record.ListedNames {
					t.Errorf("%d names are held", n)
				}
				if i%100 == 0 {
					_, _ = registry.Gather()
				}
			}
		})
	}
	all.Wait()
	counts.Request(nil, false)
	var want strings.Builder
	want.WriteString("# HELP promfence_all_tenants_requests_total Requests that might see all tenants, narrowed ones included, by each policy that was chosen.\n# TYPE promfence_all_tenants_requests_total counter\n")
	for _, name := range names(several) {
		fmt.Fprintf(&want, "promfence_all_tenants_requests_total{policy=%q} %d\n", name, callers*requests)
	}
	want.WriteString("# HELP promfence_policy_requests_total Requests with a valid token, by each policy that applied to them and was chosen, and by class of the status code.\n# TYPE promfence_policy_requests_total counter\n")
	for _, name := range names(several) {
		fmt.Fprintf(&want, "promfence_policy_requests_total{class=\"2xx\",policy=%q} %d\n", name, 2*callers*requests)
	}
	for range 2 { // what was added up is not added again
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want.String())); err != nil {
			t.Error(err)
		}
	}
}

// names is a list of its own each time.
func names(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("policy-%03d", i))
	}
	return all
}
