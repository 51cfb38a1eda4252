package record

import (
	"net/http"
	"time"
)

// CountedTenants is how many tenants have metrics of their own.
const CountedTenants = countedTenants

// CountTenants returns what counts a request for tenants.
func CountTenants() func(names []string) {
	m := newTenantMetrics()
	return func(names []string) {
		m.request(tenants{proven: true, names: names}, answered{status: http.StatusOK, took: time.Millisecond}, 0, "")
	}
}

// ListedNames is how many names of policies are held before they are counted.
const ListedNames = listedNames

// PolicyCounts count requests by policy.
type PolicyCounts struct{ *policyMetrics }

// NewPolicyCounts makes them.
func NewPolicyCounts() PolicyCounts { return PolicyCounts{newPolicyMetrics()} }

// Request counts one that was answered.
func (c PolicyCounts) Request(names []string, allTenants bool) { c.request(names, 0, allTenants) }

// Held is how many names are held.
func (c PolicyCounts) Held() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.names
}
