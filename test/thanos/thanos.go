// Package thanos gives tests a real Thanos to stand behind promfence: a query
// node over a receiver and a Prometheus with its sidecar, which both hold the
// data of all its tenants.
package thanos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/promfence/promfence/test/gobuild"
	"github.com/promfence/promfence/test/upstream"
)

// Options say what a Thanos holds besides what is written to it.
type Options struct {
	Rules   string            // a rule file, evaluated every second
	Targets []upstream.Target // scraped every second; each has an Address
}

// A Thanos is a receiver and a Prometheus with its sidecar, and any number of
// query nodes over them. Both stores announce a replica label, which a query
// takes away when it deduplicates.
type Thanos struct {
	Prometheus        *upstream.Upstream
	Receiver, Sidecar *Process

	receiver, sidecar string // gRPC addresses
	writer            string // where the receiver takes remote write
}

// Start runs everything but the query nodes until the test ends.
func Start(t testing.TB, o Options) *Thanos {
	t.Helper()
	th := &Thanos{}
	dir := t.TempDir()
	th.Prometheus = startPrometheus(t, dir, o)
	sidecar, receiver := addresses(t, 2), addresses(t, 4)
	th.sidecar, th.receiver, th.writer = sidecar[0], receiver[0], receiver[2]
	th.Sidecar = run(t, "sidecar", sidecar[1],
		"--grpc-address="+sidecar[0], "--http-address="+sidecar[1],
		"--prometheus.url="+th.Prometheus.URL, "--tsdb.path="+filepath.Join(dir, "prometheus"))
	th.Receiver = run(t, "receive", receiver[1],
		"--grpc-address="+receiver[0], "--http-address="+receiver[1], "--remote-write.address="+receiver[2], "--receive.capnproto-address="+receiver[3],
		"--tsdb.path="+filepath.Join(dir, "receive"), `--label=replica="receive"`,
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
		series[i].Labels = append(series[i].Labels, label("tenant_id", tenant))
	}
	th.Prometheus.Write(t, series...)
}

// startPrometheus runs a Prometheus server that a sidecar accepts: one with
// external labels.
func startPrometheus(t testing.TB, dir string, o Options) *upstream.Upstream {
	t.Helper()
	binary, err := gobuild.Prometheus(t.Context(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	type static struct {
		Targets []string          `yaml:"targets"`
		Labels  map[string]string `yaml:"labels"`
	}
	jobs := []map[string]any{}
	for i, target := range o.Targets {
		jobs = append(jobs, map[string]any{"job_name": fmt.Sprintf("%s-%d", target.Job, i), "static_configs": []static{{[]string{target.Address}, target.Labels}}})
	}
	text, err := yaml.Marshal(map[string]any{
		"global":         map[string]any{"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s", "external_labels": map[string]string{"replica": "prometheus"}},
		"rule_files":     []string{"rules.yml"},
		"scrape_configs": jobs,
		"storage":        map[string]any{"tsdb": map[string]any{"out_of_order_time_window": "12h"}, "exemplars": map[string]any{"max_exemplars": 1000}},
	})
	if err == nil {
		err = errors.Join(
			os.WriteFile(filepath.Join(dir, "prometheus.yml"), text, 0o600),
			os.WriteFile(filepath.Join(dir, "rules.yml"), []byte(o.Rules), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	at := addresses(t, 1)[0]
	start(t, "prometheus", at, exec.Command(binary, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "prometheus"),
		"--web.listen-address="+at, "--web.enable-remote-write-receiver", "--enable-feature=exemplar-storage"))
	return &upstream.Upstream{URL: "http://" + at}
}

// A Process is one that the test started.
type Process struct {
	cmd    *exec.Cmd
	exited chan struct{}
	output buffer
}

// run starts a part of Thanos and waits until it is ready.
func run(t testing.TB, part, httpAddress string, args ...string) *Process {
	t.Helper()
	binary, err := gobuild.Thanos(t.Context(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return start(t, part, httpAddress, exec.Command(binary, append([]string{part}, args...)...))
}

func start(t testing.TB, name, httpAddress string, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{cmd: cmd, exited: make(chan struct{})}
	cmd.Dir = t.TempDir() // query writes a file of active queries where it stands
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait(); close(p.exited) }()
	t.Cleanup(p.Kill) // Nobody reads its data again.
	err := upstream.Poll(t.Context(), time.Minute, func() error {
		select {
		case <-p.exited:
			t.Fatalf("%s ended:\n%s", name, p.output.String())
		default:
		}
		return ready(t.Context(), "http://"+httpAddress+"/-/ready")
	})
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, p.output.String())
	}
	return p
}

func ready(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// Kill ends the process as a crash would, and returns when it has ended.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
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

// A buffer is a bytes.Buffer that a process may write while a test reads.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.ToValidUTF8(b.b.String(), "?")
}
