package auth

import "github.com/prometheus/client_golang/prometheus"

// metrics is what an operator can see of this package. Labels are bounded by
// the settings: nothing in them comes from a token.
type metrics struct {
	hits, misses prometheus.Counter
	refreshes    *prometheus.CounterVec
	keys         *prometheus.Desc
	leftOut      *prometheus.CounterVec
}

func newMetrics() metrics {
	return metrics{
		hits: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "promfence_token_cache_hits_total",
			Help: "Requests whose token was verified before.",
		}),
		misses: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "promfence_token_cache_misses_total",
			Help: "Requests whose token had to be verified.",
		}),
		refreshes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "promfence_jwks_refreshes_total",
			Help: "Fetches of an issuer's keys by outcome: changed, unchanged, empty (no usable key, those we had are kept), error.",
		}, []string{"issuer", "outcome"}),
		keys: prometheus.NewDesc("promfence_issuer_keys",
			"Keys that tokens of the issuer are verified with; 0: its tokens are refused with 503. Of several entries with this issuer, the one with the fewest.",
			[]string{"issuer"}, nil),
		leftOut: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "promfence_policy_left_out_values_total",
			Help: "Values of claims that a policy could not use for a label, in tokens that were not verified before.",
		}, []string{"policy", "label"}),
	}
}

// Describe implements [prometheus.Collector].
func (a *Authenticator) Describe(ch chan<- *prometheus.Desc) {
	a.metrics.hits.Describe(ch)
	a.metrics.misses.Describe(ch)
	a.metrics.refreshes.Describe(ch)
	ch <- a.metrics.keys
	a.metrics.leftOut.Describe(ch)
}

// Collect implements [prometheus.Collector].
func (a *Authenticator) Collect(ch chan<- prometheus.Metric) {
	a.metrics.hits.Collect(ch)
	a.metrics.misses.Collect(ch)
	a.metrics.refreshes.Collect(ch)
	fewest := map[string]int{}
	for _, is := range a.issuers {
		n := 0
		if set := is.keys.Load(); set != nil {
			n = len(set.keys)
		}
		if least, ok := fewest[is.name]; !ok || n < least {
			fewest[is.name] = n
		}
	}
	for name, n := range fewest {
		ch <- prometheus.MustNewConstMetric(a.metrics.keys, prometheus.GaugeValue, float64(n), name)
	}
	a.metrics.leftOut.Collect(ch)
}
