package auth

import "github.com/prometheus/client_golang/prometheus"

// metrics is what an operator can see of this package. Labels are bounded by
// the settings: nothing in them comes from a token.
type metrics struct {
	hits, misses prometheus.Counter
	refreshes    *prometheus.CounterVec
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
	}
}

// Describe implements [prometheus.Collector].
func (a *Authenticator) Describe(ch chan<- *prometheus.Desc) {
	a.metrics.hits.Describe(ch)
	a.metrics.misses.Describe(ch)
	a.metrics.refreshes.Describe(ch)
}

// Collect implements [prometheus.Collector].
func (a *Authenticator) Collect(ch chan<- prometheus.Metric) {
	a.metrics.hits.Collect(ch)
	a.metrics.misses.Collect(ch)
	a.metrics.refreshes.Collect(ch)
}
