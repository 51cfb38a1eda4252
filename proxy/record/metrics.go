package record

import (
	"errors"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/promql"
)

// metrics are promfence's own, served on the admin listener.
type metrics struct {
	known        sync.Map // series to *counted
	requests     *prometheus.CounterVec
	duration     *prometheus.HistogramVec
	upstream     *prometheus.HistogramVec
	inFlight     prometheus.Gauge
	authFailures *prometheus.CounterVec
	enforcement  prometheus.Counter
	hidden       prometheus.Counter
	cacheHits    prometheus.Counter
	cacheMisses  prometheus.Counter
	rejected     *prometheus.CounterVec
	tenants      *tenantMetrics
	policies     *policyMetrics
	conflicts    *prometheus.CounterVec
	probes       *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	buckets := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "promfence_requests_total", Help: "Requests answered, by route, method and status code.",
		}, []string{"route", "method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "promfence_request_duration_seconds", Help: "Time from a request's arrival to the end of its answer.", Buckets: buckets,
		}, []string{"route"}),
		upstream: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "promfence_upstream_duration_seconds", Help: "Time until the upstream's response header.", Buckets: buckets,
		}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "promfence_requests_in_flight", Help: "Requests being served.",
		}),
		authFailures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "promfence_auth_failures_total", Help: "Requests refused because of their token, by reason.",
		}, []string{"reason"}),
		enforcement: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "promfence_enforcement_failures_total", Help: "Queries that failed the verification of the enforced text; nothing was forwarded.",
		}),
		hidden: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "promfence_upstream_texts_hidden_total", Help: "Error texts and warnings of the upstream that were replaced, because they do not speak of the query.",
		}),
		cacheHits: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "promfence_query_cache_hits_total", Help: "Queries and selectors that had been enforced before.",
		}),
		cacheMisses: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "promfence_query_cache_misses_total", Help: "Queries and selectors that were enforced anew, or refused.",
		}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "promfence_rejected_total", Help: "Requests refused because of a limit, by the setting in the section limits.",
		}, []string{"limit"}),
		tenants:  newTenantMetrics(),
		policies: newPolicyMetrics(),
		conflicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "promfence_conflicts_total", Help: "Requests with a matcher of the caller's own that can match nothing of what they may see, by route.",
		}, []string{"route"}),
		probes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "promfence_label_policy_probes_total", Help: "Questions for what a tenant's label policy forbids, by what the upstream showed: held, leaked or failed.",
		}, []string{"result"}),
	}
	for _, result := range probeResults {
		m.probes.WithLabelValues(result) // exists before it happens
	}
	for _, limit := range limits {
		m.rejected.WithLabelValues(limit) // exists before it happens
	}
	if r != nil {
		m.register(r)
	}
	return m
}

func (m *metrics) register(r prometheus.Registerer) {
	register(r, &m.requests)
	register(r, &m.duration)
	register(r, &m.upstream)
	register(r, &m.inFlight)
	register(r, &m.authFailures)
	register(r, &m.enforcement)
	register(r, &m.hidden)
	register(r, &m.cacheHits)
	register(r, &m.cacheMisses)
	register(r, &m.rejected)
	register(r, &m.tenants)
	register(r, &m.policies)
	register(r, &m.conflicts)
	register(r, &m.probes)
}

// register takes a metric of a Proxy before this one, if there is: settings that
// are read again do not begin the counters anew.
func register[C prometheus.Collector](r prometheus.Registerer, c *C) {
	err := r.Register(*c)
	if e, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		*c, ok = e.ExistingCollector.(C)
		if ok {
			return
		}
	}
	if err != nil {
		panic(err) // a program that registers two metrics under one name
	}
}

// limits are the settings that refuse, without their section: the values of a label. By
// the last three the upstream refuses.
var limits = []string{
	"requests_per_second", "concurrent_requests", "max_query_bytes", "max_query_depth", "max_query_terms",
	"max_selectors", "max_body_bytes", "max_range", "max_points", "max_series", "max_samples_read", "max_query_duration",
}

// probeResults are what a question for what a label policy forbids may show: that did
// not come, it did, or the upstream gave no answer that says so.
var probeResults = [...]string{"held", "leaked", "failed"}

// HitCache counts a query or selector that had been enforced before.
func (p *Recorder) HitCache() { p.metrics.cacheHits.Inc() }

// MissCache counts one that was enforced anew, or refused.
func (p *Recorder) MissCache() { p.metrics.cacheMisses.Inc() }

// HideText counts an error text of the upstream that the caller does not get.
func (p *Recorder) HideText() { p.metrics.hidden.Inc() }

// Probed counts what a question for what a tenant's label policy forbids has shown, and
// says in the log why the tenant's requests are refused.
func (p *Recorder) Probed(tenant, labelPolicy string, leaked bool, err error) {
	result := probeResults[0]
	if err != nil {
		result = probeResults[2]
		if leaked {
			result = probeResults[1]
		}
		p.Logger.Error().Str("tenant", tenant).Str("label_policy", labelPolicy).Err(err).
			Msg("the upstream was not seen to enforce X-Prom-Label-Policy: this tenant's requests are refused")
	}
	p.metrics.probes.WithLabelValues(result).Inc()
}

func (m *metrics) failure(e *apierr.Error) {
	if a, ok := errors.AsType[*auth.Error](e.Err); ok {
		m.authFailures.WithLabelValues(string(a.Reason)).Inc()
	}
	if errors.Is(e, promql.ErrVerify) {
		m.enforcement.Inc()
	}
	if e.Limit != "" {
		m.rejected.WithLabelValues(e.Limit).Inc()
	}
}

// request counts one that has been answered.
func (m *metrics) request(r *Record) {
	method := r.method
	if !slices.Contains(methods[:], method) {
		method = "other" // a caller's text must not make a series
	}
	s := m.of(series{r.routeName(), method, r.answered.status})
	s.requests.Inc()
	s.duration.Observe(r.answered.took.Seconds())
	if r.upstream.took > 0 {
		s.upstream.Observe(r.upstream.took.Seconds())
	}
	if len(r.upstream.hidden) > 0 {
		m.hidden.Inc()
	}
	m.policies.request(r.identity.Policies, classOf(r.answered.status), r.identity.AllTenants)
	if r.conflict {
		m.conflicts.WithLabelValues(r.routeName()).Inc()
	}
	if r.tenants.proven {
		m.tenants.request(r.tenants, r.answered, r.upstream.read, r.failed.limit)
	}
}

// A series is what decides which metrics a request counts in: a bounded set.
type series struct {
	route, method string
	status        int
}

type counted struct {
	requests           prometheus.Counter
	duration, upstream prometheus.Observer
}

// of finds the metrics of a series without a look-up of each by its labels.
func (m *metrics) of(s series) *counted {
	if known, ok := m.known.Load(s); ok {
		return known.(*counted)
	}
	c := &counted{
		m.requests.WithLabelValues(s.route, s.method, statusText(s.status)),
		m.duration.WithLabelValues(s.route), m.upstream.WithLabelValues(s.route),
	}
	m.known.Store(s, c)
	return c
}
