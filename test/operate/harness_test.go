// Package operate_test holds promfence, as a process of its own, against what
// happens to it in real life: failing upstreams, full disks, jumping clocks, slow
// and vanished callers, one tenant's flood, hours of load, and its end.
package operate_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/harness/fence"
	"github.com/promfence/promfence/test/harness/upstream"
)

// patience is how long a test waits for what happens at once.
const patience = time.Minute

// A process is a promfence whose own figures can be read.
type process struct{ *fence.Fence }

// start runs promfence in front of an upstream until the test ends. Settings are
// NAME=value, without the prefix PROMFENCE_.
func start(t *testing.T, upstreamURL string, settings ...string) process {
	t.Helper()
	return run(t, exec.Command(fence.Binary(t, false), "serve"), upstreamURL, settings...)
}

// run is start with a command of the test's own. It has no race detector: what
// is measured here is the program that ships.
func run(t *testing.T, cmd *exec.Cmd, upstreamURL string, settings ...string) process {
	t.Helper()
	return runOf(t, authtest.NewIssuer(t), cmd, upstreamURL, settings...)
}

// startOf is start with an issuer of the test's own.
func startOf(t *testing.T, issuer *authtest.Issuer, upstreamURL string, settings ...string) process {
	t.Helper()
	return runOf(t, issuer, exec.Command(fence.Binary(t, false), "serve"), upstreamURL, settings...)
}

func runOf(t *testing.T, issuer *authtest.Issuer, cmd *exec.Cmd, upstreamURL string, settings ...string) process {
	t.Helper()
	issuer.Rotate(authtest.NewKey(t, "ES256")) // cheap to sign with
	all := append(fence.Trust(issuer), "ADMIN_PPROF=true", "UPSTREAM_URL="+upstreamURL)
	f := fence.Run(t, cmd, append(all, settings...)...)
	f.Issuer = issuer
	f.Await(t, func() error { return upstream.Ready(t.Context(), f.Admin) })
	return process{f}
}

// shell is promfence after a line for the shell, such as "ulimit -n 64".
func shell(t *testing.T, line string) *exec.Cmd {
	t.Helper()
	return exec.Command("/bin/sh", "-c", line+"; exec "+fence.Binary(t, false)+" serve")
}

// quiet are the settings for many requests, whose log nobody reads.
func quiet(t *testing.T) []string {
	t.Helper()
	return []string{"LOG_LEVEL=error", "SERVER_ADDRESS=" + freeAddress(t), "ADMIN_ADDRESS=" + freeAddress(t)}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// query is the address of a query.
func (p process) query(promQL string) string {
	return p.URL + "/api/v1/query?" + url.Values{"query": {promQL}}.Encode()
}

// wants queries as a tenant and checks the status.
func (p process) wants(t *testing.T, tenant, promQL string, want int) {
	t.Helper()
	p.wantsWith(t, p.Token(t, tenant), promQL, want)
}

func (p process) wantsWith(t *testing.T, token, promQL string, want int) {
	t.Helper()
	status, body, err := ask(t.Context(), http.DefaultClient, p.query(promQL), token)
	if err != nil || status != want {
		t.Errorf("%s: %d %s %v, want %d", promQL, status, body, err, want)
	}
}

// ask makes a request and reads its answer to the end.
func ask(ctx context.Context, c *http.Client, address, token string) (int, string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// metric reads one of the process's metrics.
func (p process) metric(t *testing.T, name string) float64 {
	t.Helper()
	value, ok := p.Metrics(t)[name]
	if !ok {
		t.Fatal("no metric " + name)
	}
	return value
}

// A usage is what a process holds when it is at rest.
type usage struct{ heap, resident, goroutines, files float64 }

const mib = 1 << 20

// usage is measured after a collection.
func (p process) usage(t *testing.T) usage {
	t.Helper()
	for range 2 { // what the first one finalizes, the second one frees
		if status, _, err := ask(t.Context(), http.DefaultClient, p.Admin+"/debug/pprof/heap?gc=1", ""); err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
	}
	m := p.Metrics(t)
	return usage{m["go_memstats_heap_alloc_bytes"], m["process_resident_memory_bytes"], m["go_goroutines"], m["process_open_fds"]}
}

const answer = `{"status":"success","data":{"resultType":"vector","result":[]}}`

// stub is an upstream that answers every query, unless it holds a name that
// tells it to do something else.
func stub(t *testing.T, special map[string]http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.FormValue("query")
		for name, do := range special {
			if strings.Contains(query, name) {
				do(w, r)
				return
			}
		}
		respond(w)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func respond(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, answer)
}
