package main

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/promfence/promfence/proxy/promql"
)

// buildInfo tells which program this is, and whose parser it has: a replica that was
// left behind differs in a label.
func buildInfo() prometheus.Collector {
	_, parser := promql.Parser()
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "promfence_build_info", Help: "1, with the versions of the program, of Go and of the PromQL parser.",
		ConstLabels: prometheus.Labels{"version": ownVersion(), "goversion": runtime.Version(), "parser": parser},
	}, func() float64 { return 1 })
}
