package record

import (
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// countedTenants is how many tenants have metrics of their own: those that come
// first. The others share one, because a tenant's name comes from a token, and
// what a token says must not grow without end in memory and in whoever scrapes.
const countedTenants = 100

// Values of the label tenant that stand for more than one.
const (
	otherTenants   = "other"   // those who came when countedTenants were there
	severalTenants = "several" // tokens with more than one tenant, whatever their names
)

// tenantLabel is a tenant's value of the label tenant: its name, or its name in quotes
// where that is one of the values above, or begins like a name in quotes.
func tenantLabel(name string) string {
	switch {
	case name == otherTenants, name == severalTenants, name == allTenants, strings.HasPrefix(name, `"`):
		return strconv.Quote(name)
	}
	return name
}

// classes are the values of the label class.
var classes = [...]string{"2xx", "4xx", "5xx"}

// tenantMetrics tell who asks how much, who keeps the upstream busy, and who is
// refused for a limit. They are one collector, so that settings that are read
// again go on with the tenants that are known, and the cap holds.
type tenantMetrics struct {
	requests, seconds, bytes, read, rejected *prometheus.CounterVec
	other, several                           *tenantCounts

	mu    sync.Mutex                               // of whoever adds to known
	known atomic.Pointer[map[string]*tenantCounts] // by name; replaced, never changed
}

// tenantCounts are one tenant's, found without a look-up by labels.
type tenantCounts struct {
	name     string
	requests [len(classes)]prometheus.Counter
	seconds  prometheus.Counter
	bytes    prometheus.Counter
	read     prometheus.Counter
}

func newTenantMetrics() *tenantMetrics {
	m := &tenantMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "promfence_tenant_requests_total", Help: "Requests with a valid token, by tenant and class of the status code.",
		}, []string{"tenant", "class"}),
		seconds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "promfence_tenant_request_seconds_total", Help: "Time that requests took, by tenant: its rate is how many are under way.",
		}, []string{"tenant"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "promfence_tenant_response_bytes_total", Help: "Bytes of the answers that callers got, without headers, by tenant.",
		}, []string{"tenant"}),
		read: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "promfence_tenant_samples_read_total", Help: "Samples that queries read, by tenant, as far as the upstream's answers tell.",
		}, []string{"tenant"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "promfence_tenant_rejected_total", Help: "Requests refused because of a limit, by tenant and by the setting in the section limits.",
		}, []string{"tenant", "limit"}),
	}
	m.known.Store(&map[string]*tenantCounts{})
	m.other, m.several = m.counts(otherTenants), m.counts(severalTenants)
	return m
}

// Describe makes it a prometheus.Collector.
func (m *tenantMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, v := range []*prometheus.CounterVec{m.requests, m.seconds, m.bytes, m.read, m.rejected} {
		v.Describe(ch)
	}
}

// Collect makes it a prometheus.Collector.
func (m *tenantMetrics) Collect(ch chan<- prometheus.Metric) {
	for _, v := range []*prometheus.CounterVec{m.requests, m.seconds, m.bytes, m.read, m.rejected} {
		v.Collect(ch)
	}
}

// request counts a request that was proven to be these tenants'.
func (m *tenantMetrics) request(who tenants, a answered, read int64, limit string) {
	c := m.several
	switch {
	case who.all:
		c = m.counts(allTenants)
	case len(who.names) == 1:
		c = m.of(who.names[0])
	}
	c.requests[classOf(a.status)].Inc()
	c.seconds.Add(a.took.Seconds())
	c.bytes.Add(float64(a.bytes))
	c.read.Add(float64(read))
	if limit != "" {
		m.rejected.WithLabelValues(c.name, limit).Inc()
	}
}

// classOf is the position of a status code's class in classes.
func classOf(status int) int {
	switch {
	case status < http.StatusOK || status >= http.StatusInternalServerError: // below 200: no answer was begun
		return 2
	case status >= http.StatusBadRequest:
		return 1
	}
	return 0
}

func (m *tenantMetrics) of(tenant string) *tenantCounts {
	known := *m.known.Load()
	if c, ok := known[tenant]; ok {
		return c
	}
	if len(known) >= countedTenants {
		return m.other
	}
	return m.admit(tenant)
}

// admit gives a tenant metrics of its own, if there is room.
func (m *tenantMetrics) admit(tenant string) *tenantCounts {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := *m.known.Load()
	if c, ok := known[tenant]; ok {
		return c
	}
	if len(known) >= countedTenants {
		return m.other
	}
	more := maps.Clone(known)
	more[strings.Clone(tenant)] = m.counts(tenantLabel(strings.Clone(tenant)))
	m.known.Store(&more)
	return more[tenant]
}

func (m *tenantMetrics) counts(tenant string) *tenantCounts {
	c := &tenantCounts{name: tenant, seconds: m.seconds.WithLabelValues(tenant), bytes: m.bytes.WithLabelValues(tenant), read: m.read.WithLabelValues(tenant)}
	for i, class := range classes {
		c.requests[i] = m.requests.WithLabelValues(tenant, class)
	}
	return c
}
