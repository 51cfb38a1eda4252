package main

import (
	"math"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// A source is one group of series; those without a tenant are nobody's, as the
// shared infrastructure's are.
type source struct {
	tenant, job, instance string
	perSecond             float64 // requests
}

var sources = []source{
	{"acme", "shop", "shop-0:8080", 40},
	{"acme", "shop", "shop-1:8080", 35},
	{"globex", "reactor", "reactor-0:9000", 900},
	{"", "gateway", "gateway-0:80", 1000},
}

// codes are what requests end with, and how often; always in this order.
var codes = []struct {
	code  string
	share float64
}{{"200", 0.97}, {"404", 0.02}, {"500", 0.01}}

var bounds = []float64{0.005, 0.025, 0.1, 0.5, 2.5, math.Inf(1)}

func (s source) labels(name string, pairs []string) labels.Labels {
	b := labels.NewBuilder(labels.FromStrings(pairs...))
	b.Set(model.MetricNameLabel, name).Set("job", s.job).Set("instance", s.instance)
	if s.tenant != "" {
		b.Set("tenant_id", s.tenant)
	}
	return b.Labels()
}

// expose tells counters, a histogram and gauges. Traffic swings by a third
// every ten minutes; its integral is what the counters show.
func (s source) expose(at, born time.Time, add func(name string, value float64, pairs ...string)) {
	const period = 600 / (2 * math.Pi)
	age := at.Sub(born).Seconds()
	total := s.perSecond * (age + period*(1-math.Cos(age/period))/3)
	swing := math.Sin(age / period)

	for _, c := range codes {
		add("http_requests_total", math.Floor(total*c.share), "code", c.code, "method", "GET")
	}
	for _, le := range bounds {
		share := 1 - math.Exp(-le/0.08)
		add("http_request_duration_seconds_bucket", math.Floor(total*share), "le", strconv.FormatFloat(le, 'g', -1, 64))
	}
	add("http_request_duration_seconds_sum", total*0.08)
	add("http_request_duration_seconds_count", math.Floor(total))
	add("http_requests_in_flight", math.Round(s.perSecond*(1+swing/3)*0.08))
	add("process_resident_memory_bytes", math.Round(200e6*(1+swing/10)))
	add("process_start_time_seconds", float64(born.Unix()))
	add("up", 1)
}
