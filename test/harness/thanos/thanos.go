// Package thanos gives tests a real Thanos to stand behind promfence: a query
// node over a receiver and a Prometheus with its sidecar, which both hold the
// data of all its tenants.
package thanos

import (
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/prometheus/prompb"

	"github.com/promfence/promfence/test/harness/gobuild"
	"github.com/promfence/promfence/test/harness/upstream"
)

// A Thanos is a receiver and a Prometheus with its sidecar, and any number of
// query nodes over them. Both stores announce a replica label, which a query
// takes away when it deduplicates.
type Thanos struct {
	Prometheus        *upstream.Upstream
	Receiver, Sidecar *upstream.Process

	receiver, sidecar string // gRPC addresses
	writer            string // where the receiver takes remote write
}

// replica makes a Prometheus one that a sidecar accepts.
const replica = "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s, external_labels: {replica: prometheus}}"

// Start runs everything but the query nodes until the test ends. The options are
// its Prometheus's.
func Start(t testing.TB, o upstream.Options) *Thanos {
	t.Helper()
	o.Config = replica
	th := &Thanos{Prometheus: upstream.Start(t, o)}
	sidecar, receiver := addresses(t, 2), addresses(t, 4)
	th.sidecar, th.receiver, th.writer = sidecar[0], receiver[0], receiver[2]
	th.Sidecar = run(t, "sidecar", sidecar[1],
		"--grpc-address="+sidecar[0], "--http-address="+sidecar[1],
		"--prometheus.url="+th.Prometheus.URL, "--tsdb.path="+th.Prometheus.Dir)
	th.Receiver = run(t, "receive", receiver[1],
		"--grpc-address="+receiver[0], "--http-address="+receiver[1], "--remote-write.address="+receiver[2], "--receive.capnproto-address="+receiver[3],
		"--tsdb.path="+filepath.Join(t.TempDir(), "receive"), `--label=replica="receive"`,
		"--tsdb.max-exemplars=1000", "--tsdb.out-of-order.time-window=12h", "--tsdb.too-far-in-future.time-window=1h")
	return th
}

// Query runs a query node over both stores, which it asks even when they do not
// answer, and returns its base URL. The arguments are more of its flags.
func (th *Thanos) Query(t testing.TB, args ...string) string {
	t.Helper()
	ports := addresses(t, 2)
	run(t, "query", ports[1], append([]string{
		"--grpc-address=" + ports[0], "--http-address=" + ports[1],
		"--endpoint-strict=" + th.receiver, "--endpoint-strict=" + th.sidecar,
		"--query.replica-label=replica", "--query.enable-x-functions", "--enable-feature=promql-experimental-functions",
	}, args...)...)
	return "http://" + ports[1]
}

// Stores are the addresses that nobody but an operator is to learn.
func (th *Thanos) Stores() []string { return []string{th.receiver, th.sidecar} }

// Load writes series to both stores, in the notation of [upstream.Upstream.Load].
// The receiver makes the tenant's label of its header, so for it the lines go
// without.
func (th *Thanos) Load(t testing.TB, tenant string, start time.Time, step time.Duration, lines string) {
	t.Helper()
	series := upstream.ParseSeries(t, start, step, lines)
	th.Receive(t, tenant, series...)
	for i := range series {
		series[i].Labels = append(series[i].Labels, prompb.Label{Name: "tenant_id", Value: tenant})
	}
	th.Prometheus.Write(t, series...)
}

// Receive writes series to the receiver alone, for a tenant.
func (th *Thanos) Receive(t testing.TB, tenant string, series ...prompb.TimeSeries) {
	t.Helper()
	upstream.RemoteWrite(t, "http://"+th.writer+"/api/v1/receive", http.Header{"Thanos-Tenant": {tenant}}, series...)
}

// run starts a part of Thanos and waits until it is ready.
func run(t testing.TB, part, httpAddress string, args ...string) *upstream.Process {
	t.Helper()
	binary, err := gobuild.Thanos(t.Context(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, append([]string{part}, args...)...)
	cmd.Dir = t.TempDir() // query writes a file of active queries where it stands
	p := upstream.Spawn(t, cmd)
	p.Await(t, func() error { return upstream.Ready(t.Context(), "http://"+httpAddress) })
	return p
}

// addresses are n free ones on loopback.
func addresses(t testing.TB, n int) []string {
	t.Helper()
	all := make([]string, n)
	for i := range all {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // Not before all are taken, so that they differ.
		all[i] = l.Addr().String()
	}
	return all
}
