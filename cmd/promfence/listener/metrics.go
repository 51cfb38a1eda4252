package listener

import "github.com/prometheus/client_golang/prometheus"

// Metrics are what operators see of strangers.
type Metrics struct {
	open                      prometheus.Gauge
	evicted, delayed, refused prometheus.Counter
}

// NewMetrics registers them; a nil Registerer keeps them nowhere.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "promfence_connections", Help: "Connections of callers that are open.",
		}),
		evicted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "promfence_connections_evicted_total", Help: "Connections without a request that were closed for new ones, at server.max_connections.",
		}),
		delayed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "promfence_connections_delayed_total", Help: "New connections that had to wait, and requests over HTTP/2 that were refused, because server.max_connections requests were under way.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "promfence_headers_refused_total", Help: "Requests with more than server.max_header_bytes of header, or too many lines of it.",
		}),
	}
	if r != nil {
		r.MustRegister(m.open, m.evicted, m.delayed, m.refused)
	}
	return m
}
