package record

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// policyMetrics count requests by the policies that were chosen. To one request hundreds
// may apply, so requests are added up for each list of names that an identity has, and
// for each name when somebody scrapes, or when the lists have many names. They are one
// collector, so that settings that are read again go on with what was added up.
type policyMetrics struct {
	requests, allTenants *prometheus.CounterVec

	mu    sync.Mutex
	lists map[listKey]*listed
	names int // in all lists
}

// listedNames is how many names the lists may have together, of 16 bytes each.
const listedNames = 16 << 10

// A listKey is what a request counts for: an identity's list, which never changes, and
// so is known by where it begins.
type listKey struct {
	first      *string
	length     int
	class      int
	allTenants bool
}

type listed struct {
	names    []string
	requests int
}

func newPolicyMetrics() *policyMetrics {
	return &policyMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "promfence_policy_requests_total", Help: "Requests with a valid token, by each policy that applied to them and was chosen, and by class of the status code.",
		}, []string{"policy", "class"}),
		allTenants: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "promfence_all_tenants_requests_total", Help: "Requests that might see all tenants, narrowed ones included, by each policy that was chosen.",
		}, []string{"policy"}),
		lists: map[listKey]*listed{},
	}
}

// Describe makes it a prometheus.Collector.
func (m *policyMetrics) Describe(ch chan<- *prometheus.Desc) {
	m.requests.Describe(ch)
	m.allTenants.Describe(ch)
}

// Collect makes it a prometheus.Collector.
func (m *policyMetrics) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	m.addUp()
	m.mu.Unlock()
	m.requests.Collect(ch)
	m.allTenants.Collect(ch)
}

// request counts a request with these policies.
func (m *policyMetrics) request(names []string, class int, allTenants bool) {
	if len(names) == 0 {
		return
	}
	key := listKey{&names[0], len(names), class, allTenants}
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.lists[key]; l != nil {
		l.requests++
		return
	}
	if m.names+len(names) > listedNames {
		m.addUp()
	}
	m.lists[key] = &listed{names, 1}
	m.names += len(names)
}

// addUp counts for each name, and forgets the lists.
func (m *policyMetrics) addUp() {
	for key, l := range m.lists {
		for _, name := range l.names {
			m.requests.WithLabelValues(name, classes[key.class]).Add(float64(l.requests))
			if key.allTenants {
				m.allTenants.WithLabelValues(name).Add(float64(l.requests))
			}
		}
	}
	clear(m.lists)
	m.names = 0
}
